"""The circuit breaker as a pure state machine (docs/rules.md, B1-B16).

Not a store, not a clock, not a lock: each function takes a record, the rules and the time, and returns the next
record. ``local.py`` keeps records in this process; a shared store runs the same steps in Lua, which is why a
record holds nothing but numbers, strings and tuples. Nothing raises, except ``force`` for impossible orders.
"""

from __future__ import annotations

from dataclasses import replace

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Refusal, Report
from engine.errors import InvalidInput
from engine.resilience import window as rate
from engine.resilience.classify import counts, parks
from engine.resilience.record import NOTHING_SEEN, Effect, Lease, Record, Seen
from engine.resilience.timing import open_for_s, park_for_s

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
FORCED_OPEN, FORCED_CLOSED = BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED
DISABLED, PARKED = BreakerState.DISABLED, BreakerState.PARKED
BY_HAND = frozenset({FORCED_OPEN, FORCED_CLOSED, DISABLED, CLOSED})


def expire(record: Record, now_s: float) -> Record:
    """What time alone does: OPEN and PARKED end, leases die (B2, B5)."""
    if record.state in (OPEN, PARKED):
        return record if now_s < record.until_s else _moved(record, HALF_OPEN, "time to probe")
    if record.leases and any(lease.expires_s <= now_s for lease in record.leases):
        return replace(record, leases=tuple(lease for lease in record.leases if lease.expires_s > now_s))
    return record


def acquire(
    record: Record, rules: BreakerSettings, subject: str, call_id: str, now_s: float
) -> tuple[Record, Permit | Refusal]:
    """Leave for one call, or why not. Asking again with the id of a running probe repeats its permit (X3)."""
    record = expire(record, now_s)
    if record.state is HALF_OPEN:
        return _acquire_probe(record, rules, subject, call_id, now_s)
    if record.state in (OPEN, PARKED, FORCED_OPEN):
        return record, _refusal(record, rules, subject, now_s, record.reason)
    return record, _permit(record, subject, call_id)


def report(
    record: Record, rules: BreakerSettings, permit: Permit, result: Report, now_s: float, sample: float
) -> tuple[Record, Effect]:
    """Count how a call ended and free its permit. ``sample`` in [0, 1) spreads the time until the next probe.

    A report of another generation, without a live lease in HALF_OPEN, or delivered before, changes nothing
    (B4, B6, B10).
    """
    if permit.generation != record.generation:
        return record, Effect.LATE
    if permit.call_id in record.seen.young or permit.call_id in record.seen.old:
        return record, Effect.DUPLICATE
    leases = record.leases
    if record.state is HALF_OPEN:
        if not any(lease.call_id == permit.call_id and lease.expires_s > now_s for lease in leases):
            return record, Effect.LATE
        leases = tuple(lease for lease in leases if lease.call_id != permit.call_id)
    seen = _remembering(record.seen, permit.call_id, rules)
    if record.state is not DISABLED and counts(result.outcome):
        tallied = _tallied(record, rules, result, now_s, seen=seen, leases=leases)
        return _judged(tallied, rules, result, now_s, sample), Effect.COUNTED
    noted = replace(record, seen=seen, leases=leases)
    if parks(result.outcome) and record.state in (CLOSED, HALF_OPEN):
        noted = _parked(noted, rules, result, now_s, sample)
    return noted, Effect.NEUTRAL


def succeeded(record: Record, rules: BreakerSettings, times: int, now_s: float) -> Record:
    """``times`` successes of one CLOSED generation that ended in the bucket of ``now_s``, counted in one step.

    The same as reporting them one by one where no success can trip a rate rule: in a calm window.
    The caller vouches that each is counted once.
    """
    missing = 1.0 - record.ema_success
    return replace(
        record,
        consecutive_failures=0,
        window=rate.add(record.window, rules, now_s, successes=times, failures=0, slow=0),
        ema_success=1.0 - missing * (1.0 - rules.ema_alpha) ** times,
    )


def force(record: Record, state: BreakerState, *, actor: str, reason: str) -> Record:
    """What a person orders (B16): FORCED_OPEN, FORCED_CLOSED, DISABLED, or CLOSED to give control back.

    Raises ``InvalidInput`` for other states and for orders without a name to them.
    """
    if state not in BY_HAND:
        raise InvalidInput(f"a breaker cannot be forced to {state.value!r}", code="invalid_breaker_state")
    if not actor.strip():
        raise InvalidInput("a breaker is forced by somebody: actor is empty", code="invalid_actor")
    moved = _closed(record, reason) if state is CLOSED else _moved(record, state, reason)
    return replace(moved, actor=actor)


def view(record: Record, rules: BreakerSettings, subject: str, now_s: float) -> BreakerView:
    """The record for router and people; pass it through ``expire`` first."""
    return BreakerView(
        subject=subject,
        state=record.state,
        generation=record.generation,
        consecutive_failures=record.consecutive_failures,
        ema_success=record.ema_success,
        retry_after_s=_retry_after_s(record, rules, now_s),
        reason=record.reason,
        last_errors=record.last_errors,
        actor=record.actor,
    )


def event_of(
    before: Record, after: Record, rules: BreakerSettings, subject: str, now_s: float
) -> BreakerMoved | None:
    """The event that one step amounts to; ``None`` when the generation stayed (B13)."""
    if after.generation == before.generation:
        return None
    return BreakerMoved(
        subject=subject,
        generation=after.generation,
        before=before.state,
        after=after.state,
        at_s=now_s,
        reason=after.reason,
        last_errors=after.last_errors,
        retry_after_s=_retry_after_s(after, rules, now_s),
        actor=after.actor,
    )


def _acquire_probe(
    record: Record, rules: BreakerSettings, subject: str, call_id: str, now_s: float
) -> tuple[Record, Permit | Refusal]:
    if any(lease.call_id == call_id for lease in record.leases):
        return record, _permit(record, subject, call_id)
    if call_id in record.seen.young or call_id in record.seen.old:
        # A replayed request for leave after the report would hold a lease that nobody frees (X3).
        return record, _refusal(record, rules, subject, now_s, "this call has already reported")
    if len(record.leases) >= rules.half_open_probes:
        return record, _refusal(record, rules, subject, now_s, "a probe is running")
    granted = replace(record, leases=(*record.leases, Lease(call_id, now_s + rules.lease_s)))
    return granted, _permit(granted, subject, call_id)


def _tallied(
    record: Record, rules: BreakerSettings, result: Report, now_s: float, *, seen: Seen, leases: tuple[Lease, ...]
) -> Record:
    ok = result.outcome is Outcome.OK
    errors = record.last_errors if ok else (*record.last_errors, result.reason)[-rules.errors_kept :]
    return replace(
        record,
        consecutive_failures=0 if ok else record.consecutive_failures + 1,
        window=rate.add(
            record.window, rules, now_s, successes=int(ok), failures=int(not ok), slow=int(ok and result.slow)
        ),
        ema_success=record.ema_success + rules.ema_alpha * (float(ok) - record.ema_success),
        leases=leases,
        seen=seen,
        last_errors=errors,
    )


def _judged(record: Record, rules: BreakerSettings, result: Report, now_s: float, sample: float) -> Record:
    """The state that a fresh tally leads to."""
    if record.state is HALF_OPEN:
        if result.outcome is Outcome.FAIL:
            return _opened(record, rules, result, f"probe failed: {result.reason}", now_s, sample)
        if result.slow:
            return _opened(record, rules, result, "the probe was slow", now_s, sample)
        if record.probe_successes + 1 >= rules.half_open_successes:
            return _closed(record, "probe succeeded")
        return replace(record, probe_successes=record.probe_successes + 1)
    if record.state is CLOSED:
        why = rate.trips(record.window, rules)
        if record.consecutive_failures >= rules.consecutive_failures:
            why = f"{record.consecutive_failures} failures in a row"
        if why is not None and result.may_open:
            return _opened(record, rules, result, why, now_s, sample)
    return record


def _opened(
    record: Record, rules: BreakerSettings, result: Report, reason: str, now_s: float, sample: float
) -> Record:
    opens = record.opens_in_a_row + 1
    wait_s = open_for_s(rules, opens, result.retry_after_s, sample)
    return replace(_moved(record, OPEN, reason), until_s=now_s + wait_s, opens_in_a_row=opens)


def _parked(record: Record, rules: BreakerSettings, result: Report, now_s: float, sample: float) -> Record:
    reason = f"{result.outcome.value}: {result.reason}" if result.reason else result.outcome.value
    wait_s = park_for_s(rules, result.outcome, result.retry_after_s, sample)
    return replace(_moved(record, PARKED, reason), until_s=now_s + wait_s)


def _closed(record: Record, reason: str) -> Record:
    return replace(
        _moved(record, CLOSED, reason), consecutive_failures=0, window=rate.EMPTY, opens_in_a_row=0, last_errors=()
    )


def _moved(record: Record, state: BreakerState, reason: str) -> Record:
    return replace(
        record,
        state=state,
        generation=record.generation + 1,
        probe_successes=0,
        leases=(),
        seen=NOTHING_SEEN,
        reason=reason,
        actor="",
    )


def _remembering(seen: Seen, call_id: str, rules: BreakerSettings) -> Seen:
    if len(seen.young) < rules.dedup_calls:
        return Seen(seen.young | {call_id}, seen.old)
    return Seen(frozenset({call_id}), seen.young)


def _retry_after_s(record: Record, rules: BreakerSettings, now_s: float) -> float | None:
    if record.state in (OPEN, PARKED):
        return max(0.0, record.until_s - now_s)
    if record.state is HALF_OPEN and len(record.leases) >= rules.half_open_probes:
        return max(0.0, min(lease.expires_s for lease in record.leases) - now_s)
    return None


def _permit(record: Record, subject: str, call_id: str) -> Permit:
    return Permit(
        subject=subject,
        call_id=call_id,
        generation=record.generation,
        probe=record.state is HALF_OPEN,
        state=record.state,
    )


def _refusal(record: Record, rules: BreakerSettings, subject: str, now_s: float, reason: str) -> Refusal:
    return Refusal(
        subject=subject,
        state=record.state,
        generation=record.generation,
        retry_after_s=_retry_after_s(record, rules, now_s),
        reason=reason,
    )
