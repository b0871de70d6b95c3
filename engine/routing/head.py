"""A trained head: vector and words of a text in, calibrated probability of each label and of "one of these" out.

Pure numpy, arrays only; fitted by ``engine/training/fit.py``. Not the choice of an agent: health, cost and
constraints come after it (``engine/routing/select.py``). Reasons and figures: docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtifactRefused, InvalidInput
from engine.routing.features import buckets

DIMENSIONS: Final = 384
NEAR_LABELS: Final = 16
"""Examples are compared for so many of the most probable labels: a thousand labels cost no more than these."""
NEAR_ROWS: Final = 5
VOTE_FLOOR: Final = 1e-3
"""Share of the votes that a label without a near example still has; none of them is impossible."""
SIGNALS: Final = 6
"""Columns of ``Signals.scope``."""
STEP: Final = 127.0
"""Examples are stored as signed bytes in units of 1/127: a quarter of the room, cosines equal to .005."""
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a head says of n texts."""

    probabilities: Floats
    """Shape (n, labels), calibrated, rows sum to 1: which label, given that it is one of them."""
    scope: Floats
    """Shape (n,), calibrated probability that the text is for one of the labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the judgement of n texts is made from."""

    linear: Floats
    """Shape (n, labels), log-probabilities of the linear part."""
    votes: Floats
    """Shape (sharpness, n, labels), log-shares of the nearest examples' votes."""
    scope: Floats
    """Shape (n, 6): log of the highest probability, energy (Liu et al. 2020), nearest cosine, mean of the nearest
    five, cosine to the nearest centre of a label, log-odds of the out-of-scope class (0 without one)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The arrays of a head, with L labels and K classes: K is L, or L + 1 when out-of-scope rows were learned."""

    linear: Singles
    """Shape (384, K)."""
    bias: Singles
    """Shape (K,)."""
    words: Singles
    """Shape (buckets, K), already times ``rarity``; (0, K) when words are not looked at."""
    rarity: Singles
    """Shape (buckets,), inverse document frequency."""
    examples: Bytes
    """Shape (m, 384), unit vectors times 127, ordered by label."""
    starts: NDArray[np.int64]
    """Shape (L + 1,): the examples of label i are the rows ``starts[i]`` to ``starts[i + 1]``."""
    centres: Singles
    """Shape (L, 384), unit vectors."""
    blend: Floats
    """Shape (3,): weight of ``Signals.linear``, weight of ``Signals.votes``, sharpness of a vote."""
    scope: Floats
    """Shape (3, 6): mean, spread and weight of each scope signal."""
    scope_bias: Floats
    """Shape ()."""
    reject_below: Floats
    """Shape ()."""


class Head:
    """Labels and weights. Immutable and safe for several threads."""

    def __init__(self, labels: Sequence[str], weights: Weights) -> None:
        """Raises ``ArtifactRefused`` for arrays whose shapes do not fit together or that are not finite."""
        self.labels = tuple(labels)
        self.weights = weights
        _check(self.labels, weights)
        self._examples = weights.examples.astype(np.float32) / np.float32(STEP)

    @property
    def reject_below(self) -> float:
        """A text whose ``scope`` is lower is for none of the labels."""
        return float(self.weights.reject_below)

    def judge(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> Judgement:
        """Judgement of ``texts`` with their unit ``vectors`` (n, 384). A text gets the same in any batch.

        Raises ``InvalidInput`` for another shape or values that are not finite.
        """
        w = self.weights
        found = self.signals(vectors, texts, (float(w.blend[2]),))
        mixed = w.blend[0] * found.linear + w.blend[1] * found.votes[0]
        mean, spread, weight = w.scope
        logit = ((found.scope - mean) / spread * weight).sum(axis=1) + w.scope_bias
        return Judgement(
            probabilities=np.exp(mixed - log_sum(mixed)[:, None]),
            scope=1.0 / (1.0 + np.exp(-np.clip(logit, -50, 50))),
        )

    def signals(self, vectors: NDArray[np.float32], texts: Sequence[str], sharpness: Sequence[float]) -> Signals:
        """The parts of the judgement, with votes for each ``sharpness``. Raises the same."""
        if vectors.shape != (len(texts), DIMENSIONS) or not np.isfinite(vectors).all():
            raise InvalidInput(f"{len(texts)} texts need finite vectors of shape ({len(texts)}, {DIMENSIONS})")
        n, count = len(texts), len(self.labels)
        linear, votes = np.empty((n, count)), np.empty((len(sharpness), n, count))
        scope = np.empty((n, SIGNALS))
        # One row at a time: a product of matrices rounds differently with the number of rows.
        for i, text in enumerate(texts):
            linear[i], votes[:, i], scope[i] = self._signals(vectors[i], text, sharpness)
        return Signals(linear=linear, votes=votes, scope=scope)

    def _signals(
        self, vector: Singles, text: str, sharpness: Sequence[float]
    ) -> tuple[Floats, list[Floats], list[float]]:
        w, count = self.weights, len(self.labels)
        logits = vector @ w.linear + w.bias
        places = buckets(text, len(w.rarity))
        if places:
            logits = logits + w.words[places].sum(axis=0) / np.sqrt(np.square(w.rarity[places]).sum())
        raw = logits.astype(np.float64)
        energy = _log_sum(raw[:count])
        linear = raw[:count] - energy
        beside = raw[count] - energy if len(raw) > count else 0.0
        votes, scope = self._votes(vector, linear, sharpness)
        return linear, votes, [float(linear.max()), energy, *scope, beside]

    def _votes(
        self, vector: Singles, linear: Floats, sharpness: Sequence[float]
    ) -> tuple[list[Floats], list[float]]:
        w, count = self.weights, len(self.labels)
        kept = range(count) if count <= NEAR_LABELS else np.argsort(-linear, kind="stable")[:NEAR_LABELS].tolist()
        if count <= NEAR_LABELS:
            cosines = (self._examples @ vector).astype(np.float64)
            sizes = np.diff(w.starts)
        else:
            blocks = [self._examples[w.starts[i] : w.starts[i + 1]] @ vector for i in kept]
            cosines = np.concatenate(blocks).astype(np.float64)
            sizes = np.array([len(block) for block in blocks])
        owners = np.repeat(kept, sizes)
        logs: list[Floats] = []
        for each in sharpness:
            votes = np.bincount(owners, np.exp(each * (cosines - 1.0)), count)
            logs.append(np.log((votes / votes.sum() + VOTE_FLOOR) / (1.0 + count * VOTE_FLOOR)))
        near = np.sort(cosines)[-NEAR_ROWS:]
        to_centre = float((w.centres[kept] @ vector).max())
        return logs, [float(near[-1]), float(near.mean()), to_centre]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays by name, none of objects: for ``numpy.savez`` and ``from_arrays``."""
        found: dict[str, NDArray[Any]] = {f.name: getattr(self.weights, f.name) for f in fields(Weights)}
        found |= {name: found[name].astype(np.float16) for name in _HALVES}
        return {"labels": np.array(self.labels, dtype=np.str_), **found}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Head:
        """The head that ``to_arrays`` gave. Raises ``ArtifactRefused`` for anything else."""
        wanted = {"labels", *(f.name for f in fields(Weights))}
        if set(arrays) != wanted:
            raise _refused(f"its arrays are {', '.join(sorted(arrays))[:200]}")
        labels = arrays["labels"]
        if labels.dtype.kind != "U" or labels.ndim != 1:
            raise _refused("labels are not a list of texts")
        kinds = {name: array.dtype.kind for name, array in arrays.items() if name != "labels"}
        wrong = [n for n, kind in kinds.items() if kind != ("i" if n in ("examples", "starts") else "f")]
        if wrong:
            raise _refused(f"{', '.join(sorted(wrong))} of another type")
        typed = {name: arrays[name].astype(_TYPES.get(name, np.float64)) for name in kinds}
        return cls(labels.tolist(), Weights(**typed))


_HALVES: Final = ("linear", "words", "rarity", "centres")
"""Stored in 16 bits; ``fit_head`` rounds them, so that a head says the same before and after."""
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys((*_HALVES, "bias"), np.float32),
    "examples": np.int8,
    "starts": np.int64,
}


def log_sum(rows: Floats) -> Floats:
    """Log of the sum of exponentials of each row."""
    top = rows.max(axis=1)
    return top + np.log(np.exp(rows - top[:, None]).sum(axis=1))


def _log_sum(row: Floats) -> float:
    top = row.max()
    return float(top + np.log(np.exp(row - top).sum()))


def _check(labels: tuple[str, ...], w: Weights) -> None:
    count, words = len(labels), len(w.rarity) if w.rarity.ndim == 1 else -1
    classes = w.bias.shape[0] if w.bias.ndim == 1 else -1
    if len(set(labels)) != count or count < 2:
        raise _refused("it has fewer than two labels, or one of them twice")
    shapes = {
        "linear": (DIMENSIONS, classes),
        "words": (words, classes),
        "examples": (w.examples.shape[0] if w.examples.ndim else -1, DIMENSIONS),
        "starts": (count + 1,),
        "centres": (count, DIMENSIONS),
        "blend": (3,),
        "scope": (3, SIGNALS),
        "scope_bias": (),
        "reject_below": (),
    }
    wrong = [name for name, shape in shapes.items() if getattr(w, name).shape != shape]
    if wrong or classes not in (count, count + 1):
        raise _refused(f"the shapes of {', '.join(wrong) or 'bias'} do not fit {count} labels")
    broken = [f.name for f in fields(Weights) if not np.isfinite(getattr(w, f.name)).all()]
    if broken:
        raise _refused(f"{', '.join(broken)} not finite")
    steps = np.diff(w.starts)
    if w.starts[0] != 0 or w.starts[-1] != len(w.examples) or (steps < 1).any():
        raise _refused("a label has no examples")
    if (w.scope[1] <= 0).any() or w.blend[2] < 0:
        raise _refused("a spread or sharpness is not positive")


def _refused(why: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"this is not a trained head: {why}", hint="train it again with `switchgear train router`"
    )
