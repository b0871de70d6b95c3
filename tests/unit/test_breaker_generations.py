"""What a new generation leaves behind, and what steps that change nothing say and return."""

from __future__ import annotations

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Refusal, Report
from engine.errors import InvalidInput
from engine.resilience import breaker
from engine.resilience.record import Record, fresh
from engine.resilience.timing import open_for_s

RULES = BreakerSettings(consecutive_failures=1, half_open_probes=2, half_open_successes=2, jitter=0.0)
NOW = 10_000.0
OK, FAIL, CANCEL = Report(outcome=Outcome.OK), Report(outcome=Outcome.FAIL), Report(outcome=Outcome.CANCEL)


def asked(record: Record, call_id: str, now_s: float) -> tuple[Record, Permit]:
    """The record with leave given to ``call_id``."""
    record, permit = breaker.acquire(record, RULES, "s", call_id, now_s)
    assert isinstance(permit, Permit), permit
    return record, permit


def ended(record: Record, permit: Permit, report: Report, now_s: float) -> Record:
    """The record after that call."""
    return breaker.report(record, RULES, permit, report, now_s, 0.5)[0]


def opened() -> Record:
    """OPEN for 60 s after one failure."""
    return ended(*asked(fresh(RULES, 1), "first", NOW), FAIL, NOW)


def test_successes_of_an_earlier_try_do_not_close_a_later_one() -> None:
    """B9: one good probe, one bad one, and next time two good ones are needed again."""
    record, good = asked(opened(), "good", NOW + 60.0)
    record, bad = asked(record, "bad", NOW + 60.0)
    record = ended(record, good, OK, NOW + 60.0)
    assert (record.state, record.probe_successes) == (BreakerState.HALF_OPEN, 1)
    record = ended(record, bad, FAIL, NOW + 60.0)
    record, again = asked(record, "again", NOW + 180.0)
    record = ended(record, again, OK, NOW + 180.0)
    assert (record.state, record.probe_successes) == (BreakerState.HALF_OPEN, 1)


def test_probes_of_an_earlier_try_take_no_place_in_a_later_one() -> None:
    """B1, B4: a probe that still ran when another one failed holds no lease afterwards."""
    record, bad = asked(opened(), "bad", NOW + 60.0)
    record, _ = asked(record, "running", NOW + 60.0)
    record = ended(record, bad, FAIL, NOW + 60.0)
    assert (record.state, record.leases) == (BreakerState.OPEN, ())


def test_who_gave_control_back_did_not_open_it() -> None:
    """B16: the automatic change after an order carries nobody's name."""
    back = breaker.force(opened(), BreakerState.CLOSED, actor="bob", reason="fixed")
    assert back.actor == "bob"
    record = ended(*asked(back, "c", NOW), FAIL, NOW)
    assert (record.state, record.actor) == (BreakerState.OPEN, "")


def test_the_end_of_the_open_time_has_a_reason_of_its_own() -> None:
    """B13: the change to HALF_OPEN does not repeat why it had opened."""
    assert breaker.expire(opened(), NOW + 60.0).reason == "time to probe"


def test_a_step_that_changes_nothing_returns_the_record_itself() -> None:
    """Stores compare by identity to see whether there is something to write."""
    closed, still_open = fresh(RULES, 1), opened()
    half, _ = asked(still_open, "probe", NOW + 60.0)
    assert breaker.expire(closed, NOW) is closed
    assert breaker.expire(still_open, NOW + 59.0) is still_open
    assert breaker.expire(half, NOW + 60.0 + RULES.lease_s - 0.1) is half


def test_a_call_that_has_reported_learns_when_a_place_will_be_free() -> None:
    """X3: its replayed request is refused with the lease that ends first, not with nothing."""
    record, done = asked(opened(), "done", NOW + 60.0)
    record = ended(record, done, CANCEL, NOW + 60.0)
    record, _ = asked(record, "a", NOW + 61.0)
    record, _ = asked(record, "b", NOW + 62.0)
    _, refusal = breaker.acquire(record, RULES, "s", "done", NOW + 70.0)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.retry_after_s) == ("this call has already reported", RULES.lease_s - 9.0)


def test_impossible_orders_are_refused_in_words() -> None:
    """B16: what was ordered stands in the message."""
    with pytest.raises(InvalidInput) as caught:
        breaker.force(opened(), BreakerState.PARKED, actor="ada", reason="")
    assert str(caught.value) == "a breaker cannot be forced to 'parked'"
    with pytest.raises(InvalidInput) as caught:
        breaker.force(opened(), BreakerState.CLOSED, actor="", reason="")
    assert str(caught.value) == "a breaker is forced by somebody: actor is empty"


def test_the_open_time_stays_finite_however_often_it_opens() -> None:
    """Doubling ends at 2^64: enough for any cap, and no float overflows."""
    tiny = BreakerSettings(open_s=1e-20, open_s_max=1.0, jitter=0.0)
    assert open_for_s(tiny, 1_000_000, None, 0.5) == pytest.approx(0.18446744073709552)
