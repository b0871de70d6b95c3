"""Single rules of the pure breaker, with literal numbers from docs/rules.md and the default settings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, BreakerView, Permit, Refusal, Report
from engine.errors import InvalidInput
from engine.resilience import breaker
from engine.resilience.record import Effect, Record, fresh
from engine.resilience.timing import open_for_s, park_for_s
from engine.resilience.window import Bucket

RULES = BreakerSettings()
NOW = 10_000.0
S = "model:p/m#k"
IDS = map("c{}".format, itertools.count())


def report_of(outcome: Outcome, retry_after_s: float | None = None) -> Report:
    """A report with its outcome's name as the reason."""
    return Report(outcome=outcome, reason=outcome.value, retry_after_s=retry_after_s)


def after(
    *outcomes: Outcome, start: Record | None = None, now_s: float = NOW, rules: BreakerSettings = RULES
) -> Record:
    """The record after calls that ended like this, one after the other, all at ``now_s``."""
    record = fresh(rules, 1) if start is None else start
    for outcome in outcomes:
        record, permit = breaker.acquire(record, rules, S, next(IDS), now_s)
        assert isinstance(permit, Permit), permit
        record, _ = breaker.report(record, rules, permit, report_of(outcome), now_s, 0.5)
    return record


OK, FAIL = Outcome.OK, Outcome.FAIL
OPENED = after(*[FAIL] * 5)


def probing(record: Record, now_s: float) -> tuple[Record, Permit]:
    """The record with a probe admitted."""
    record, permit = breaker.acquire(record, RULES, S, "probe", now_s)
    assert isinstance(permit, Permit)
    assert permit.probe
    return record, permit


@pytest.mark.req("brk.semantics")
def test_the_fifth_failure_in_a_row_opens() -> None:
    """Four failures leave it closed, the fifth opens it for 60 s at the middle of the jitter."""
    assert after(*[FAIL] * 4).state is BreakerState.CLOSED
    assert (OPENED.state, OPENED.generation, OPENED.until_s) == (BreakerState.OPEN, 2, NOW + 60.0)
    assert OPENED.reason == "5 failures in a row"
    assert OPENED.last_errors == ("fail",) * 5


def test_a_success_ends_a_run_of_failures() -> None:
    """Four failures, a success and four failures are no five in a row."""
    assert after(*[FAIL] * 4, OK, *[FAIL] * 4).state is BreakerState.CLOSED


NEUTRAL = [
    o for o in Outcome if o not in (OK, FAIL, Outcome.THROTTLE, Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING)
]


@pytest.mark.req("brk.semantics", "brk.classify")
@pytest.mark.parametrize("neutral", NEUTRAL)
def test_a_neutral_outcome_neither_counts_nor_resets(neutral: Outcome) -> None:
    """B7: the run of failures goes on across it, and however many of them come, nothing opens or moves."""
    record = after(*[FAIL] * 4, neutral)
    assert (record.consecutive_failures, record.window) == (4, after(*[FAIL] * 4).window)
    assert after(FAIL, start=record).state is BreakerState.OPEN
    many = after(*[neutral] * 100)
    assert (many.state, many.generation, many.ema_success, many.window) == (BreakerState.CLOSED, 1, 1.0, ())


def test_half_of_twenty_calls_opens() -> None:
    """The rate rule: 10 of 20 open, 9 of 20 do not, and 10 of 19 wait for the twentieth, though it succeeds."""
    mixed = [OK, FAIL] * 9
    assert after(*mixed, OK, OK).state is BreakerState.CLOSED
    assert after(*mixed, FAIL).state is BreakerState.CLOSED
    opened = after(*mixed, FAIL, OK)
    assert (opened.state, opened.reason) == (BreakerState.OPEN, "10 of 20 calls failed within 60 s")


def test_failures_leave_the_window_after_a_minute() -> None:
    """Nine failures are forgotten 60 s later, so the tenth finds no twenty calls."""
    record = after(*[OK, FAIL] * 9)
    assert after(OK, FAIL, start=record, now_s=NOW + 54.0).state is BreakerState.OPEN
    late = after(OK, FAIL, start=record, now_s=NOW + 60.0)
    assert late.state is BreakerState.CLOSED
    assert [(b.successes, b.failures) for b in late.window] == [(1, 1)]


def test_memory_does_not_grow_with_calls() -> None:
    """A million seconds of calls keep at most one window of buckets and two halves of call ids."""
    record = fresh(RULES, 1)
    for step in range(5_000):
        record = after(OK, start=record, now_s=NOW + step * 3.7)
        assert len(record.window) <= RULES.window_buckets
        assert len(record.seen.young) + len(record.seen.old) <= 2 * RULES.dedup_calls


def test_open_refuses_until_its_time_and_not_a_moment_longer() -> None:
    """B2: refused with the exact time that is left; at ``until`` the next caller is the probe."""
    _, refusal = breaker.acquire(OPENED, RULES, S, "x", NOW + 59.5)
    assert isinstance(refusal, Refusal)
    assert (refusal.state, refusal.generation, refusal.retry_after_s) == (BreakerState.OPEN, 2, 0.5)
    assert refusal.reason == "5 failures in a row"
    half, permit = probing(OPENED, NOW + 60.0)
    assert (half.state, half.generation, permit.generation) == (BreakerState.HALF_OPEN, 3, 3)


@pytest.mark.req("brk.semantics")
def test_a_good_probe_closes_and_a_bad_one_opens_for_twice_as_long() -> None:
    """HALF_OPEN ends with the probe: CLOSED with a clean slate, or OPEN 120 s."""
    half, permit = probing(OPENED, NOW + 60.0)
    closed, _ = breaker.report(half, RULES, permit, report_of(OK), NOW + 61.0, 0.5)
    assert (closed.state, closed.generation, closed.window, closed.opens_in_a_row) == (
        BreakerState.CLOSED,
        4,
        (),
        0,
    )
    opened, _ = breaker.report(half, RULES, permit, report_of(FAIL), NOW + 61.0, 0.5)
    assert (opened.state, opened.until_s) == (BreakerState.OPEN, NOW + 61.0 + 120.0)
    assert opened.reason == "probe failed: fail"


def test_a_second_caller_is_refused_while_the_probe_runs() -> None:
    """B1: with k = 1 the next caller learns when the probe's lease ends at the latest."""
    half, _ = probing(OPENED, NOW + 60.0)
    _, refusal = breaker.acquire(half, RULES, S, "second", NOW + 60.0 + RULES.lease_s - 0.25)
    assert isinstance(refusal, Refusal)
    assert (refusal.state, refusal.retry_after_s) == (BreakerState.HALF_OPEN, 0.25)
    assert refusal.reason == "a probe is running"


@pytest.mark.parametrize("neutral", NEUTRAL)
def test_a_neutral_probe_frees_its_place_at_once(neutral: Outcome) -> None:
    """B8: still half open, nothing counted, and the next caller is let in at the same instant."""
    half, permit = probing(OPENED, NOW + 60.0)
    freed, effect = breaker.report(half, RULES, permit, report_of(neutral), NOW + 60.0, 0.5)
    assert (freed.state, freed.generation, freed.leases, effect) == (BreakerState.HALF_OPEN, 3, (), Effect.NEUTRAL)
    _, again = breaker.acquire(freed, RULES, S, "next", NOW + 60.0)
    assert isinstance(again, Permit)


def test_a_probe_that_never_returns_loses_its_place() -> None:
    """B5, B10: when the lease ends the next caller probes, and the first one's success changes nothing."""
    half, permit = probing(OPENED, NOW + 60.0)
    ends = NOW + 60.0 + RULES.lease_s
    unchanged, effect = breaker.report(half, RULES, permit, report_of(OK), ends, 0.5)
    assert (unchanged, effect) == (half, Effect.LATE)
    second, _ = breaker.acquire(half, RULES, S, "second", ends)
    assert [lease.call_id for lease in second.leases] == ["second"]
    assert breaker.report(second, RULES, permit, report_of(OK), ends, 0.5) == (second, Effect.LATE)


def test_a_result_of_an_older_generation_changes_nothing() -> None:
    """B4: successes and failures that were under way when it opened are late."""
    record, permit = breaker.acquire(fresh(RULES, 1), RULES, S, "slow", NOW)
    record = after(*[FAIL] * 5, start=record)
    for outcome in Outcome:
        assert breaker.report(record, RULES, permit, report_of(outcome), NOW, 0.5) == (record, Effect.LATE)


def test_a_report_that_arrives_twice_counts_once() -> None:
    """B6: also after many others, as long as it is among the remembered ones."""
    record, permit = breaker.acquire(fresh(RULES, 1), RULES, S, "once", NOW)
    record, first = breaker.report(record, RULES, permit, report_of(FAIL), NOW, 0.5)
    record = after(*[OK] * (RULES.dedup_calls - 1), start=record)
    assert (first, record.consecutive_failures) == (Effect.COUNTED, 0)
    assert breaker.report(record, RULES, permit, report_of(FAIL), NOW, 0.5) == (record, Effect.DUPLICATE)


def test_a_replayed_request_for_leave_gets_the_same_answer() -> None:
    """X3: the probe's id is answered with its permit; after its report, with a refusal instead of a dead lease."""
    rules = RULES.model_copy(update={"half_open_successes": 2})
    half, permit = probing(OPENED, NOW + 60.0)
    assert breaker.acquire(half, rules, S, "probe", NOW + 61.0) == (half, permit)
    done, _ = breaker.report(half, rules, permit, report_of(OK), NOW + 61.0, 0.5)
    unchanged, refusal = breaker.acquire(done, rules, S, "probe", NOW + 61.0)
    assert (unchanged, isinstance(refusal, Refusal)) == (done, True)


def test_two_probes_and_two_successes_when_so_configured() -> None:
    """B9: with k = s = 2 the first success keeps it half open, the second closes."""
    rules = RULES.model_copy(update={"half_open_probes": 2, "half_open_successes": 2})
    record, permits = OPENED, []
    for name, at_s in (("a", 60.0), ("b", 61.0)):
        record, permit = breaker.acquire(record, rules, S, name, NOW + at_s)
        assert isinstance(permit, Permit)
        permits.append(permit)
    _, refusal = breaker.acquire(record, rules, S, "c", NOW + 61.0)
    assert isinstance(refusal, Refusal)
    assert refusal.retry_after_s == RULES.lease_s - 1.0
    record, _ = breaker.report(record, rules, permits[0], report_of(OK), NOW + 61.0, 0.5)
    assert record.state is BreakerState.HALF_OPEN
    record, _ = breaker.report(record, rules, permits[1], report_of(OK), NOW + 61.0, 0.5)
    assert record.state is BreakerState.CLOSED


def test_every_success_of_a_probe_counts_once() -> None:
    """B9: with s = 3 one after the other, the third closes and the second does not."""
    rules = RULES.model_copy(update={"half_open_successes": 3})
    states: list[BreakerState] = []
    record = OPENED
    for number in range(3):
        record, permit = breaker.acquire(record, rules, S, f"p{number}", NOW + 60.0)
        assert isinstance(permit, Permit)
        record, _ = breaker.report(record, rules, permit, report_of(OK), NOW + 60.0, 0.5)
        states.append(record.state)
    assert states == [BreakerState.HALF_OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


@pytest.mark.parametrize(
    ("opens", "lowest", "highest"),
    [
        (1, 48.0, 72.0),
        (2, 96.0, 144.0),
        (3, 192.0, 288.0),
        (4, 240.0, 300.0),
        (5, 240.0, 300.0),
        (900, 240.0, 300.0),
    ],
)
def test_open_time_doubles_within_its_jitter_up_to_the_cap(opens: int, lowest: float, highest: float) -> None:
    """60 s × 2^(n−1) ±20 %, never over 300 s, and never all replicas at the same instant."""
    assert open_for_s(RULES, opens, None, 0.0) == pytest.approx(lowest)
    assert open_for_s(RULES, opens, None, 1.0) == pytest.approx(highest)
    assert lowest < open_for_s(RULES, opens, None, 0.5) < highest


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 60.0), (5.0, 60.0), (90.0, 90.0), (1e9, 300.0), (math.nan, 60.0), (-1.0, 60.0)]
)
def test_a_failure_that_names_a_longer_time_gets_it(asked: float | None, expected: float) -> None:
    """503 with Retry-After: never back before it, never away longer than the clamp."""
    assert open_for_s(RULES, 1, asked, 0.5) == expected


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(
    ("asked", "sample", "expected"),
    [
        (20.0, 0.0, 20.0),
        (20.0, 0.5, 22.0),
        (0.0, 0.9, 0.0),
        (-3600.0, 0.5, 0.0),
        (1e9, 0.5, 300.0),
        (math.inf, 0.0, 300.0),
        (math.nan, 0.0, 60.0),
        (None, 0.0, 60.0),
    ],
)
def test_a_throttle_parks_for_what_was_asked(asked: float | None, sample: float, expected: float) -> None:
    """Fault 12 and 13: at least the Retry-After, a little more by jitter, clamped to [0, 300] s."""
    assert park_for_s(RULES, Outcome.THROTTLE, asked, sample) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "sample", "expected"),
    [(None, 0.0, 240.0), (None, 1.0, 360.0), (280.0, 0.0, 280.0), (1e9, 0.0, 300.0), (math.nan, 0.5, 300.0)],
)
def test_a_key_without_rights_is_tried_again_slowly(asked: float | None, sample: float, expected: float) -> None:
    """Every 300 s ±20 %, or later when told so, within the clamp."""
    for outcome in (Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING):
        assert park_for_s(RULES, outcome, asked, sample) == pytest.approx(expected)


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("outcome", [Outcome.THROTTLE, Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING])
def test_a_parked_key_is_no_failure_and_is_probed_later(outcome: Outcome) -> None:
    """One such answer parks; nothing is counted; after its time one probe decides."""
    record, permit = breaker.acquire(fresh(RULES, 1), RULES, S, "c", NOW)
    parked, _ = breaker.report(record, RULES, permit, report_of(outcome, 30.0), NOW, 0.5)
    assert (parked.state, parked.consecutive_failures, parked.ema_success) == (BreakerState.PARKED, 0, 1.0)
    assert parked.reason == f"{outcome.value}: {outcome.value}"
    assert parked.until_s - NOW == (33.0 if outcome is Outcome.THROTTLE else RULES.reprobe_s)
    half, probe = probing(parked, parked.until_s)
    again, _ = breaker.report(half, RULES, probe, report_of(outcome, 30.0), parked.until_s, 0.5)
    assert (again.state, again.generation) == (BreakerState.PARKED, 4)
    healthy, _ = breaker.report(half, RULES, probe, report_of(OK), parked.until_s, 0.5)
    assert healthy.state is BreakerState.CLOSED


@pytest.mark.req("brk.manual")
def test_what_people_set_stays_whatever_calls_report() -> None:
    """B16: failures do not open FORCED_CLOSED, successes do not close FORCED_OPEN, DISABLED counts nothing."""
    forced = breaker.force(fresh(RULES, 1), BreakerState.FORCED_CLOSED, actor="ada", reason="drill")
    busy = after(*[FAIL] * 50, start=forced)
    assert (busy.state, busy.generation, busy.actor) == (BreakerState.FORCED_CLOSED, 2, "ada")
    assert busy.ema_success < 0.01
    shut = breaker.force(busy, BreakerState.FORCED_OPEN, actor="ada", reason="maintenance")
    for later in (0.0, 1e6):
        _, refusal = breaker.acquire(shut, RULES, S, "c", NOW + later)
        assert isinstance(refusal, Refusal)
        assert (refusal.retry_after_s, refusal.reason) == (None, "maintenance")
    off = breaker.force(fresh(RULES, 1), BreakerState.DISABLED, actor="ada", reason="")
    assert after(*[FAIL] * 50, start=off).ema_success == 1.0


@pytest.mark.req("brk.manual")
def test_giving_control_back_starts_afresh_in_a_new_generation() -> None:
    """CLOSED by hand clears counts and escalation; calls of the forced time are late."""
    forced = breaker.force(OPENED, BreakerState.FORCED_CLOSED, actor="ada", reason="")
    forced, permit = breaker.acquire(forced, RULES, S, "during", NOW)
    assert isinstance(permit, Permit)
    back = breaker.force(forced, BreakerState.CLOSED, actor="bob", reason="fixed")
    assert (back.state, back.generation, back.actor, back.opens_in_a_row) == (BreakerState.CLOSED, 4, "bob", 0)
    assert breaker.report(back, RULES, permit, report_of(FAIL), NOW, 0.5) == (back, Effect.LATE)


@pytest.mark.req("brk.manual")
@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.PARKED])
def test_automatic_states_cannot_be_set_by_hand(state: BreakerState) -> None:
    """They would need times and leases that nobody gave."""
    with pytest.raises(InvalidInput) as caught:
        breaker.force(fresh(RULES, 1), state, actor="ada", reason="")
    assert caught.value.code == "invalid_breaker_state"


@pytest.mark.req("brk.manual")
def test_an_order_needs_a_name_to_it() -> None:
    """An audit trail without an actor is none."""
    with pytest.raises(InvalidInput) as caught:
        breaker.force(fresh(RULES, 1), BreakerState.FORCED_OPEN, actor=" ", reason="")
    assert caught.value.code == "invalid_actor"


def test_an_event_tells_what_changed_and_why() -> None:
    """B13: from, to, generation, reason, the last errors, when to come back, and nobody's name."""
    event = breaker.event_of(after(*[FAIL] * 4), OPENED, RULES, S, NOW)
    assert event is not None
    assert (event.before, event.after, event.generation) == (BreakerState.CLOSED, BreakerState.OPEN, 2)
    assert (event.reason, event.last_errors) == ("5 failures in a row", ("fail",) * 5)
    assert (event.retry_after_s, event.actor, event.at_s) == (60.0, "", NOW)
    assert breaker.event_of(OPENED, replace(OPENED, consecutive_failures=9), RULES, S, NOW) is None


@given(outcomes=st.lists(st.sampled_from(Outcome), max_size=200), times=st.integers(0, 300))
@pytest.mark.req("brk.semantics")
def test_the_average_depends_on_the_order_of_outcomes_only(outcomes: list[Outcome], times: int) -> None:
    """B14: e ← e + α(x − e) over counted outcomes, in [0, 1]; a run of successes folds to the same number."""
    forced = breaker.force(fresh(RULES, 1), BreakerState.FORCED_CLOSED, actor="a", reason="")
    record = after(*outcomes, start=forced)
    expected = 1.0
    for outcome in outcomes:
        if outcome in (OK, FAIL):
            expected += 0.1 * ((outcome is OK) - expected)
    assert record.ema_success == pytest.approx(expected, abs=1e-12)
    assert 0.0 <= record.ema_success <= 1.0
    folded = breaker.succeeded(record, RULES, times, NOW)
    single = after(*[OK] * times, start=record)
    assert folded.ema_success == pytest.approx(single.ema_success, abs=1e-9)
    assert times == 0 or folded.window == single.window


def test_the_average_converges_within_its_known_bound() -> None:
    """B14: after n equal outcomes it is within (1 − α)^n of them."""
    forced = breaker.force(fresh(RULES, 1), BreakerState.FORCED_CLOSED, actor="a", reason="")
    assert after(*[FAIL] * 50, start=forced).ema_success == pytest.approx(0.9**50)


def test_a_view_shows_the_whole_record() -> None:
    """Every field of the record that router and people are told about, by its own name."""
    rising = replace(OPENED, ema_success=0.25, consecutive_failures=7, actor="ada")
    assert breaker.view(rising, RULES, S, NOW + 50.0) == BreakerView(
        subject=S,
        state=BreakerState.OPEN,
        generation=2,
        consecutive_failures=7,
        ema_success=0.25,
        retry_after_s=10.0,
        reason="5 failures in a row",
        last_errors=("fail",) * 5,
        actor="ada",
    )
    overdue = breaker.view(OPENED, RULES, S, NOW + 61.0)
    assert overdue.retry_after_s == 0.0


def test_refusals_and_permits_say_whose_they_are() -> None:
    """Subject, state, generation and reason of each, in every state that gives one."""
    assert breaker.acquire(fresh(RULES, 4), RULES, S, "c", NOW)[1] == Permit(
        subject=S, call_id="c", generation=4, probe=False, state=BreakerState.CLOSED
    )
    half, permit = probing(OPENED, NOW + 60.0)
    assert permit == Permit(subject=S, call_id="probe", generation=3, probe=True, state=BreakerState.HALF_OPEN)
    assert breaker.acquire(half, RULES, S, "second", NOW + 60.0)[1] == Refusal(
        subject=S, state=BreakerState.HALF_OPEN, generation=3, retry_after_s=35.0, reason="a probe is running"
    )
    freed, _ = breaker.report(half, RULES, permit, report_of(Outcome.CANCEL), NOW + 60.0, 0.5)
    assert breaker.acquire(freed, RULES, S, "probe", NOW + 60.0) == (
        freed,
        Refusal(
            subject=S,
            state=BreakerState.HALF_OPEN,
            generation=3,
            retry_after_s=None,
            reason="this call has already reported",
        ),
    )


def test_a_failure_that_says_when_to_come_back_opens_for_that_long() -> None:
    """The Retry-After of the failure that opens is kept, in CLOSED and for a probe."""
    record, permit = breaker.acquire(after(*[FAIL] * 4), RULES, S, "fifth", NOW)
    assert isinstance(permit, Permit)
    opened, _ = breaker.report(record, RULES, permit, report_of(FAIL, 200.0), NOW, 0.5)
    assert (opened.state, opened.until_s) == (BreakerState.OPEN, NOW + 200.0)
    half, probe = probing(OPENED, NOW + 60.0)
    again, _ = breaker.report(half, RULES, probe, report_of(FAIL, 250.0), NOW + 60.0, 0.5)
    assert again.until_s == NOW + 60.0 + 250.0


def test_a_parked_key_names_its_outcome_even_without_a_reason() -> None:
    """Nothing to quote leaves no dangling colon."""
    record, permit = breaker.acquire(fresh(RULES, 1), RULES, S, "c", NOW)
    parked, effect = breaker.report(record, RULES, permit, Report(outcome=Outcome.AUTH), NOW, 0.5)
    assert (parked.reason, effect) == ("auth", Effect.NEUTRAL)


def test_closing_leaves_nothing_of_the_bad_time() -> None:
    """A good probe clears counts, window, errors and escalation; the average goes on."""
    half, probe = probing(OPENED, NOW + 60.0)
    closed, _ = breaker.report(half, RULES, probe, report_of(OK), NOW + 61.0, 0.5)
    assert replace(closed, ema_success=1.0, until_s=0.0, reason="") == fresh(RULES, 4)
    assert closed.reason == "probe succeeded"


def test_successes_in_bulk_are_worth_as_many_single_ones() -> None:
    """Three of them: the average by (1 - 0.1)^3, three in the bucket of their time, the run of failures ended."""
    record = replace(after(*[FAIL] * 4), ema_success=0.5)
    done = breaker.succeeded(record, RULES, 3, NOW + 5.0)
    assert done.ema_success == pytest.approx(1.0 - 0.5 * 0.729)
    assert (done.consecutive_failures, done.window) == (0, (Bucket(2_000, 0, 4, 0), Bucket(2_001, 3, 0, 0)))
    assert replace(done, ema_success=0.5, consecutive_failures=4, window=record.window) == record
