"""What the store in process adds to the pure breaker: cells, cheap views, a bound on subjects, the quick path."""

from __future__ import annotations

import time

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, Permit, Report
from engine.resilience.errors import CallRefused
from engine.resilience.local import LocalBreakerStore
from engine.resilience.record import Effect
from tests.support.clock import FakeClock

OK = Report(outcome=Outcome.OK, reason="", retry_after_s=None)
FAIL = Report(outcome=Outcome.FAIL, reason="boom", retry_after_s=None)


def make(clock: FakeClock, **rules: object) -> tuple[LocalBreakerStore, list[BreakerMoved]]:
    """A store and what it tells."""
    events: list[BreakerMoved] = []
    settings = BreakerSettings(**rules)
    return LocalBreakerStore(settings, clock=clock, sample=lambda: 0.5, listeners=(events.append,)), events


def fail(store: LocalBreakerStore, subject: str, times: int) -> None:
    """Failures in a row."""
    cell = store.of(subject)
    for _ in range(times):
        permit = cell.acquire(store.new_id())
        assert isinstance(permit, Permit)
        cell.report(permit, FAIL)


async def one() -> int:
    """A call that works."""
    return 1


async def boom() -> int:
    """A call that does not."""
    raise OSError("boom")


async def test_the_quick_path_counts_like_the_long_one(clock: FakeClock) -> None:
    """Successes by ``run`` end in the same window, average and count as successes by permit."""
    quick, _ = make(clock, ema_start=0.5)
    slow, _ = make(clock, ema_start=0.5)
    for _ in range(40):
        clock.advance(0.7)
        assert await quick.of("s").run(one) == 1
        permit = slow.of("s").acquire(slow.new_id())
        assert isinstance(permit, Permit)
        slow.of("s").report(permit, OK)
    left, right = quick.of("s").record, slow.of("s").record
    assert left.window == right.window
    assert sum(bucket.successes for bucket in left.window) == 40
    assert left.ema_success == pytest.approx(right.ema_success)
    assert left.ema_success > 0.98
    assert (slow.effects[Effect.COUNTED], quick.effects[Effect.COUNTED] < 10) == (40, True), "it was no quick path"


async def test_a_success_on_the_quick_path_ends_a_run_of_failures(clock: FakeClock) -> None:
    """Four failures, one success and four failures do not open; a fifth does."""
    store, events = make(clock)
    cell = store.of("s")
    for outcome in "ffff+ffff":
        if outcome == "+":
            await cell.run(one)
        else:
            with pytest.raises(OSError, match="boom"):
                await cell.run(boom)
    assert events == []
    with pytest.raises(OSError, match="boom"):
        await cell.run(boom)
    assert [event.after for event in events] == [BreakerState.OPEN]
    with pytest.raises(CallRefused):
        await cell.run(one)


async def test_a_success_that_began_before_the_breaker_opened_is_late(clock: FakeClock) -> None:
    """B4 on the quick path: the generation is remembered across the wait."""
    store, _ = make(clock)

    async def meanwhile_all_fail() -> int:
        fail(store, "s", 5)
        return 1

    assert await store.of("s").run(meanwhile_all_fail) == 1
    record = store.of("s").record
    assert (record.state, record.consecutive_failures) == (BreakerState.OPEN, 5)
    assert store.effects[Effect.LATE] == 1


async def test_a_success_that_began_before_control_was_given_back_is_late(clock: FakeClock) -> None:
    """B4 on the quick path: also when the breaker is closed and calm again by then."""
    store, _ = make(clock, ema_start=0.5)

    async def meanwhile_taken_over() -> int:
        await store.force("s", BreakerState.FORCED_OPEN, actor="ada", reason="")
        await store.force("s", BreakerState.CLOSED, actor="ada", reason="")
        return 1

    assert await store.of("s").run(meanwhile_taken_over) == 1
    record = store.of("s").record
    assert (record.generation, record.window, record.ema_success) == (3, (), 0.5)


async def test_a_refusal_of_the_quick_path_makes_no_call(clock: FakeClock) -> None:
    """The callable is not even called."""
    store, _ = make(clock)
    fail(store, "s", 5)
    called: list[int] = []

    async def call() -> None:
        called.append(1)

    with pytest.raises(CallRefused):
        await store.of("s").run(call)
    assert called == []


async def test_views_of_unknown_subjects_make_no_breakers(clock: FakeClock) -> None:
    """Asking about names costs no memory for ever."""
    store, _ = make(clock, subjects_max=10)
    names = tuple(f"agent:{number}" for number in range(1_000))
    views = await store.view(names)
    assert {view.state for view in views.values()} == {BreakerState.CLOSED}
    assert (len(views), len(store._breakers)) == (1_000, 0)
    assert len(store._unused) <= 10


async def test_an_open_time_that_has_passed_shows_in_a_view(clock: FakeClock) -> None:
    """A router that only looks must see that a probe may go: HALF_OPEN, and the event is told once."""
    store, events = make(clock)
    fail(store, "s", 5)
    clock.advance(60.0)
    for _ in range(3):
        assert (await store.view(("s",)))["s"].state is BreakerState.HALF_OPEN
    assert [event.after for event in events] == [BreakerState.OPEN, BreakerState.HALF_OPEN]


async def test_a_view_is_of_now(clock: FakeClock) -> None:
    """Successes of the quick path and passing time are in it, however often it was asked before."""
    store, _ = make(clock, ema_start=0.5)
    cell = store.of("s")
    before = cell.view()
    assert cell.view() is before
    await cell.run(one)
    assert cell.view().ema_success > before.ema_success
    fail(store, "s", 5)
    assert cell.view().retry_after_s == 60.0
    clock.advance(1.0)
    assert cell.view().retry_after_s == 59.0


@pytest.mark.req("brk.everywhere")
async def test_looking_at_150_breakers_is_cheap(clock: FakeClock) -> None:
    """A routing decision looks at every agent: a second look costs under 200 µs in all, used or not."""
    store, _ = make(clock)
    names = tuple(f"agent:{number}" for number in range(150))
    for name in names[:75]:
        await store.of(name).run(one)
    await store.view(names)
    best = 1.0
    for _ in range(50):
        began = time.perf_counter()
        views = await store.view(names)
        best = min(best, time.perf_counter() - began)
    assert len(views) == 150
    assert best < 200e-6


async def test_the_number_of_breakers_is_bounded_and_trouble_is_remembered(clock: FakeClock) -> None:
    """Of many subjects the least recently used quiet ones go; an open one stays, a busy one stays."""
    store, _ = make(clock, subjects_max=8)
    fail(store, "open", 5)
    for number in range(100):
        await store.of("busy").run(one)
        await store.of(f"s{number}").run(one)
    assert len(store._breakers) == 8
    assert (await store.view(("open",)))["open"].state is BreakerState.OPEN
    assert sum(bucket.successes for bucket in store.of("busy").record.window) == 100


async def test_a_forgotten_subject_never_takes_an_old_report_for_one_of_its_own(clock: FakeClock) -> None:
    """B3, B4: its next breaker starts at a higher generation."""
    store, _ = make(clock, subjects_max=1)
    permit = await store.acquire("a", "slow")
    assert isinstance(permit, Permit)
    never = (await store.view(("never",)))["never"]
    await store.acquire("b", "other")
    assert (await store.view(("never",)))["never"].generation > never.generation
    again = await store.acquire("a", "next")
    assert isinstance(again, Permit)
    assert again.generation > permit.generation
    view = await store.report(permit, Report(outcome=Outcome.FAIL))
    assert (view.consecutive_failures, store.effects[Effect.LATE]) == (0, 1)


async def test_what_reports_did_is_counted_for_metrics(clock: FakeClock) -> None:
    """Counted, neutral, duplicate and late are told apart (B4: "metrics aside")."""
    store, _ = make(clock)
    permit = await store.acquire("s", "a")
    assert isinstance(permit, Permit)
    other = await store.acquire("s", "b")
    assert isinstance(other, Permit)
    for _ in range(2):
        await store.report(permit, Report(outcome=Outcome.FAIL))
    await store.report(other, Report(outcome=Outcome.CANCEL))
    await store.force("s", BreakerState.CLOSED, actor="ada", reason="")
    await store.report(permit, Report(outcome=Outcome.FAIL))
    assert store.effects == {Effect.COUNTED: 1, Effect.NEUTRAL: 1, Effect.DUPLICATE: 1, Effect.LATE: 1}
