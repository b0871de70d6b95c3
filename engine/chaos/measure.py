"""What a rehearsal saw, as records, and the figures that follow from them. Pure: no clock, no I/O.

Times are seconds since the first request, latencies milliseconds from the moment a request was due.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from configs.kernel import Outcome
from engine.chaos.plan import Expect
from engine.contract import BreakerState
from engine.types import Attempt

Fate = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request of the load and how it ended."""

    due_s: float
    ended_s: float
    fate: Fate
    error: str = ""
    """Code of the error, where there was no answer."""
    cached: bool = False
    attempts: tuple[Attempt, ...] = ()

    @property
    def latency_ms(self) -> float:
        """From when it was due, so that waiting for a place is in it."""
        return (self.ended_s - self.due_s) * 1e3


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A breaker changed its state."""

    at_s: float
    subject: str
    before: BreakerState
    after: BreakerState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step of the plan as it was carried out. ``routes``: models it concerned; ``store``: or the store."""

    at_s: float
    subject: str
    what: str
    ends_it: bool
    routes: tuple[str, ...] = ()
    store: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The time between two changes, by when requests were due."""

    label: str
    from_s: float
    to_s: float
    offered: int
    ok: int
    degraded: int
    failed: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Everything that one rehearsal observed."""

    shots: tuple[Shot, ...]
    moves: tuple[Moved, ...]
    changes: tuple[Change, ...]
    calls: int
    """Requests that reached a provider."""
    ended_s: float
    steps: int
    """How many changes the plan has; fewer ``changes`` were made when the load ended before their time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One expectation, what was allowed and what was seen; ``None``: it never happened."""

    name: str
    wanted: float
    got: float | None
    holds: bool


def percentile(values: Iterable[float], share: float) -> float | None:
    """Nearest rank; ``None`` of nothing."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] if ranked else None


def phases(seen: Seen) -> tuple[Phase, ...]:
    """Before the first change, between each two, and after the last; changes at the same moment are one."""
    starts: list[tuple[float, str]] = [(0.0, "start")]
    for change in seen.changes:
        label = f"{change.subject}: {change.what}"
        if change.at_s - starts[-1][0] < 1e-3:
            starts[-1] = (starts[-1][0], label if starts[-1][1] == "start" else f"{starts[-1][1]}; {label}")
        else:
            starts.append((change.at_s, label))
    ends = [at_s for at_s, _ in starts[1:]] + [math.inf]
    return tuple(
        _phase(label, from_s, min(to_s, seen.ended_s), [s for s in seen.shots if from_s <= s.due_s < to_s])
        for (from_s, label), to_s in zip(starts, ends, strict=True)
    )


def _phase(label: str, from_s: float, to_s: float, shots: Sequence[Shot]) -> Phase:
    fates = Counter(shot.fate for shot in shots)
    answered = [shot.latency_ms for shot in shots if shot.fate != "failed"]
    return Phase(
        label=label,
        from_s=from_s,
        to_s=to_s,
        offered=len(shots),
        ok=fates["ok"],
        degraded=fates["degraded"],
        failed=fates["failed"],
        p50_ms=percentile(answered, 0.5),
        p95_ms=percentile(answered, 0.95),
    )


def wasted_calls(shots: Iterable[Shot]) -> dict[str, int]:
    """Calls of each model that gave no answer."""
    wasted: Counter[str] = Counter()
    for attempt in (a for shot in shots for a in shot.attempts):
        if attempt.model is not None:
            wasted[attempt.model] += attempt.tries - (1 if attempt.outcome is Outcome.OK else 0)
    return {model: count for model, count in sorted(wasted.items()) if count > 0}


def retries(shots: Iterable[Shot]) -> int:
    """Tries beyond the first of every route."""
    return sum(max(0, attempt.tries - 1) for shot in shots for attempt in shot.attempts)


def amplification(seen: Seen) -> float:
    """Calls that reached a provider per request that the cache did not answer."""
    asked = sum(not shot.cached for shot in seen.shots)
    return seen.calls / asked if asked else 0.0


def opens(moves: Iterable[Moved]) -> int:
    """How often any breaker opened."""
    return sum(move.after is BreakerState.OPEN for move in moves)


def recovered_s(seen: Seen) -> float | None:
    """From the last end of a fault until its subject was used again with success; ``None``: it was not."""
    ended = [change for change in seen.changes if change.ends_it]
    if not ended:
        return None
    last = ended[-1]
    if last.store:
        subject = f"store:{last.store}"
        mine = [move for move in seen.moves if move.subject == subject]
        if not mine:
            return 0.0
        closed = [m.at_s for m in mine if m.after is BreakerState.CLOSED and m.at_s >= last.at_s]
        return closed[0] - last.at_s if closed else None
    answered = [
        shot.ended_s
        for shot in seen.shots
        if shot.ended_s >= last.at_s
        and any(a.model in last.routes and a.outcome is Outcome.OK and a.called for a in shot.attempts)
    ]
    return min(answered) - last.at_s if answered else None


def verdicts(seen: Seen, expect: Expect) -> tuple[Verdict, ...]:
    """That every step was reached, then each expectation that was set."""
    answered = [shot.latency_ms for shot in seen.shots if shot.fate != "failed"]
    got: Mapping[str, float | None] = {
        "success_rate_min": len(answered) / len(seen.shots) if seen.shots else None,
        "p95_ms_max": percentile(answered, 0.95),
        "wasted_calls_max": sum(wasted_calls(seen.shots).values()),
        "amplification_max": amplification(seen),
        "opens_min": opens(seen.moves),
        "opens_max": opens(seen.moves),
        "recovered_within_s": recovered_s(seen),
    }
    reached = len(seen.changes)
    found = [Verdict(name="steps", wanted=seen.steps, got=reached, holds=reached == seen.steps)]
    for name, value in got.items():
        wanted = getattr(expect, name)
        if wanted is not None:
            holds = value is not None and (value >= wanted if name.endswith("_min") else value <= wanted)
            found.append(Verdict(name=name, wanted=wanted, got=value, holds=holds))
    return tuple(found)
