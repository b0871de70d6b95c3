"""Multinomial logistic regression over vectors and words by L-BFGS (Liu and Nocedal 1989), in bounded memory.

Not the choice of rows and not the confidence that comes of it (``engine/training/calibrate.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.routing.features import buckets
from engine.routing.head import DIMENSIONS
from engine.training.minimum import minimum

CHUNK: Final = 4_096
Singles = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Rows as the linear part sees them."""

    vectors: Singles
    counts: Any
    """SciPy CSR (n, buckets) of ones: which words occur."""

    def take(self, rows: Places) -> Inputs:
        """Some of the rows."""
        return Inputs(vectors=self.vectors[rows], counts=self.counts[rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """Weights for unscaled inputs."""

    linear: Singles
    bias: Singles
    words: Singles
    """Already times ``rarity``."""
    rarity: Singles


def read_inputs(vectors: Singles, texts: Sequence[str], settings: TrainSettings) -> Inputs:
    """``texts`` and their vectors, ready to be fitted."""
    sparse: Any = import_module("scipy.sparse")  # late: only training needs it
    places = [buckets(text, settings.words) for text in texts]
    ends = np.concatenate([[0], np.cumsum([len(each) for each in places])])
    flat = np.array([place for each in places for place in each], dtype=np.int64)
    shape = (len(texts), settings.words)
    return Inputs(vectors=vectors, counts=sparse.csr_matrix((np.ones(len(flat), np.float32), flat, ends), shape))


def rarity_of(counts: Any) -> Singles:
    """Inverse document frequency per place: log((1 + n) / (1 + rows with it)) + 1."""
    rows = np.asarray(counts.sum(axis=0)).ravel()
    return (np.log((1.0 + counts.shape[0]) / (1.0 + rows)) + 1.0).astype(np.float32)


def solve(inputs: Inputs, classes: Places, count: int, settings: TrainSettings) -> Solved:
    """Weights that make the ``classes`` (0 to count - 1) of the rows most probable, minus a penalty on their size.

    Deterministic: it starts at zero and the loss is convex.
    """
    sparse: Any = import_module("scipy.sparse")  # late: only training needs it
    rarity = rarity_of(inputs.counts)
    weighted = inputs.counts.multiply(rarity).tocsr()
    lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    scale = sparse.diags(np.float32(settings.word_scale) / np.maximum(lengths, 1e-9).astype(np.float32))
    rows = _Rows(inputs.vectors * np.float32(settings.vector_scale), (scale @ weighted).tocsr(), classes)
    width = DIMENSIONS + settings.words + 1

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        value, gradient = rows.loss(flat.reshape(width, count).astype(np.float32), settings.penalty)
        return value, gradient.ravel().astype(np.float64)

    found, _ = minimum(loss, np.zeros(width * count), iterations=settings.iterations)
    best = found.reshape(width, count)
    words = best[DIMENSIONS:-1] * settings.word_scale * rarity[:, None]
    return Solved(
        linear=(best[:DIMENSIONS] * settings.vector_scale).astype(np.float32),
        bias=best[-1].astype(np.float32),
        words=words.astype(np.float32),
        rarity=rarity,
    )


class _Rows:
    """The loss and its gradient, a few thousand rows at a time."""

    def __init__(self, vectors: Singles, words: Any, classes: Places) -> None:
        self._size = len(classes)
        spans = [slice(at, at + CHUNK) for at in range(0, self._size, CHUNK)]
        self._parts = [(vectors[s], words[s], words[s].T.tocsr(), classes[s]) for s in spans]

    def loss(self, weights: Singles, penalty: float) -> tuple[float, Singles]:
        """Mean negative log-likelihood plus half the penalty times the squared weights, bias apart."""
        linear, table, bias = weights[:DIMENSIONS], weights[DIMENSIONS:-1], weights[-1]
        gradient = weights * np.float32(penalty)
        gradient[-1] = 0.0
        total = 0.5 * penalty * float(np.square(weights[:-1]).sum())
        for vectors, words, turned, classes in self._parts:
            logits = vectors @ linear + words @ table + bias
            logits -= logits.max(axis=1, keepdims=True)
            powers = np.exp(logits)
            sums = powers.sum(axis=1, keepdims=True)
            at = np.arange(len(classes)), classes
            total -= float((logits[at] - np.log(sums[:, 0])).sum(dtype=np.float64)) / self._size
            slope = powers / sums
            slope[at] -= 1.0
            slope /= np.float32(self._size)
            gradient[:DIMENSIONS] += vectors.T @ slope
            gradient[DIMENSIONS:-1] += turned @ slope
            gradient[-1] += slope.sum(axis=0)
        return total, gradient
