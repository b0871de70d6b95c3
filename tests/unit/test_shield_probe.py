"""Probes through the shield: how many run, and that each is settled before its lease ends (B1, B1b, B8)."""

from __future__ import annotations

import asyncio

import pytest

from agents.contract import Chunk
from configs.kernel import FailureKind, Outcome
from configs.settings import LimiterSettings, Settings
from engine.contract import BreakerState
from engine.resilience import attempt
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.record import Effect
from engine.resilience.routes import Route
from tests.support.shield_lab import FINISH, HANG, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time


async def hundred(lab: Lab) -> tuple[int, int]:
    """Answered and refused, of 100 callers at once."""
    results = await asyncio.gather(*[lab.text() for _ in range(100)], return_exceptions=True)
    return results.count("yes"), sum(isinstance(result, CallRefused) for result in results)


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_one_of_a_hundred_concurrent_callers_probes() -> None:
    """The rest are refused while it runs; when it has succeeded, the next hundred all pass."""
    lab = Lab()
    await lab.until_half_open()
    lab.upstream.play(1.0, "yes", FINISH)
    assert await hundred(lab) == (1, 99)
    assert lab.upstream.opened == 1
    assert await hundred(lab) == (100, 0)


@on_virtual_time
async def test_a_cancelled_probe_makes_way_at_once() -> None:
    """B8: the permit is free before the upstream has finished closing."""
    lab = Lab()
    await lab.until_half_open()
    lab.upstream.close_takes_s = 0.04
    lab.upstream.play(HANG)
    lab.upstream.play("yes", FINISH)
    probe = asyncio.create_task(lab.text())
    await pause(1.0)
    assert lab.leases() == 1
    probe.cancel()
    await asyncio.sleep(0)
    assert (lab.leases(), lab.upstream.closed) == (0, 0)
    assert await lab.text() == "yes"
    await asyncio.wait((probe,))
    assert probe.cancelled()


@on_virtual_time
async def test_a_silent_probe_fails_before_its_lease_ends() -> None:
    """B1b: a first-token limit longer than the probe's own does not help it."""
    lab = Lab()
    await lab.until_half_open()
    began = lab.elapsed_s
    lab.upstream.play(HANG)
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(first_token_s=90.0)
    assert caught.value.failure.kind is FailureKind.FIRST_TOKEN_TIMEOUT
    assert lab.elapsed_s - began == lab.settings.breaker.probe_deadline_s < lab.settings.breaker.lease_s
    assert lab.view().state is BreakerState.OPEN


@on_virtual_time
async def test_a_silent_unary_probe_fails_before_its_lease_ends() -> None:
    """B1b: its own timeout may be longer than a probe's."""
    lab = Lab()
    await lab.until_half_open()
    began = lab.elapsed_s
    with pytest.raises(LeafCallFailed):
        await lab.shield.call(SUBJECT, asyncio.Event().wait, lab.deadline(120.0), timeout_s=90.0)
    assert (lab.elapsed_s - began, lab.view().state) == (30.0, BreakerState.OPEN)


@on_virtual_time
async def test_a_probe_without_text_fails_also_when_its_reader_comes_back_late() -> None:
    """B1b: a reader busy beyond the probe's deadline finds a failure, not a verdict left open."""
    lab = Lab()
    await lab.until_half_open()
    lab.upstream.play(Chunk(), HANG)
    stream = lab.stream(first_token_s=90.0)
    assert await anext(stream) == Chunk()
    await pause(31.0)
    asked_s = lab.elapsed_s
    with pytest.raises(LeafCallFailed):
        await anext(stream)
    assert (lab.view().state, lab.elapsed_s) == (BreakerState.OPEN, asked_s)


@on_virtual_time
@pytest.mark.parametrize("end", [FINISH, failure(FailureKind.RESET)], ids=["finishes", "breaks"])
async def test_a_long_answer_that_flows_closes_the_breaker_while_it_runs(end: object) -> None:
    """B1b without cutting a healthy answer: at its own deadline a probe with text is a success, once."""
    lab = Lab(retries=0)
    await lab.until_half_open()
    lab.upstream.play(*["x", 4.0] * 15, end)
    text = ""
    try:
        async for chunk in lab.stream():
            text += chunk.text
            if lab.elapsed_s > 60.0 + lab.settings.breaker.lease_s:
                assert lab.view().state is BreakerState.CLOSED
    except LeafCallFailed:
        assert end is not FINISH
    assert (text, lab.view().state, lab.view().consecutive_failures) == ("x" * 15, BreakerState.CLOSED, 0)
    assert lab.store.effects == {Effect.COUNTED: 5 + 1}, "reported once, though it was settled early"


@on_virtual_time
async def test_a_probe_that_pauses_at_its_deadline_is_settled_on_time() -> None:
    """B1b: also when nothing arrives at that moment, and the answer still completes."""
    lab = Lab()
    await lab.until_half_open()
    lab.upstream.play(15.0, "x", 18.0, "y", FINISH)
    probe = asyncio.create_task(lab.text())
    await pause(30.5)
    assert (lab.leases(), lab.view().state, probe.done()) == (0, BreakerState.CLOSED, False)
    assert await probe == "xy"


@on_virtual_time
async def test_the_planted_fault_slow_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shield that lets probes outlive their lease runs two of one generation at once (model: slow, B1b)."""

    async def most_probes_at_once() -> int:
        lab = Lab(idle_s=1_000.0)
        await lab.until_half_open()
        running: set[int] = set()
        most = 0

        async def probe(number: int) -> None:
            nonlocal most
            stream = lab.shield.stream(
                Route(subject=SUBJECT, first_token_s=400.0), lambda: slow(number), lab.deadline(500.0)
            )
            try:
                async for _ in stream:
                    pass
            except (CallRefused, LeafCallFailed):
                pass

        async def slow(number: int) -> object:
            nonlocal most
            running.add(number)
            most = max(most, len(running))
            try:
                await pause(200.0)
                yield Chunk(text="x")
            finally:
                running.discard(number)

        first = asyncio.create_task(probe(1))
        await pause(lab.settings.breaker.lease_s + 1.0)
        if lab.view().state is not BreakerState.OPEN:
            await probe(2)
        await first
        return most

    assert await most_probes_at_once() == 1
    monkeypatch.setattr(attempt.Watch, "limit", lambda self, now_s: (1e3, FailureKind.DEADLINE))
    assert await most_probes_at_once() == 2


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_thousand_concurrent_failures_open_once() -> None:
    """B11: one event, one ``until``, one generation further."""
    lab = Lab(Settings(limiter=LimiterSettings(enabled=False)), retries=0)
    lab.upstream.play(1.0, failure(FailureKind.CONNECT))
    results = await asyncio.gather(*[lab.text() for _ in range(1_000)], return_exceptions=True)
    assert all(isinstance(result, LeafCallFailed) for result in results)
    assert [(event.after, event.generation) for event in lab.events] == [(BreakerState.OPEN, 2)]
    assert (lab.view().retry_after_s, lab.store.of(SUBJECT).record.opens_in_a_row) == (60.0, 1)
    assert lab.report.outcome is Outcome.FAIL
