"""Arithmetic of the figures of ``eval router``: shares, calibration, rejection, F1. No model, no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 15
OOS_PER_INSIDE: Final = 1_000 / 4_500
"""Out-of-scope rows per in-scope row in the test part of CLINC150 (Larson et al. 2019)."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Rows after a head has judged them; every array has one value per row."""

    right: NDArray[np.bool_]
    """The most probable label is the wanted one. Never so for an out-of-scope row."""
    rejected: NDArray[np.bool_]
    outside: NDArray[np.bool_]
    """The row is out of scope."""
    confidence: Floats
    """Of the most probable label."""


def accuracy(answered: Answered) -> float:
    """Share of the in-scope rows that are right when nothing is rejected. Needs one."""
    return float(answered.right[~answered.outside].mean())


def rejection_figures(answered: Answered) -> dict[str, float]:
    """Figures where some rows are out of scope and some answers are "none of these".

    ``accuracy``: share of the in-scope rows that get their label; a rejected one is wrong (Larson et al. 2019).
    ``argmax_accuracy``: the same if nothing were rejected. ``oos_f1``: of the answer "none of these". ``overall``:
    share of all rows that get the right answer. Out-of-scope rows count as many as in CLINC150's test part; where
    the rows have that mix already, every row counts one. Needs rows of both kinds.
    """
    inside, outside = ~answered.outside, answered.outside
    rows = float(inside.sum())
    weight = OOS_PER_INSIDE * rows / float(outside.sum())
    kept = float((answered.right & ~answered.rejected & inside).sum())
    caught = weight * float((answered.rejected & outside).sum())
    lost = float((answered.rejected & inside).sum())
    wanted = weight * float(outside.sum())
    return {
        "accuracy": kept / rows,
        "argmax_accuracy": accuracy(answered),
        "oos_f1": 2.0 * caught / (caught + lost + wanted),
        "overall": (kept + caught) / (rows + wanted),
    }


def calibration_error(confidence: Sequence[float] | Floats, right: Sequence[bool] | NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 equal bins of confidence (Guo et al. 2017)."""
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, sure - hit, BINS)
    return float(np.abs(gaps).sum()) / len(sure)


def macro_f1(wanted: Sequence[str], answers: Sequence[str]) -> float:
    """Mean F1 of the labels that occur in ``wanted``."""
    pairs = list(zip(wanted, answers, strict=True))
    scores: list[float] = []
    for label in sorted(set(wanted)):
        hits = sum(w == a == label for w, a in pairs)
        scores.append(2.0 * hits / (sum(w == label for w, _ in pairs) + sum(a == label for _, a in pairs)))
    return sum(scores) / len(scores)
