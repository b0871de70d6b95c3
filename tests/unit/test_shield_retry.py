"""Second tries: when, how often, how long before, and how many for a whole process (F1, F3, F4)."""

from __future__ import annotations

import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.kernel import FailureKind, Outcome
from configs.settings import BreakerSettings, Settings, ShieldSettings
from engine.contract import BreakerState
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.retry import RetryBudget, pause_s
from engine.resilience.routes import Route
from tests.support.shield_lab import FINISH, HANG, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

K = FailureKind
NEVER_OPENS = Settings(breaker=BreakerSettings(consecutive_failures=10**9, rate_min_calls=10**9))


@on_virtual_time
@pytest.mark.req("brk.classify")
async def test_a_failure_before_the_first_text_is_tried_again() -> None:
    """Fault 22: the answer is that of the second try; both are counted, the pause lies between them."""
    lab = Lab(retries=1, backoff_s=0.4)
    lab.upstream.play(1.0, failure(K.RESET))
    lab.upstream.play(2.0, "hello", FINISH)
    assert await lab.text() == "hello"
    assert (lab.report.tries, lab.report.outcome, lab.report.first_token_s) == (2, Outcome.OK, 2.0)
    assert (lab.elapsed_s, lab.report.latency_s) == (pytest.approx(3.2), pytest.approx(3.0))
    bucket = lab.store.of(SUBJECT).record.window[-1]
    assert (bucket.successes, bucket.failures) == (1, 1)


@on_virtual_time
async def test_nothing_is_tried_again_after_text_was_shown() -> None:
    """F4: a spliced answer is worse than a broken one."""
    lab = Lab(retries=5)
    lab.upstream.play("a", failure(K.RESET))
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text()
    assert (lab.upstream.opened, caught.value.failure.produced_text) == (1, True)


@on_virtual_time
@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(
    ("error", "opened"),
    [
        (failure(K.STATUS, status=500), 3),
        (failure(K.STATUS, status=409), 3),
        (failure(K.STATUS, status=529), 3),
        (failure(K.EMPTY), 3),
        (failure(K.STATUS, status=429, retry_after_s=0.01), 1),
        (failure(K.STATUS, status=429), 1),
        (failure(K.STATUS, status=401), 1),
        (failure(K.STATUS, status=404), 1),
        (failure(K.STATUS, status=400), 1),
        (failure(K.POLICY), 1),
        (failure(K.QUALITY), 1),
        (failure(K.REFUSED), 1),
        (failure(K.CANCELLED), 1),
    ],
    ids=lambda value: f"{value.failure.kind}-{value.failure.status}" if hasattr(value, "failure") else "",
)
async def test_only_what_another_try_may_cure_is_tried_again(error: BaseException, opened: int) -> None:
    """Which outcomes are retried, with two retries allowed."""
    lab = Lab(NEVER_OPENS, retries=2)
    lab.upstream.play(error)
    with pytest.raises(LeafCallFailed):
        await lab.text()
    assert (lab.upstream.opened, lab.report.tries) == (opened, opened)


@on_virtual_time
async def test_the_number_of_tries_is_bounded() -> None:
    """F1: one call and as many retries as allowed."""
    lab = Lab(NEVER_OPENS, retries=3)
    lab.upstream.play(failure(K.CONNECT))
    with pytest.raises(LeafCallFailed):
        await lab.text()
    assert lab.upstream.opened == 4


@on_virtual_time
async def test_a_retry_that_would_outlive_the_deadline_is_not_begun() -> None:
    """F3: with less time left than the pause, the failure is final at once."""
    lab = Lab(backoff_s=4.0, backoff_s_max=4.0)
    lab.upstream.play(9.0, failure(K.RESET))
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(10.0)
    assert (caught.value.outcome, lab.upstream.opened, lab.elapsed_s) == (Outcome.FAIL, 1, 9.0)


@on_virtual_time
async def test_all_tries_share_one_deadline() -> None:
    """F3: the second try gets what the first one left."""
    lab = Lab(backoff_s=0.2)
    lab.upstream.play(9.0, failure(K.RESET))
    lab.upstream.play(HANG)
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(12.0)
    assert (caught.value.outcome, lab.upstream.opened, lab.elapsed_s) == (Outcome.DEADLINE, 2, 12.0)


@on_virtual_time
@pytest.mark.parametrize(("asked_s", "opened"), [(0.9, 2), (30.0, 1)])
async def test_a_named_time_is_waited_for_or_left_to_the_next_route(asked_s: float, opened: int) -> None:
    """503 with Retry-After: never sooner; longer than the longest pause means no retry here."""
    lab = Lab()
    lab.upstream.play(failure(K.STATUS, status=503, retry_after_s=asked_s))
    lab.upstream.play("ok", FINISH)
    try:
        text = await lab.text()
    except LeafCallFailed:
        text = None
    assert (lab.upstream.opened, text) == (opened, "ok" if opened == 2 else None)
    assert lab.elapsed_s == pytest.approx(asked_s if opened == 2 else 0.0)


@on_virtual_time
async def test_a_breaker_that_opens_meanwhile_ends_the_tries_with_the_real_reason() -> None:
    """The retry is refused, and the caller learns why the call broke rather than that there was no second one."""
    lab = Lab(retries=5)
    lab.upstream.play(failure(K.CONNECT, detail="connection refused"))
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text()
    assert (caught.value.failure.detail, lab.report.outcome) == ("connection refused", Outcome.FAIL)
    assert (lab.upstream.opened, lab.report.tries, lab.report.breaker) == (5, 5, BreakerState.OPEN)
    with pytest.raises(CallRefused):
        await lab.text()
    assert lab.upstream.opened == 5


@on_virtual_time
async def test_a_storm_of_failures_adds_a_fifth_of_calls_at_most() -> None:
    """Fault 82: 60 s in which everything fails; upstream calls ≤ 1.2 × offered, and nearly all of that is used."""
    lab = Lab(NEVER_OPENS, retries=1)
    lab.upstream.play(failure(K.CONNECT))
    offered = 3_000
    for _ in range(offered):
        with pytest.raises(LeafCallFailed):
            await lab.text()
        await pause(60.0 / offered)
    assert 1.15 <= lab.upstream.opened / offered <= 1.2


@on_virtual_time
async def test_quiet_times_have_a_floor_of_retries() -> None:
    """A lone call may be tried again, however few calls there were."""
    lab = Lab(NEVER_OPENS, retries=1, retry_floor=2)
    lab.upstream.play(failure(K.CONNECT))
    for _ in range(4):
        with pytest.raises(LeafCallFailed):
            await lab.text()
    assert lab.upstream.opened == 4 + 2


@given(
    gaps=st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), max_size=300),
    floor=st.integers(0, 3),
    share=st.sampled_from((0.0, 0.2, 0.5, 1.0)),
)
def test_in_every_window_retries_keep_to_the_share_or_the_floor(
    gaps: list[tuple[float, bool]], floor: int, share: float
) -> None:
    """For any 10 s that end with a retry, retries ≤ max(floor, share × calls in them)."""
    budget = RetryBudget(ShieldSettings(retry_floor=floor), share)
    now, calls, retries = 500.0, [], []
    for gap, wants_retry in gaps:
        now += gap
        budget.called(now)
        calls.append(now)
        if wants_retry and budget.take(now):
            retries.append(now)
            recent = [at for at in retries if at > now - 10.0]
            assert len(recent) <= max(floor, share * len([at for at in calls if at > now - 10.0]))


def test_a_budget_refills_when_its_window_has_passed() -> None:
    """The floor is per window, not per life."""
    budget = RetryBudget(ShieldSettings(retry_floor=2), 0.0)
    assert [budget.take(100.0) for _ in range(3)] == [True, True, False]
    assert [budget.take(112.0) for _ in range(3)] == [True, True, False]


def test_a_budget_looks_at_neither_less_nor_more_than_its_window() -> None:
    """A retry 9.2 s ago still counts, calls 10.9 s ago no longer do."""
    floor = RetryBudget(ShieldSettings(retry_floor=1), 0.0)
    assert [floor.take(at_s) for at_s in (100.9, 110.1, 111.9)] == [True, False, True]
    share = RetryBudget(ShieldSettings(retry_floor=0), 0.5)
    for _ in range(2):
        share.called(100.05)
    assert [share.take(at_s) for at_s in (110.95, 100.05 + 20.0)] == [False, False]


def test_a_budget_does_not_grow_with_calls() -> None:
    """A window of slices, however many calls."""
    budget = RetryBudget(ShieldSettings(), ShieldSettings().retry_share)
    for number in range(10_000):
        budget.called(500.0 + number * 0.01)
        budget.take(500.0 + number * 0.01)
    assert len(budget._slices) <= 11


@pytest.mark.parametrize(("retry", "cap"), [(1, 0.05), (2, 0.1), (3, 0.2), (5, 0.8), (6, 1.0), (60, 1.0)])
def test_a_pause_is_anything_up_to_a_doubling_cap(retry: int, cap: float) -> None:
    """Full jitter: from zero to backoff_s × 2^(n−1), never over backoff_s_max."""
    chance = random.Random(retry)
    drawn = [pause_s(ShieldSettings(), retry, chance.random()) for _ in range(500)]
    assert pause_s(ShieldSettings(), retry, 0.0) == 0.0
    assert cap * 0.95 < max(drawn) < cap
    assert min(drawn) < cap * 0.05


@on_virtual_time
@pytest.mark.req("brk.nested")
async def test_an_agent_around_a_model_does_not_double_the_budget() -> None:
    """F1: the share is of leaf calls: of 100 that fail, 20 are tried again, not 40."""
    lab = Lab(NEVER_OPENS, retry_floor=0)
    lab.upstream.play(failure(FailureKind.CONNECT))
    for _ in range(100):
        inner = partial(lab.shield.stream, Route(subject=SUBJECT), lab.upstream.open, lab.deadline(9.0))
        with pytest.raises(LeafCallFailed):
            await anext(lab.shield.outer("agent:a", inner, lab.deadline(9.0)))
    assert lab.upstream.opened <= 120
    assert lab.upstream.opened >= 115
