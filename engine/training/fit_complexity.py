"""Fits the complexity head: logistic regression, two penalties, weight for rare levels (route.strategy).

Not the head itself (``engine/routing/complexity.py``) and not the choice of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.routing.complexity import DIMENSIONS, LEVELS, SPREAD_MIN, ComplexityHead, Floats, inputs
from engine.routing.traits import trait_rows
from engine.types import Complexity

ITERATIONS_MAX: Final = 500
FOLDS: Final = 5
Doubles = NDArray[np.float64]
Places = NDArray[np.int64]


def fit_complexity(
    vectors: Floats,
    texts: Sequence[str],
    labels: Sequence[Complexity],
    settings: TrainSettings,
    *,
    seed: int,
) -> ComplexityHead:
    """A head for unit ``vectors`` (n, 384) of ``texts``. The loss is convex: any order of rows, any ``seed``, the
    same head up to rounding; ``seed`` starts the search, as for every other fit.

    A level of n rows weighs ``(N / 3n) ** complexity_balance`` each, which stands between accuracy (0) and
    macro-F1 (1). Raises ``TrainingRefused`` when a level has no row.
    """
    known = np.array([LEVELS.index(label) for label in labels], dtype=np.int64)
    counts = np.bincount(known, minlength=len(LEVELS))
    absent = [name for name, count in zip(LEVELS, counts, strict=True) if not count]
    if absent or vectors.shape != (len(texts), DIMENSIONS) or len(known) != len(texts):
        raise TrainingRefused(
            f"no complexity head from {len(texts)} rows: {', '.join(absent) or 'vectors and labels'} missing",
            hint="every level, simple, medium and complex, needs rows, and every row its vector and label",
        )
    found = trait_rows(texts)
    centre = found.mean(axis=0)
    spread = np.maximum(found.std(axis=0), np.float32(SPREAD_MIN))
    rows = inputs(vectors, found, centre, spread).astype(np.float64)
    weights = (len(known) / len(LEVELS) / counts[known]) ** settings.complexity_balance
    penalty = np.full(rows.shape[1], settings.complexity_traits_penalty)
    penalty[:DIMENSIONS] = settings.complexity_vector_penalty
    solved = _minimum(rows, known, weights, penalty, seed)
    return ComplexityHead(
        weights=solved[:-1].astype(np.float32), bias=solved[-1].astype(np.float32), centre=centre, spread=spread
    )


def cross_judged(
    vectors: Floats,
    texts: Sequence[str],
    labels: Sequence[Complexity],
    settings: TrainSettings,
    *,
    seed: int,
) -> Floats:
    """``judge`` of every row by a head that has not seen it (five parts, every level shared out), shape (n, 3).

    Raises ``TrainingRefused`` like ``fit_complexity``.
    """
    part = np.zeros(len(texts), dtype=np.int64)
    order = np.random.default_rng(seed).permutation(len(texts))
    for wanted in LEVELS:
        members = [row for row in order.tolist() if labels[row] == wanted]
        part[members] = np.arange(len(members)) % FOLDS
    judged = np.zeros((len(texts), len(LEVELS)), dtype=np.float32)
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(part != fold).tolist(), np.flatnonzero(part == fold).tolist()
        head = fit_complexity(
            vectors[inside], [texts[i] for i in inside], [labels[i] for i in inside], settings, seed=seed
        )
        judged[outside] = head.judge(vectors[outside], [texts[i] for i in outside])
    return judged


def macro_f1(labels: Sequence[str], chosen: Sequence[str]) -> float:
    """Mean over the three levels of the harmonic mean of precision and recall; a level nobody has counts 0."""
    pairs = list(zip(labels, chosen, strict=True))
    scores = [
        2 * sum(a == b == name for a, b in pairs) / max(1, sum((a == name) + (b == name) for a, b in pairs))
        for name in LEVELS
    ]
    return sum(scores) / len(scores)


def _minimum(rows: Doubles, known: Places, weights: Doubles, penalty: Doubles, seed: int) -> Doubles:
    optimize: Any = import_module("scipy.optimize")  # late: 0.3 s that only training pays
    shape = (rows.shape[1] + 1, len(LEVELS))
    target = np.eye(len(LEVELS))[known]

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        solution = flat.reshape(shape)
        scores = rows @ solution[:-1] + solution[-1]
        scores -= scores.max(axis=1, keepdims=True)
        logs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        missed = weights[:, None] * (np.exp(logs) - target)
        slope = np.vstack([rows.T @ missed + penalty[:, None] * solution[:-1], missed.sum(axis=0)])
        value = -(weights[:, None] * logs * target).sum() + 0.5 * (penalty[:, None] * solution[:-1] ** 2).sum()
        return float(value), slope.ravel()

    start = np.random.default_rng(seed).normal(scale=1e-3, size=int(shape[0]) * len(LEVELS))
    solved: Any = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS_MAX})
    return np.asarray(solved.x, dtype=np.float64).reshape(shape)
