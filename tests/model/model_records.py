"""Breaker records up to what can be told apart: the shared half of a state of the model checker.

Three symmetries make the state space finite, although clock, generations and calls have no bound. Times are kept
relative to now, as no rule looks at anything but differences. A generation is the current one or an older one, as
it never comes back (B3). A call id that nobody holds any more has no name. Averages, windows and texts are left
out: with ``RATE_OFF`` no transition depends on them (those have ``tests/property``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from configs.resilience import BreakerSettings
from engine.contract import BreakerState
from engine.resilience.record import Lease, Record, Seen, fresh

NOW = 1_000.0
"""The present of every record here, in ticks of a second."""
GENERATION = 100
OLD = GENERATION - 1
FOR_EVER = 10_000.0
RATE_OFF = 1_000_000
HALF_OPEN, OPEN, PARKED, CLOSED = (
    BreakerState.HALF_OPEN,
    BreakerState.OPEN,
    BreakerState.PARKED,
    BreakerState.CLOSED,
)
FORCED = (BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED, BreakerState.DISABLED)


def rules(*, probes: int, successes: int, deadline: int) -> BreakerSettings:
    """Tiny settings: two failures in a row open for one tick, then for two."""
    return BreakerSettings(
        consecutive_failures=2,
        rate_min_calls=RATE_OFF,
        open_s=1.0,
        open_s_max=2.0,
        park_s_max=2.0,
        reprobe_s=2.0,
        jitter=0.0,
        half_open_probes=probes,
        half_open_successes=successes,
        probe_deadline_s=float(deadline),
        lease_s=float(deadline + 1),
    )


class Tally(NamedTuple):
    """What the checker counts for itself, to hold the record against."""

    row: int
    """Failures since the last success or closing, up to the threshold."""
    okays: int
    """Good probes of this HALF_OPEN period."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A record as it stands for all that differ from it in names, dates and averages only."""

    record: Record
    tally: Tally


def call_of(slot: int) -> str:
    """The id of the call in a slot."""
    return f"c{slot}"


def normal(record: Record, limits: BreakerSettings, slots: int) -> Record:
    """The representative of ``record``, which is at ``NOW``; calls of slots keep their names."""
    names = {call_of(slot) for slot in range(slots)}
    timed = record.state in (OPEN, PARKED)
    counting = record.state not in (HALF_OPEN, OPEN, PARKED)
    doublings_that_differ = 2
    return replace(
        fresh(limits, GENERATION),
        state=record.state,
        consecutive_failures=min(record.consecutive_failures, limits.consecutive_failures) if counting else 0,
        until_s=max(record.until_s, NOW) if timed else 0.0,
        opens_in_a_row=min(record.opens_in_a_row, doublings_that_differ),
        probe_successes=record.probe_successes,
        leases=_named(record.leases, names),
        seen=Seen(frozenset((record.seen.young | record.seen.old) & names), frozenset()),
    )


def without_call(record: Record, call_id: str) -> Record:
    """The record when nobody holds ``call_id`` any more; its lease, if any, becomes an orphan."""
    return replace(
        record,
        leases=tuple(Lease("", end) if call == call_id else Lease(call, end) for call, end in record.leases),
        seen=Seen(record.seen.young - {call_id}, record.seen.old - {call_id}),
    )


def one_tick_later(record: Record) -> Record:
    """The same record seen a tick later: every time is a tick nearer."""
    return replace(
        record,
        until_s=record.until_s - 1.0,
        leases=tuple(Lease(call, end - 1.0) for call, end in record.leases),
    )


def key_of(shared: Shared) -> tuple[object, ...]:
    """Equal for equal representatives, and quicker to compare than they are."""
    record = shared.record
    return (
        record.state,
        record.consecutive_failures,
        record.until_s,
        record.opens_in_a_row,
        record.probe_successes,
        record.leases,
        record.seen.young,
        shared.tally,
    )


def _named(leases: Iterable[Lease], names: set[str]) -> tuple[Lease, ...]:
    """In one order, dead ones at ``NOW``, immortal ones at ``FOR_EVER``, orphans numbered."""
    ends = sorted(
        (FOR_EVER if end > NOW + 500.0 else max(end, NOW), call if call in names else "") for call, end in leases
    )
    return tuple(Lease(call or f"orphan{number}", end) for number, (end, call) in enumerate(ends))
