"""When a text is for none of the labels: a small logistic regression over a head's own doubts, and a threshold.

Fitted on rows the head has not seen: in-scope ones against out-of-scope ones, or against rows whose label was left
out. Not the signals themselves (``engine/routing/head.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.routing.head import SIGNALS
from engine.training.minimum import minimum

Floats = NDArray[np.float64]
PENALTY: Final = 1e-3
SPREAD_MIN: Final = 1e-6
START_CUT: Final = (0.35, 0.08)
"""Nearest cosine at which half the texts are in scope, and how soon that changes, as seen with MiniLM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """Rows to learn from."""

    signals: Floats
    """Shape (n, signals)."""
    inside: NDArray[np.bool_]
    """Which rows are in scope."""
    right: NDArray[np.bool_]
    """Which rows would get their label if nothing were rejected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """How scope is computed, and below which value a text is turned away."""

    mean: Floats
    spread: Floats
    weight: Floats
    bias: float
    reject_below: float


def fit_rejection(doubts: Doubts, share: float) -> Rejection:
    """A calibrated probability of being in scope when ``share`` of the texts is not.

    The threshold maximises the expected share of right answers, "none of these" included. Needs rows of
    both kinds.
    """
    inside = doubts.inside
    mean = doubts.signals.mean(axis=0)
    wide = np.sqrt(np.square(doubts.signals - mean).mean(axis=0))
    spread = np.where(wide < SPREAD_MIN, 1.0, wide).astype(np.float64)
    rows = np.column_stack([(doubts.signals - mean) / spread, np.ones(len(inside))])
    outside = share / int((~inside).sum())
    mass = np.where(inside, (1.0 - share) / int(inside.sum()), outside).astype(np.float64)
    penalty = np.append(np.full(rows.shape[1] - 1, PENALTY), 0.0)
    sign = np.where(inside, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = sign * (rows @ weights)
        slope: Floats = -sign * mass / (1.0 + np.exp(np.clip(margin, -50.0, 50.0)))
        value: float = (mass * np.logaddexp(0.0, -margin)).sum() + 0.5 * (penalty * weights**2).sum()
        return float(value), rows.T @ slope + penalty * weights

    weights, _ = minimum(loss, np.zeros(len(penalty)))
    chance = 1.0 / (1.0 + np.exp(-np.clip(rows @ weights, -50.0, 50.0)))
    return Rejection(
        mean=np.asarray(mean, dtype=np.float64),
        spread=np.asarray(spread, dtype=np.float64),
        weight=weights[:-1],
        bias=float(weights[-1]),
        reject_below=threshold(chance, doubts, mass),
    )


def threshold(chance: Floats, doubts: Doubts, mass: Floats) -> float:
    """The value between two rows' ``chance`` that gives most right answers, each row counting ``mass``."""
    order = np.argsort(chance, kind="stable")
    gains = np.where(doubts.inside, -(mass * doubts.right), mass)[order]
    reached = np.concatenate([[0.0], np.cumsum(gains)])
    cut = int(reached.argmax())
    if cut == 0:
        return float(chance[order[0]]) / 2.0
    above = float(chance[order[cut]]) if cut < len(order) else 1.0
    return (float(chance[order[cut - 1]]) + above) / 2.0


def start_rejection() -> Rejection:
    """Without rows to learn from: the nearest cosine alone."""
    weight, mean, spread = np.zeros(SIGNALS), np.zeros(SIGNALS), np.ones(SIGNALS)
    mean[2], spread[2] = START_CUT
    weight[2] = 1.0
    return Rejection(mean=mean, spread=spread, weight=weight, bias=0.0, reject_below=0.5)
