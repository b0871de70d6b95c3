"""What a breaker remembers, as plain data: numbers, strings and tuples that a Lua script can hold too.

No rules here: ``breaker.py`` says how one record becomes the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from configs.settings import BreakerSettings
from engine.contract import BreakerState
from engine.resilience.window import EMPTY, Window


class Lease(NamedTuple):
    """Leave for one probe, dead by itself when its time is over (B1, B5)."""

    call_id: str
    expires_s: float


class Seen(NamedTuple):
    """Call ids that have reported in this generation, in two halves so that forgetting is cheap (B6)."""

    young: frozenset[str]
    old: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything the breaker of one subject knows. ``until_s`` matters in OPEN and PARKED only."""

    state: BreakerState
    generation: int
    consecutive_failures: int
    window: Window
    ema_success: float
    until_s: float
    opens_in_a_row: int
    probe_successes: int
    leases: tuple[Lease, ...]
    seen: Seen
    last_errors: tuple[str, ...]
    reason: str
    actor: str


class Effect(Enum):
    """What a report did. The last two are for metrics only: the record is unchanged."""

    COUNTED = "counted"
    NEUTRAL = "neutral"
    LATE = "late"
    DUPLICATE = "duplicate"


NOTHING_SEEN = Seen(frozenset(), frozenset())


def fresh(rules: BreakerSettings, generation: int) -> Record:
    """The record of a subject nobody has called yet."""
    return Record(
        state=BreakerState.CLOSED,
        generation=generation,
        consecutive_failures=0,
        window=EMPTY,
        ema_success=rules.ema_start,
        until_s=0.0,
        opens_in_a_row=0,
        probe_successes=0,
        leases=(),
        seen=NOTHING_SEEN,
        last_errors=(),
        reason="",
        actor="",
    )
