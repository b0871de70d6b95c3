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


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Log-odds that have to be exceeded, of small edits and of rewordings."""

    edit: float
    rewording: float


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


def choose(odds: Floats, same: Flags, edits: Flags, false_hits: float) -> Thresholds:
    """Thresholds with the most hits that let through at most ``false_hits`` of the pairs that are not the same.

    How many of those may come from small edits and how many from rewordings is tried out.
    """
    budget = int(false_hits * (~same).sum())
    wrong = [np.sort(odds[~same & part])[::-1] for part in (edits, ~edits)]
    right = [np.sort(odds[same & part]) for part in (edits, ~edits)]
    best, most = Thresholds(edit=-NEVER, rewording=-NEVER), -1
    for spent in range(budget + 1):
        limits = [_limit(wrong[0], spent), _limit(wrong[1], budget - spent)]
        hits = sum(
            len(r) - int(np.searchsorted(r, limit, "right")) for r, limit in zip(right, limits, strict=True)
        )
        if hits > most:
            best, most = Thresholds(edit=limits[0], rewording=limits[1]), hits
    return best


def _limit(falling: Floats, spent: int) -> float:
    """What is above it are the first ``spent`` of ``falling``; never so low that what a rule refused gets in."""
    reached = float(falling[spent]) if spent < len(falling) else NEVER
    return max(reached, NEVER)


def exceed(odds: Floats, edits: Flags, limits: Thresholds) -> Flags:
    """Which pairs are accepted."""
    return odds > np.where(edits, limits.edit, limits.rewording)
