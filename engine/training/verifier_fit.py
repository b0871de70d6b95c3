"""Fit a verifier to pairs: two logistic functions whose weights may not have the wrong sign.

Texts that people write to train on are harder than what people ask, so a free fit learns that many common words
speak against a duplicate. A weight is held at zero instead (``UP``). Only pairs that the guard lets through are
learned from: at run time it speaks first. Not the reading of pairs and not the artifact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.cache.features import NAMES, is_small_edit
from engine.cache.guard.rules import refuse
from engine.cache.question import Question
from engine.cache.verifier import Floats, Logistic, row_of
from engine.training.minimum import minimum
from engine.training.pairs.pair import Pair
from engine.training.verifier_figures import CLOSED

Flags = NDArray[np.bool_]
Vectors = NDArray[np.float32]
UP: Final = frozenset(
    {
        *("cosine", "cosine_high", "distance_log", "heavy_jaccard", "share_low", "share_high", "grams", "order"),
        *("words_jaccard", "asks_same", "length_ratio", "nothing_left", "same_words"),
    }
)
"""More of it can only speak for a duplicate; of what is in neither list, only against it."""
FREE: Final = frozenset({"explained_synonym", "explained_related", "explained_typo", "length_low", "one_sided"})
OF_EDITS: Final = frozenset(
    {
        *("explained_synonym", "explained_related", "explained_typo", "rivals", "opposed"),
        *("asks_same", "asks_why", "asks_how", "asks_fact", "asks_yes"),
    }
)
"""Not for rewordings: there, what is learned of them does not carry over to other people's questions (0022)."""
BY_LENGTH: Final = frozenset(
    {
        *("length_high", "cosine_by_length_low", "distance_by_length_low"),
        *("cosine_by_length_high", "distance_by_length_high"),
    }
)
"""For rewordings alone: long questions are the same ones at a lower cosine."""
SPREAD_MIN: Final = 1e-6
BOUND: Final = 50.0
MARGIN: Final = 1e-6
"""A limit is the log-odds of a pair that is not to get in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """Pairs as the fit sees them; every array has one entry per pair."""

    rows: Floats
    """``features.compare``; zeros where ``refused``."""
    same: Flags
    refused: Flags
    """By the guard, or because there is nothing to compare: they are misses whatever is learned."""
    made: Flags
    """By rule: they teach small edits only."""
    edits: Flags
    """Small edits, as ``features.is_small_edit`` says."""

    def take(self, which: Flags) -> Examples:
        """Some of them."""
        return Examples(
            rows=self.rows[which],
            same=self.same[which],
            refused=self.refused[which],
            made=self.made[which],
            edits=self.edits[which],
        )


def read_examples(pairs: Sequence[Pair], vectors: Mapping[str, Vectors], made: Sequence[bool]) -> Examples:
    """``pairs`` with the vectors of their texts."""
    rows = np.zeros((len(pairs), len(NAMES)))
    refused = np.zeros(len(pairs), dtype=bool)
    for at, pair in enumerate(pairs):
        a, b = (Question(text=text, vector=vectors[text]) for text in (pair.a, pair.b))
        row = None if refuse(pair.a, pair.b) else row_of(a, b)
        refused[at] = row is None
        if row is not None:
            rows[at] = row
    return Examples(
        rows=rows,
        same=np.array([pair.duplicate for pair in pairs], dtype=bool),
        refused=refused,
        made=np.array(made, dtype=bool),
        edits=np.array([is_small_edit(row) for row in rows], dtype=bool),
    )


def fit_parts(examples: Examples, settings: TrainSettings) -> tuple[Logistic, Logistic]:
    """For small edits and for rewordings. Deterministic: the loss is convex and the search starts at zero."""
    usable = ~examples.refused
    edits = examples.take(usable & examples.edits)
    rewordings = examples.take(usable & ~examples.edits & ~examples.made)
    return (
        _fit(edits, settings.verifier_penalty, rewording=False),
        _fit(rewordings, settings.verifier_penalty, rewording=True),
    )


def moved(part: Logistic, limit: float, accept: float) -> Logistic:
    """``part`` moved so that only what had more log-odds than ``limit`` has the probability ``accept``.

    With ``CLOSED`` it says no to everything.
    """
    if limit >= CLOSED:
        return Logistic(weights=np.zeros_like(part.weights), bias=-BOUND)
    wanted = float(np.log(accept) - np.log1p(-accept))
    return replace(part, bias=part.bias + wanted - min(max(limit, -BOUND), BOUND) - MARGIN)


def _fit(examples: Examples, penalty: float, *, rewording: bool) -> Logistic:
    """Both labels weigh the same whatever their number; features are scaled by how much they vary.

    Sums by NumPy itself, not by the linear algebra library: its result depends on how many threads it has.
    """
    rows, same = examples.rows, examples.same
    if same.all() or not same.any():
        return Logistic(weights=np.zeros(len(NAMES)), bias=0.0)
    middle, spread = rows.mean(axis=0), np.maximum(rows.std(axis=0), SPREAD_MIN)
    scaled = (rows - middle) / spread
    signs = np.where(same, 1.0, -1.0)
    weights: Floats = np.where(same, 0.5 / float(same.sum()), 0.5 / float((~same).sum()))

    def loss(flat: Floats) -> tuple[float, Floats]:
        margins = signs * (np.einsum("ij,j->i", scaled, flat[:-1]) + flat[-1])
        slopes = -weights * signs / (1.0 + np.exp(np.clip(margins, -BOUND, BOUND)))
        value = float((weights * np.logaddexp(0.0, -margins)).sum()) + 0.5 * penalty * float(
            (flat[:-1] ** 2).sum()
        )
        return value, np.append(np.einsum("ij,i->j", scaled, slopes) + penalty * flat[:-1], slopes.sum())

    bounds = [_bounds(name, rewording=rewording) for name in NAMES]
    found, _ = minimum(loss, np.zeros(len(NAMES) + 1), bounds=[*bounds, (-BOUND, BOUND)])
    slopes = found[:-1] / spread
    return Logistic(weights=slopes, bias=float(found[-1] - (slopes * middle).sum()))


def _bounds(name: str, *, rewording: bool) -> tuple[float, float]:
    if name in (OF_EDITS if rewording else BY_LENGTH):
        return (0.0, 0.0)
    if name in FREE or name in BY_LENGTH:
        return (-BOUND, BOUND)
    return (0.0, BOUND) if name in UP else (-BOUND, 0.0)
