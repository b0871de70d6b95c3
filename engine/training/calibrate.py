"""How the parts of a head are blended so that the outcome is a probability. Not the rejection.

A few weights, fitted on rows that the head has not seen, do what a temperature does (Guo et al. 2017) and choose
how much neighbours, cues and keywords count.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.routing.head import log_sum
from engine.training.minimum import minimum

Floats = NDArray[np.float64]
WEIGHT_MAX: Final = 20.0
PENALTY: Final = 1e-3
"""A cue that was never wrong in ten rows is not certain."""


def fit_blend(parts: Floats, wanted: NDArray[np.int64]) -> tuple[Floats, int]:
    """Weights of ``Signals.parts`` with the best of its votes, shape (4,), and which of them that is.

    ``wanted`` are the labels of the rows.
    """
    results = [_blend(np.concatenate([parts[:3], parts[[place]]]), wanted) for place in range(3, len(parts))]
    best = min(range(len(results)), key=lambda i: results[i][1])
    return results[best][0], best


def _blend(parts: Floats, wanted: NDArray[np.int64]) -> tuple[Floats, float]:
    at = np.arange(len(wanted)), wanted

    def loss(weights: Floats) -> tuple[float, Floats]:
        mixed = np.tensordot(weights, parts, 1)
        logs = mixed - log_sum(mixed)[:, None]
        chances = np.exp(logs)
        slopes = [float(((chances * part).sum(axis=1) - part[at]).mean()) for part in parts]
        value = -float(logs[at].mean()) + 0.5 * PENALTY * float(weights @ weights)
        return value, np.array(slopes) + PENALTY * weights

    bounds = [(1e-3, WEIGHT_MAX), *[(0.0, WEIGHT_MAX)] * 3]
    return minimum(loss, np.array([1.0, 0.3, 0.3, 0.3]), bounds=bounds)
