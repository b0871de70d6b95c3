"""Which rows are trained on, which choose confidence and threshold, which only measure. Seeded, by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings

SPLIT_MIN: Final = 3
"""A label with fewer rows gives none away: at least two stay behind for each one that measures."""
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Row numbers, each in exactly one part, each part in ascending order."""

    train: Indices
    calibration: Indices
    test: Indices


def split_rows(labels: Sequence[str], settings: TrainSettings, seed: int, *, calibration: bool) -> Split:
    """The same share of every label in each part, as far as its rows go round.

    A label with fewer than ``SPLIT_MIN`` rows is only trained on. Without ``calibration`` that part is empty.
    """
    rng = np.random.default_rng(seed)
    column = np.array(labels)
    parts: tuple[list[Indices], list[Indices], list[Indices]] = ([], [], [])
    for label in sorted(set(labels)):
        rows = rng.permutation(np.flatnonzero(column == label))
        test, rest = _taken(rows, settings.test_share)
        aside, train = _taken(rest, settings.calibration_share if calibration else 0.0)
        for part, found in zip(parts, (train, aside, test), strict=True):
            part.append(found)
    train, aside, test = (np.sort(np.concatenate(part)) for part in parts)
    return Split(train=train, calibration=aside, test=test)


def _taken(rows: Indices, share: float) -> tuple[Indices, Indices]:
    count = max(1, round(len(rows) * share)) if len(rows) >= SPLIT_MIN and share else 0
    count = min(count, max(0, len(rows) - 1))
    return rows[:count], rows[count:]
