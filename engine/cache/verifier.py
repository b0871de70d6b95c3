"""The learned verifier: a probability that two questions want the same answer (cache.verify). Pure, NumPy only.

Two logistic functions of ``features.compare``: one for questions that differ by a small edit, one for rewordings.
Not the guard, which speaks first, not the file (``verifier_file.py``) and not the fit (``engine/training``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from engine.cache.features import compare, is_small_edit, is_turned
from engine.cache.profile import profile
from engine.cache.question import Question

Floats = NDArray[np.float64]
Part = Literal["edit", "rewording"]
PARTS: Final[tuple[Part, Part]] = ("edit", "rewording")
ODDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    """Weights of ``NAMES`` and what is added to their sum: log-odds."""

    weights: Floats
    bias: float

    def odds(self, rows: Floats) -> Floats:
        """Shape (n,) for rows of shape (n, features)."""
        return np.einsum("ij,j->i", rows, self.weights) + self.bias


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A fitted verifier. Symmetric: who asked first makes no difference."""

    edit: Logistic
    rewording: Logistic
    accept: float
    """Probability from which an answer may be served; part of the artifact, settings may ask for more."""
    version: str

    def probability(self, asked: Question, stored: Question) -> float:
        """That one answer serves both, 0 to 1. 0 where ``row_of`` has nothing."""
        if asked.text == stored.text:
            return 1.0
        row = row_of(asked, stored)
        return 0.0 if row is None else float(self.judge_rows(row[None])[0])

    def judge_rows(self, rows: Floats) -> Floats:
        """Probabilities for rows of ``features.compare``, shape (n,)."""
        edits = np.array([is_small_edit(row) for row in rows], dtype=bool)
        odds = np.where(edits, self.edit.odds(rows), self.rewording.odds(rows))
        return 1.0 / (1.0 + np.exp(-np.clip(odds, -ODDS_MAX, ODDS_MAX)))


def row_of(asked: Question, stored: Question) -> Floats | None:
    """Features of a pair; ``None`` when nothing they say could make the two the same.

    One of them has no words, or more than are compared, or a small edit turned who does something into whom it is
    done to, which cosine and words hardly see.
    """
    mine, theirs = profile(asked.text), profile(stored.text)
    if not mine.words or not theirs.words or mine.cut or theirs.cut:
        return None
    row = compare(mine, theirs, cosine(asked, stored))
    return None if is_small_edit(row) and is_turned(mine, theirs) else row


def cosine(asked: Question, stored: Question) -> float:
    """Of two unit vectors; -1 when they have another number of dimensions, and so are another encoder's."""
    if asked.vector.shape != stored.vector.shape:
        return -1.0
    found = float(asked.vector @ stored.vector)
    return max(-1.0, min(1.0, found)) if math.isfinite(found) else -1.0
