"""How often a verifier is right and wrong on labelled pairs, and the thresholds that follow. No fit, no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.cache.intervals import clopper_pearson

Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
CONFIDENCE: Final = 0.95
NEVER: Final = -1e9
"""Log-odds of pairs that a rule refused."""
CLOSED: Final = -NEVER
"""A threshold that nothing exceeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Log-odds that have to be exceeded, of small edits and of rewordings."""

    edit: float
    rewording: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What thresholds have to hold."""

    false_hits: float
    """Share of all different pairs that may be taken for the same."""
    passed_edits: float
    """Share of the different small edits that the guard lets pass; of rewordings it lets pass: ``false_hits``."""
    known: int
    """So many different pairs that the guard lets pass a part has to have been judged on to accept anything."""


def rate(name: str, accepted: Flags, among: Flags) -> dict[str, float]:
    """``name``: share accepted of those in ``among``, with the ends of its interval (Clopper and Pearson 1934).

    Nothing where ``among`` is empty.
    """
    count = int(among.sum())
    if not count:
        return {}
    hits = int((accepted & among).sum())
    low, high = clopper_pearson(hits, count, CONFIDENCE)
    return {name: hits / count, f"{name}.low": low, f"{name}.high": high}


def rates(prefix: str, accepted: Flags, groups: Mapping[str, Flags]) -> dict[str, float]:
    """``rate`` of each group, as ``prefix.group``."""
    return {
        key: value
        for name, among in groups.items()
        for key, value in rate(f"{prefix}.{name}", accepted, among).items()
    }


def choose(odds: Floats, same: Flags, edits: Flags, goal: Goal) -> Thresholds:
    """Thresholds with the most hits that let through at most ``goal.false_hits`` of the different pairs.

    How many of those may come from small edits and how many from rewordings is tried out. A part about which too
    little is known gets ``CLOSED``; refused pairs have ``NEVER`` and tell nothing about it.
    """
    budget = int(goal.false_hits * (~same).sum())
    wrong = [np.sort(odds[~same & part & (odds > NEVER)])[::-1] for part in (edits, ~edits)]
    most_wrong = [goal.passed_edits * len(wrong[0]), goal.false_hits * len(wrong[1])]
    right = [np.sort(odds[same & part]) for part in (edits, ~edits)]
    best, most = Thresholds(edit=CLOSED, rewording=CLOSED), 0
    for spent in range(budget + 1):
        shares = (min(spent, int(most_wrong[0])), min(budget - spent, int(most_wrong[1])))
        limits = [_limit(falling, share, goal.known) for falling, share in zip(wrong, shares, strict=True)]
        hits = sum(
            len(r) - int(np.searchsorted(r, limit, "right")) for r, limit in zip(right, limits, strict=True)
        )
        if hits > most:
            best, most = Thresholds(edit=limits[0], rewording=limits[1]), hits
    return best


def _limit(falling: Floats, spent: int, known: int) -> float:
    """What is above it are the first ``spent`` of ``falling``: the log-odds of one that is not to get in.

    Without enough of them nothing says where the others would lie, so nothing gets in.
    """
    enough = len(falling) >= max(known, 1)
    return float(falling[min(spent, len(falling) - 1)]) if enough else CLOSED


def exceed(odds: Floats, edits: Flags, limits: Thresholds) -> Flags:
    """Which pairs are accepted."""
    return odds > np.where(edits, limits.edit, limits.rewording)
