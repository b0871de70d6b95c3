"""How linear part and neighbours are blended so that the outcome is a probability. Not the rejection.

Two weights, fitted on rows that the head has not seen, do what a temperature does (Guo et al. 2017) and choose how
much the neighbours count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.routing.head import log_sum
from engine.training.minimum import minimum

Floats = NDArray[np.float64]
WEIGHT_MAX: Final = 20.0


def fit_blend(linear: Floats, votes: Sequence[Floats], wanted: NDArray[np.int64]) -> tuple[float, float, int]:
    """Weights of ``linear`` and of the best of ``votes``, and which of them that is.

    ``linear`` and each of ``votes`` are log-probabilities (n, labels) of rows whose labels are ``wanted``.
    """
    at = np.arange(len(wanted)), wanted
    best = (np.inf, 1.0, 0.0, 0)
    for place, near in enumerate(votes):

        def loss(weights: Floats, near: Floats = near) -> tuple[float, Floats]:
            mixed = weights[0] * linear + weights[1] * near
            logs = mixed - log_sum(mixed)[:, None]
            chances = np.exp(logs)
            slopes = [((chances * part).sum(axis=1) - part[at]).mean() for part in (linear, near)]
            return float(-logs[at].mean()), np.array(slopes)

        bounds = [(1e-3, WEIGHT_MAX), (0.0, WEIGHT_MAX)]
        weights, value = minimum(loss, np.array([1.0, 0.3]), bounds=bounds)
        if value < best[0]:
            best = (value, float(weights[0]), float(weights[1]), place)
    return best[1], best[2], best[3]
