"""One try through the shield: what passes, which limit cuts, how it is counted, and that everything is closed."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from agents.contract import Chunk
from configs.kernel import FailureKind, Outcome, Usage
from configs.settings import RequestSettings, Settings
from engine.contract import BreakerState, BreakerView, Permit
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.record import Effect
from engine.resilience.routes import Route
from tests.support.shield_lab import FINISH, HANG, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

K = FailureKind


async def failed(lab: Lab, deadline_s: float = 120.0, **options: float) -> LeafCallFailed:
    """The error that the shielded upstream ends in; by then it must have been closed."""
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(deadline_s, **options)
    assert lab.upstream.closed == lab.upstream.opened
    return caught.value


@pytest.mark.req("brk.everywhere")
@on_virtual_time
async def test_a_healthy_stream_passes_unchanged_and_counts_as_success() -> None:
    """Every chunk arrives in order; the report has one try, the first token's time and OK."""
    lab = Lab()
    last = Chunk(finish_reason="stop", usage=Usage(output_tokens=2))
    lab.upstream.play(0.5, "Hel", 0.25, "lo", last)
    chunks = [chunk async for chunk in lab.stream()]
    assert chunks == [Chunk(text="Hel"), Chunk(text="lo"), last]
    assert (lab.report.tries, lab.report.outcome, lab.report.failure) == (1, Outcome.OK, None)
    assert (lab.report.first_token_s, lab.report.latency_s) == (0.5, 0.75)
    assert (lab.upstream.closed, lab.store.of(SUBJECT).record.window[0].successes) == (1, 1)
    assert lab.store.effects == {Effect.COUNTED: 1}
    await asyncio.sleep(0)
    assert lab.shield._running == set(), "a finished call is still held"


@pytest.mark.req("brk.classify")
@on_virtual_time
async def test_a_failure_reaches_caller_breaker_and_report_as_the_same_thing() -> None:
    """Its kind and text stay, the outcome is classified, the breaker counts one, and text before it is noted."""
    lab = Lab(retries=0)
    lab.upstream.play("some text", failure(K.RESET, detail="connection reset"))
    error = await failed(lab)
    assert (error.failure.kind, error.failure.detail, error.failure.produced_text) == (
        K.RESET,
        "connection reset",
        True,
    )
    assert (error.outcome, error.subject) == (Outcome.FAIL, SUBJECT)
    assert (lab.report.outcome, lab.report.failure) == (Outcome.FAIL, error.failure)
    assert lab.view().consecutive_failures == 1


@on_virtual_time
async def test_an_untranslated_error_is_named_by_its_type_only() -> None:
    """F7: its text could hold anything; it counts, since the code behind the shield broke."""
    lab = Lab(retries=0)
    lab.upstream.play(KeyError("sk-secret"))
    error = await failed(lab)
    assert (error.failure.kind, error.failure.detail) == (K.AGENT, "KeyError was raised")
    assert "sk-secret" not in str(error)
    assert lab.view().consecutive_failures == 1


@pytest.mark.req("brk.semantics")
@on_virtual_time
async def test_an_open_breaker_makes_no_call() -> None:
    """Five failures, then a typed refusal with the exact wait, without opening the upstream (fault 16)."""
    lab = Lab(retries=0)
    lab.upstream.play(failure(K.CONNECT))
    for _ in range(5):
        await failed(lab)
    await pause(10.0)
    with pytest.raises(CallRefused) as caught:
        await lab.text()
    refusal = caught.value.refusal
    assert (lab.upstream.opened, refusal.state, refusal.retry_after_s) == (5, BreakerState.OPEN, 50.0)
    assert caught.value.failure.kind is K.REFUSED
    assert (lab.report.outcome, lab.report.breaker, lab.report.retry_after_s) == (
        Outcome.REFUSED,
        BreakerState.OPEN,
        50.0,
    )
    assert [event.after for event in lab.events] == [BreakerState.OPEN]


@on_virtual_time
async def test_silence_before_the_first_token_is_cut_and_counted() -> None:
    """Fault 26: after first_token_s, however patient the deadline is, and not tried again."""
    lab = Lab()
    lab.upstream.play(HANG)
    error = await failed(lab)
    assert (error.failure.kind, lab.elapsed_s) == (K.FIRST_TOKEN_TIMEOUT, lab.settings.shield.first_token_s)
    assert error.failure.detail == "nothing came within 30 s"
    assert (lab.view().consecutive_failures, lab.report.tries) == (1, 1)


@on_virtual_time
@pytest.mark.parametrize(("steps", "limit_s"), [((HANG,), 30.0), (("x", HANG), 20.0)], ids=["first", "idle"])
async def test_when_both_limits_end_together_it_is_the_callers_time(
    steps: tuple[object, ...], limit_s: float
) -> None:
    """In doubt nothing is counted against the other side."""
    lab = Lab()
    lab.upstream.play(*steps)
    error = await failed(lab, limit_s)
    assert (error.outcome, lab.elapsed_s, lab.view().consecutive_failures) == (Outcome.DEADLINE, limit_s, 0)


@on_virtual_time
async def test_a_slow_model_may_have_its_own_first_token_limit() -> None:
    """The override replaces the setting, in both directions."""
    lab = Lab()
    lab.upstream.play(45.0, "late", FINISH)
    assert await lab.text(first_token_s=60.0) == "late"
    error = await failed(lab, first_token_s=2.0)
    assert error.failure.kind is K.FIRST_TOKEN_TIMEOUT


@on_virtual_time
async def test_chunks_without_text_do_not_count_as_a_first_token() -> None:
    """A provider that only says that it is there is silent."""
    lab = Lab()
    lab.upstream.play(*[Chunk(), 10.0] * 10)
    error = await failed(lab)
    assert (error.failure.kind, lab.elapsed_s) == (K.FIRST_TOKEN_TIMEOUT, lab.settings.shield.first_token_s)


@on_virtual_time
async def test_silence_in_mid_answer_is_cut_and_counted() -> None:
    """Fault 28: idle_s after the last chunk; what came before has been passed on."""
    lab = Lab()
    lab.upstream.play("one", 5.0, "two", HANG)
    error = await failed(lab)
    assert (error.failure.kind, error.failure.produced_text) == (K.IDLE_TIMEOUT, True)
    assert lab.elapsed_s == 5.0 + lab.settings.shield.idle_s
    assert lab.view().consecutive_failures == 1


@on_virtual_time
async def test_a_trickle_ends_at_the_deadline_and_is_not_the_providers_fault() -> None:
    """Fault 27: never idle for long enough, but the absolute deadline holds; DEADLINE is neutral."""
    lab = Lab()
    lab.upstream.play(*["x", 10.0] * 100)
    error = await failed(lab, 65.0)
    assert (error.outcome, lab.elapsed_s) == (Outcome.DEADLINE, 65.0)
    assert (lab.view().consecutive_failures, lab.view().ema_success) == (0, 1.0)


@on_virtual_time
async def test_a_stream_that_is_always_ready_ends_at_the_deadline_too() -> None:
    """Never having to wait is no way around the deadline."""
    lab = Lab(read_ahead=2)
    lab.upstream.play(*["x"] * 50)
    error: LeafCallFailed | None = None
    got = 0
    try:
        async for _ in lab.stream(10.0):
            got += 1
            await pause(1.0)
    except LeafCallFailed as exc:
        error = exc
    assert error is not None
    assert (error.outcome, got) == (Outcome.DEADLINE, 10)


@on_virtual_time
async def test_a_passed_deadline_costs_no_call() -> None:
    """Nothing is opened and no permit is taken."""
    lab = Lab()
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(0.0)
    assert (caught.value.outcome, lab.upstream.opened, lab.report.tries) == (Outcome.DEADLINE, 0, 0)
    assert (lab.report.outcome, lab.report.failure) == (Outcome.DEADLINE, caught.value.failure)
    assert lab.store.effects == {}


@pytest.mark.parametrize(
    ("pieces", "fits"),
    [(["abcde"] * 2, True), (["é" * 5], True), (["é" * 5, "x"], False), (["é" * 10], False), (["x" * 11], False)],
)
@on_virtual_time
async def test_an_answer_over_the_size_cap_is_cut_and_counted(pieces: list[str], fits: bool) -> None:
    """Fault 33: UTF-8 bytes over all chunks; the chunk that goes over is not passed on."""
    lab = Lab(Settings(request=RequestSettings(answer_bytes_max=10)), retries=0)
    lab.upstream.play(*pieces, FINISH)
    if fits:
        assert await lab.text() == "".join(pieces)
    else:
        error = await failed(lab)
        assert (error.failure.kind, error.outcome) == (K.OVERSIZE, Outcome.FAIL)
        assert lab.view().consecutive_failures == 1


@on_virtual_time
async def test_half_a_character_does_not_break_the_count() -> None:
    """A lone surrogate, as broken JSON delivers it, has a size like anything else."""
    lab = Lab(Settings(request=RequestSettings(answer_bytes_max=3)), retries=0)
    lab.upstream.play("\ud800", FINISH)
    assert await lab.text() == "\ud800"


@on_virtual_time
async def test_a_reader_that_leaves_closes_the_upstream_and_counts_nothing() -> None:
    """Fault 77: after ``aclose`` the upstream is closed, the outcome is CANCEL."""
    lab = Lab()
    lab.upstream.play("one", "two", HANG)
    stream = lab.stream()
    assert (await anext(stream)).text == "one"
    await stream.aclose()
    assert (lab.upstream.opened, lab.upstream.closed) == (1, 1)
    assert (lab.report.outcome, lab.view().ema_success, lab.store.of(SUBJECT).record.window) == (
        Outcome.CANCEL,
        1.0,
        (),
    )


@on_virtual_time
async def test_a_reader_that_leaves_after_the_finish_marker_has_had_its_answer() -> None:
    """Whoever stops at finish_reason does not turn a success into nothing."""
    lab = Lab()
    await lab.until_half_open()
    lab.upstream.play("all", FINISH, HANG)
    stream = lab.stream()
    assert [(await anext(stream)), (await anext(stream))] == [Chunk(text="all"), FINISH]
    await stream.aclose()
    assert (lab.report.outcome, lab.view().state) == (Outcome.OK, BreakerState.CLOSED)


@on_virtual_time
async def test_a_forgotten_stream_is_closed_when_it_is_collected() -> None:
    """Nobody calls ``aclose``: the loop does, and nothing keeps running."""
    lab = Lab()
    lab.upstream.play("one", HANG)
    stream = lab.stream()
    assert (await anext(stream)).text == "one"
    del stream
    gc.collect()
    await pause(0.1)
    assert (lab.upstream.closed, lab.report.outcome) == (1, Outcome.CANCEL)


@on_virtual_time
async def test_another_task_may_close_what_one_task_reads() -> None:
    """Opening, reading and closing the upstream happen in one task of its own, whoever asks."""
    lab = Lab()
    lab.upstream.play("one", HANG)
    stream = lab.stream()
    first = await asyncio.create_task(anext(stream))
    await asyncio.create_task(stream.aclose())
    assert (first.text, lab.upstream.closed, len(lab.upstream.tasks)) == ("one", 1, 1)


@on_virtual_time
async def test_an_upstream_that_takes_for_ever_to_close_is_not_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cut call returns after close_s; its permit is free before; the clean-up goes on behind it."""
    lab = Lab(retries=0)
    lab.upstream.close_takes_s = 500.0
    lab.upstream.play(HANG)
    with caplog.at_level(logging.WARNING), pytest.raises(LeafCallFailed):
        await lab.text(first_token_s=1.0)
    assert lab.elapsed_s == pytest.approx(1.0 + lab.settings.shield.close_s)
    assert (lab.view().consecutive_failures, lab.upstream.closed) == (1, 0)
    assert "still cleaning up" in caplog.text
    await lab.shield.aclose()
    assert lab.upstream.opened == 1


@on_virtual_time
async def test_an_upstream_that_swallows_cancellation_is_left_at_its_next_item() -> None:
    """It gets no second chance to go on."""
    lab = Lab(retries=0)
    got: list[str] = []

    async def stubborn() -> object:
        for text in ("one", "two", "three"):
            try:
                await pause(100.0)
            except asyncio.CancelledError:
                got.append("swallowed")
            got.append(text)
            yield Chunk(text=text)

    with pytest.raises(LeafCallFailed):
        async for _ in lab.shield.stream(Route(subject=SUBJECT), stubborn, lab.deadline(5.0)):
            pass
    assert got == ["swallowed", "one"]


@on_virtual_time
async def test_reading_ahead_stops_at_the_limit() -> None:
    """Backpressure: a reader that does not read is not filled up."""
    lab = Lab(read_ahead=3)
    lab.upstream.play(*["x"] * 100, FINISH)
    stream = lab.stream()
    await anext(stream)
    await pause(1.0)
    assert lab.upstream.read <= 4
    assert len([chunk async for chunk in stream]) == 100


@on_virtual_time
async def test_a_reader_that_leaves_a_full_buffer_closes_the_upstream_in_its_own_task() -> None:
    """Also when the upstream waits for room, and not for the provider."""
    lab = Lab(read_ahead=3)
    lab.upstream.play(*["x"] * 100, FINISH)
    stream = lab.stream()
    await anext(stream)
    await pause(1.0)
    await stream.aclose()
    assert (lab.upstream.closed, len(lab.upstream.tasks)) == (1, 1)


class Pieces:
    """An async iterator that is no generator: it has no ``aclose``."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> Chunk:
        if not self._texts:
            raise StopAsyncIteration
        return Chunk(text=self._texts.pop(0))


@on_virtual_time
async def test_an_upstream_need_not_be_a_generator() -> None:
    """Any async iterator will do."""
    lab = Lab()
    chunks = [
        chunk
        async for chunk in lab.shield.stream(Route(subject=SUBJECT), lambda: Pieces("a", "b"), lab.deadline(9.0))
    ]
    assert "".join(chunk.text for chunk in chunks) == "ab"


@on_virtual_time
async def test_an_end_is_noticed_at_once() -> None:
    """A stream that ends after a silence does not cost another one."""
    lab = Lab()
    lab.upstream.play("a", 3.0)
    assert await lab.text() == "a"
    assert lab.elapsed_s == 3.0


@on_virtual_time
async def test_an_error_while_nobody_listens_any_more_is_not_reported_as_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A clean-up that fails after its reader has left is not an unhandled error."""
    lab = Lab()

    async def breaks_on_close() -> object:
        try:
            yield Chunk(text="a")
            await asyncio.Event().wait()
        finally:
            raise OSError("already closed")

    stream = lab.shield.stream(Route(subject=SUBJECT), breaks_on_close, lab.deadline(9.0))
    await anext(stream)
    await stream.aclose()
    del stream
    gc.collect()
    await pause(0.1)
    assert caplog.records == []
    assert lab.view().consecutive_failures == 0


class BrokenStore:
    """A breaker store that is itself down."""

    async def acquire(self, subject: str, call_id: str) -> Permit:
        raise ConnectionError("redis is gone")

    async def report(self, permit: Permit, outcome: Outcome, **_: object) -> BreakerView:
        raise ConnectionError("redis is gone")


@on_virtual_time
async def test_a_broken_breaker_store_never_fails_the_call(caplog: pytest.LogCaptureFixture) -> None:
    """B15: asked and told in vain, the call goes through and its failure is its own."""
    lab = Lab(retries=0)
    lab.shield._leaves._breakers = BrokenStore()
    lab.upstream.play("fine", FINISH)
    lab.upstream.play(failure(K.RESET))
    with caplog.at_level(logging.WARNING):
        assert await lab.text() == "fine"
        assert (await failed(lab)).failure.kind is K.RESET
    assert caplog.text.count("could not be asked") == 2
    assert caplog.text.count("could not be told") == 2


@on_virtual_time
async def test_a_listener_that_raises_costs_neither_call_nor_other_listeners(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """B15: the event still reaches the next listener."""
    lab = Lab(retries=0)

    def broken(event: object) -> None:
        raise RuntimeError("no disk")

    lab.store.listeners = (broken, *lab.store.listeners)
    lab.upstream.play(failure(K.CONNECT))
    for _ in range(5):
        await failed(lab)
    assert [event.after for event in lab.events] == [BreakerState.OPEN]
    assert "a listener failed" in caplog.text


@on_virtual_time
async def test_a_unary_call_returns_its_value_also_when_that_is_none() -> None:
    """``None`` is an answer."""
    lab = Lab()

    async def nothing() -> None:
        await pause(1.0)

    async def seven() -> int:
        return 7

    assert await lab.shield.call("tool:x", seven, lab.deadline(9.0), timeout_s=2.0) == 7
    assert await lab.shield.call("tool:x", nothing, lab.deadline(9.0), timeout_s=2.0, report=lab.report) is None
    assert (lab.report.outcome, lab.report.latency_s) == (Outcome.OK, 1.0)


@on_virtual_time
async def test_a_unary_call_is_cut_at_its_timeout_or_at_the_deadline() -> None:
    """The first one counts against the other side, the second does not."""
    lab = Lab()
    for deadline_s, outcome in ((9.0, Outcome.FAIL), (1.0, Outcome.DEADLINE)):
        with pytest.raises(LeafCallFailed) as caught:
            await lab.shield.call("tool:x", asyncio.Event().wait, lab.deadline(deadline_s), timeout_s=2.0)
        assert caught.value.outcome is outcome
    assert (lab.elapsed_s, lab.view("tool:x").consecutive_failures) == (3.0, 1)
