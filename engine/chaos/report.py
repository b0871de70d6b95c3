"""The report of a rehearsal: everything a person or a program wants to know of it, as one record. Pure.

``engine/cli/chaos_view.py`` shows it to people; ``to_json`` is what ``--json`` prints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from engine.chaos.measure import (
    Moved,
    Phase,
    Seen,
    Shot,
    Verdict,
    amplification,
    phases,
    retries,
    verdicts,
    wasted_calls,
)
from engine.chaos.plan import Plan
from engine.contract import BreakerState

COLUMNS = 60
"""Width of the picture, whatever time it covers."""
LEVELS = " ▁▂▃▄▅▆▇█"
LETTERS: Mapping[BreakerState, str] = {
    BreakerState.CLOSED: "·",
    BreakerState.OPEN: "O",
    BreakerState.HALF_OPEN: "h",
    BreakerState.PARKED: "P",
    BreakerState.FORCED_OPEN: "F",
    BreakerState.FORCED_CLOSED: "f",
    BreakerState.DISABLED: "-",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One rehearsal as it went."""

    name: str
    seed: int
    profile: str
    seconds: float
    offered: int
    ok: int
    degraded: int
    failed: int
    calls: int
    retries: int
    amplification: float
    wasted_calls: Mapping[str, int]
    errors: Mapping[str, int]
    phases: tuple[Phase, ...]
    moves: tuple[Moved, ...]
    verdicts: tuple[Verdict, ...]
    picture: tuple[tuple[str, str], ...]
    """Lines of label and one character per slice of time."""

    @property
    def holds(self) -> bool:
        """Whether every expectation was met."""
        return all(verdict.holds for verdict in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """The report without its picture, states by their names."""
        found = asdict(self)
        del found["picture"]
        return {**found, "holds": self.holds}


def report_of(plan: Plan, profile: str, seen: Seen) -> Rehearsal:
    """What ``seen`` amounts to under ``plan``."""
    fates = Counter(shot.fate for shot in seen.shots)
    return Rehearsal(
        name=plan.name,
        seed=plan.seed,
        profile=profile,
        seconds=seen.ended_s,
        offered=len(seen.shots),
        ok=fates["ok"],
        degraded=fates["degraded"],
        failed=fates["failed"],
        calls=seen.calls,
        retries=retries(seen.shots),
        amplification=amplification(seen),
        wasted_calls=wasted_calls(seen.shots),
        errors=dict(Counter(shot.error for shot in seen.shots if shot.error)),
        phases=phases(seen),
        moves=seen.moves,
        verdicts=verdicts(seen, plan.expect),
        picture=_picture(seen),
    )


def _picture(seen: Seen) -> tuple[tuple[str, str], ...]:
    width_s = max(seen.ended_s, 1e-9) / COLUMNS
    lines = [("requests", _bars(seen.shots, seen.shots, width_s))]
    for fate in ("ok", "degraded", "failed"):
        mine = [shot for shot in seen.shots if shot.fate == fate]
        if mine:
            lines.append((fate, _bars(mine, seen.shots, width_s)))
    subjects = sorted({move.subject for move in seen.moves})
    states = [(s, _states([move for move in seen.moves if move.subject == s], width_s)) for s in subjects]
    return (*lines, *states)


def _bars(shots: Sequence[Shot], whole: Sequence[Shot], width_s: float) -> str:
    """Requests by the moment they were due; the highest bar is the most that came in one slice."""
    counts = Counter(_column(shot.due_s, width_s) for shot in shots)
    most = max(Counter(_column(shot.due_s, width_s) for shot in whole).values(), default=1)
    top = len(LEVELS) - 1
    return "".join(LEVELS[-(-counts[column] * top // most)] for column in range(COLUMNS))


def _states(moves: Sequence[Moved], width_s: float) -> str:
    """The state at the end of each slice; one that began and ended within it is shown all the same."""
    drawn: list[str] = []
    state = moves[0].before
    left = list(moves)
    for column in range(COLUMNS):
        shown = state
        while left and _column(left[0].at_s, width_s) <= column:
            state = left.pop(0).after
            shown = state if state is not BreakerState.CLOSED or shown is BreakerState.CLOSED else shown
        drawn.append(LETTERS[shown])
    return "".join(drawn)


def _column(at_s: float, width_s: float) -> int:
    return min(COLUMNS - 1, int(at_s / width_s))
