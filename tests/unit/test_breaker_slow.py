"""Slow answers: what they count for, when they open, and what ``may_open`` holds back."""

from __future__ import annotations

import itertools

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Report
from engine.resilience import breaker
from engine.resilience.record import Effect, Record, fresh
from engine.resilience.window import Bucket, add, calm, trips

RULES = BreakerSettings(slow_rate=0.5, rate_min_calls=10, failure_rate=0.5, consecutive_failures=3, jitter=0.0)
NOW = 10_000.0
BUCKET = 2_000
IDS = map("s{}".format, itertools.count())
QUICK, SLOW = Report(outcome=Outcome.OK), Report(outcome=Outcome.OK, slow=True)
FAIL = Report(outcome=Outcome.FAIL, reason="boom")
HELD = Report(outcome=Outcome.FAIL, reason="held", may_open=False)
SLOW_HELD = Report(outcome=Outcome.OK, slow=True, may_open=False)


def after(*reports: Report, start: Record | None = None, now_s: float = NOW) -> Record:
    """The record after calls that were reported like this, one after the other."""
    record = fresh(RULES, 1) if start is None else start
    for report in reports:
        record, permit = breaker.acquire(record, RULES, "s", next(IDS), now_s)
        assert isinstance(permit, Permit), permit
        record, effect = breaker.report(record, RULES, permit, report, now_s, 0.5)
        assert effect is Effect.COUNTED
    return record


def test_a_slow_success_is_a_success_and_is_counted_as_slow() -> None:
    """It ends a run of failures, lifts the average, and stands in the window as one of the successes."""
    record = after(FAIL, FAIL, SLOW, QUICK, SLOW)
    assert (record.consecutive_failures, record.window) == (0, (Bucket(BUCKET, 3, 2, 2),))
    assert record.ema_success == after(FAIL, FAIL, QUICK, QUICK, QUICK).ema_success
    assert record.last_errors == ("boom", "boom")


def test_a_failure_is_never_slow() -> None:
    """How long a failed call took says nothing more: the failure is counted once, under failures."""
    record = after(Report(outcome=Outcome.FAIL, slow=True))
    assert record.window == (Bucket(BUCKET, 0, 1, 0),)


@pytest.mark.req("brk.semantics")
def test_half_of_ten_slow_calls_opens() -> None:
    """B12: 5 of 10 open, 4 of 10 do not, and 5 of 9 wait for the tenth, though it is quick."""
    assert after(*[SLOW] * 4, *[QUICK] * 6).state is BreakerState.CLOSED
    assert after(*[SLOW] * 5, *[QUICK] * 4).state is BreakerState.CLOSED
    opened = after(*[SLOW] * 5, *[QUICK] * 5)
    assert (opened.state, opened.generation, opened.until_s) == (BreakerState.OPEN, 2, NOW + 60.0)
    assert opened.reason == "5 of 10 calls were slow within 60 s"


def test_the_tenth_call_that_is_slow_itself_opens() -> None:
    """The call that completes the share is part of it."""
    assert after(*[QUICK] * 5, *[SLOW] * 4).state is BreakerState.CLOSED
    assert after(*[QUICK] * 5, *[SLOW] * 5).state is BreakerState.OPEN


def test_failures_are_part_of_the_volume_of_the_slow_rule() -> None:
    """The share is of all counted calls: 5 slow ones of 10 open although 2 of the rest failed."""
    opened = after(FAIL, QUICK, FAIL, QUICK, QUICK, *[SLOW] * 5)
    assert (opened.state, opened.reason) == (BreakerState.OPEN, "5 of 10 calls were slow within 60 s")


def test_the_failure_rule_is_named_before_the_slow_one() -> None:
    """Both hold at the tenth call: half failed, half were slow."""
    mixed = [SLOW, FAIL] * 5
    assert after(*mixed[:9]).state is BreakerState.CLOSED
    assert after(*mixed).reason == "5 of 10 calls failed within 60 s"


def test_slow_calls_leave_the_window_after_a_minute() -> None:
    """Four slow calls are forgotten 60 s later."""
    record = after(*[SLOW] * 4, *[QUICK] * 5)
    assert after(SLOW, start=record, now_s=NOW + 54.0).state is BreakerState.OPEN
    assert after(SLOW, start=record, now_s=NOW + 60.0).window == (Bucket(BUCKET + 12, 1, 0, 1),)


def half_open() -> tuple[Record, Permit]:
    """A probe under way after one opening."""
    opened = after(*[FAIL] * 3)
    record, probe = breaker.acquire(opened, RULES, "s", "probe", NOW + 60.0)
    assert isinstance(probe, Permit)
    assert probe.probe
    return record, probe


@pytest.mark.req("brk.semantics")
def test_a_slow_probe_opens_again_for_longer() -> None:
    """Who crawls has not recovered: OPEN for twice as long, and the success is in the average."""
    half, probe = half_open()
    opened, effect = breaker.report(half, RULES, probe, SLOW, NOW + 60.0, 0.5)
    assert (opened.state, opened.until_s, effect) == (BreakerState.OPEN, NOW + 60.0 + 120.0, Effect.COUNTED)
    assert (opened.reason, opened.opens_in_a_row) == ("the probe was slow", 2)
    assert opened.ema_success > half.ema_success


def test_a_probe_opens_again_even_when_it_may_not_open() -> None:
    """``may_open`` keeps a model asked that is CLOSED; one that was out already has nothing to be kept in."""
    half, probe = half_open()
    for report, why in ((HELD, "probe failed: held"), (SLOW_HELD, "the probe was slow")):
        opened, _ = breaker.report(half, RULES, probe, report, NOW + 60.0, 0.5)
        assert (opened.state, opened.reason) == (BreakerState.OPEN, why)


def test_a_window_with_a_slow_call_is_not_calm() -> None:
    """Quick successes may be counted in bulk only while none of them could trip a rule."""
    assert calm(())
    assert calm((Bucket(1, 5, 0, 0), Bucket(2, 1, 0, 0)))
    assert not calm((Bucket(1, 5, 0, 1), Bucket(2, 1, 0, 0)))
    assert not calm((Bucket(1, 5, 0, 0), Bucket(2, 0, 1, 0)))


def test_what_may_not_open_is_counted_all_the_same() -> None:
    """Failures in a row go on beyond the threshold; the next one that may open does, and says how many it were."""
    held = after(*[HELD] * 5)
    assert (held.state, held.generation, held.consecutive_failures) == (BreakerState.CLOSED, 1, 5)
    assert (held.window, held.last_errors) == ((Bucket(BUCKET, 0, 5, 0),), ("held",) * 5)
    opened = after(FAIL, start=held)
    assert (opened.state, opened.reason) == (BreakerState.OPEN, "6 failures in a row")


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ([SLOW_HELD] * 10, "10 of 11 calls were slow within 60 s"),
        ([QUICK] * 5 + [HELD] * 6, "6 of 12 calls failed within 60 s"),
    ],
)
def test_the_rate_rules_wait_for_a_report_that_may_open(held: list[Report], why: str) -> None:
    """With max ejection the share is reached and nothing opens; the next counted report does, a good one too."""
    kept = after(*held)
    assert (kept.state, kept.generation) == (BreakerState.CLOSED, 1)
    opened = after(QUICK, start=kept)
    assert (opened.state, opened.reason) == (BreakerState.OPEN, why)


@pytest.mark.parametrize(
    ("window", "why"),
    [
        ((), None),
        ((Bucket(1, 9, 0, 9),), None),
        ((Bucket(1, 4, 0, 4), Bucket(2, 6, 0, 1)), "5 of 10 calls were slow within 60 s"),
        ((Bucket(1, 4, 0, 4), Bucket(2, 7, 0, 1)), None),
        ((Bucket(1, 2, 2, 0), Bucket(2, 3, 3, 0)), "5 of 10 calls failed within 60 s"),
        ((Bucket(1, 3, 2, 0), Bucket(2, 3, 3, 0)), None),
    ],
)
def test_the_rate_rules_on_literal_windows(window: tuple[Bucket, ...], why: str | None) -> None:
    """At least 10 calls, at least half of all of them, over all buckets."""
    assert trips(window, RULES) == why


def test_outcomes_of_one_instant_are_added_to_its_bucket() -> None:
    """All three counts grow, in the newest bucket only, also when the clock has gone back (fault 76)."""
    window = add((), RULES, 100.0, successes=1, failures=2, slow=1)
    window = add(window, RULES, 105.0, successes=3, failures=4, slow=2)
    assert window == (Bucket(20, 1, 2, 1), Bucket(21, 3, 4, 2))
    for now_s in (109.9, 105.0, 17.0):
        assert add(window, RULES, now_s, successes=10, failures=20, slow=5) == (
            Bucket(20, 1, 2, 1),
            Bucket(21, 13, 24, 7),
        )


def test_a_bucket_is_dropped_when_the_window_has_passed_it() -> None:
    """Twelve buckets of 5 s: the one of 55 s ago stays, the one of 60 s ago goes."""
    window = (Bucket(20, 1, 0, 0), Bucket(21, 2, 0, 0))
    assert [b.number for b in add(window, RULES, 155.0, successes=1, failures=0, slow=0)] == [20, 21, 31]
    assert [b.number for b in add(window, RULES, 160.0, successes=1, failures=0, slow=0)] == [21, 32]
    assert [b.number for b in add(window, RULES, 165.0, successes=1, failures=0, slow=0)] == [33]
