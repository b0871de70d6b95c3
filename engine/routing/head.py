"""A trained head: vector and words of a text in, calibrated probability of each label and of "one of these" out.

Pure numpy, arrays only; fitted by ``engine/training/fit.py``. Not the choice of an agent: health, cost and
constraints come after it (``engine/routing/select.py``). Reasons and figures: docs/decisions/0015.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtifactRefused, InvalidInput
from engine.routing.features import CHARS_MAX, buckets
from engine.routing.words import Term, TermIndex, edges, term

DIMENSIONS: Final = 384
NEAR_LABELS: Final = 16
"""Examples are compared for so many of the most probable labels: a thousand labels cost no more than these."""
NEAR_ROWS: Final = 5
VOTE_FLOOR: Final = 1e-3
"""Share of the votes that a label without a near example still has; none of them is impossible."""
KEYWORDS_MAX: Final = 3
LOGIT_MAX: Final = 50.0
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

    parts: Floats
    """Shape (3 + sharpness, n, labels): log-probabilities of the linear part; 1 where a cue of the label occurs;
    number of its keywords, three at most; log-shares of the nearest examples' votes, for each sharpness."""
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
    terms: NDArray[np.str_]
    """Shape (t,): cues and keywords of the labels."""
    term_labels: NDArray[np.int64]
    """Shape (t,): whose they are."""
    term_cues: NDArray[np.int64]
    """Shape (t,): 1 for a cue, 0 for a keyword."""
    blend: Floats
    """Shape (4,): weights of ``Signals.parts``."""
    sharpness: Floats
    """Shape (): how much a nearer example outvotes a farther one."""
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
        self._owners = np.repeat(np.arange(len(self.labels)), np.diff(weights.starts))
        self._terms = TermIndex(_terms(weights))

    @property
    def reject_below(self) -> float:
        """A text whose ``scope`` is lower is for none of the labels."""
        return float(self.weights.reject_below)

    def judge(self, vectors: NDArray[np.float32], texts: Sequence[str]) -> Judgement:
        """Judgement of ``texts`` with their unit ``vectors`` (n, 384). A text gets the same in any batch.

        Raises ``InvalidInput`` for another shape or values that are not finite.
        """
        w = self.weights
        found = self.signals(vectors, texts)
        mixed = (w.blend[:, None, None] * found.parts).sum(axis=0)
        mean, spread, weight = w.scope
        logit = ((found.scope - mean) / spread * weight).sum(axis=1) + w.scope_bias
        return Judgement(
            probabilities=np.exp(mixed - log_sum(mixed)[:, None]),
            scope=1.0 / (1.0 + np.exp(-np.clip(logit, -LOGIT_MAX, LOGIT_MAX))),
        )

    def probabilities(self, vector: NDArray[np.float32], text: str) -> Floats:
        """``judge`` of one text, shape (labels,), without its scope and with only those parts that have a weight:
        a decision waits for this. ``vector`` is finite and of shape (384,).
        """
        w = self.weights
        cue, keyword, vote = w.blend[1:].tolist()
        parts = np.zeros((4, len(self.labels)))
        parts[0] = self._linear(vector, text)[0]
        if vote:
            self._near(vector, parts, (float(w.sharpness),))
        if cue or keyword:
            self._hits(text, parts)
        mixed = w.blend @ parts
        return np.exp(mixed - _log_sum(mixed))

    def signals(
        self, vectors: NDArray[np.float32], texts: Sequence[str], sharpness: Sequence[float] | None = None
    ) -> Signals:
        """The parts of the judgement, with votes for each ``sharpness`` (``None``: its own). Raises the same."""
        if vectors.shape != (len(texts), DIMENSIONS) or not np.isfinite(vectors).all():
            raise InvalidInput(f"{len(texts)} texts need finite vectors of shape ({len(texts)}, {DIMENSIONS})")
        sharp = (float(self.weights.sharpness),) if sharpness is None else sharpness
        parts = np.zeros((3 + len(sharp), len(texts), len(self.labels)))
        scope = np.zeros((len(texts), SIGNALS))
        # One row at a time: a product of matrices rounds differently with the number of rows.
        for i, text in enumerate(texts):
            parts[0, i], scope[i, 0], scope[i, 1], scope[i, 5] = self._linear(vectors[i], text)
            scope[i, 2:5] = self._near(vectors[i], parts[:, i], sharp)
            self._hits(text, parts[:, i])
        return Signals(parts=parts, scope=scope)

    def _linear(self, vector: Singles, text: str) -> tuple[Floats, float, float, float]:
        """Log-probabilities, the highest of them, energy, log-odds of the out-of-scope class."""
        w, count = self.weights, len(self.labels)
        logits = vector @ w.linear + w.bias
        places = buckets(text, len(w.rarity))
        if places:
            rarity = w.rarity[places]
            logits += w.words[places].sum(axis=0) / np.sqrt(rarity @ rarity)
        raw = logits.astype(np.float64)
        top = float(raw[:count].max())
        energy = _log_sum(raw[:count])
        return raw[:count] - energy, top - energy, energy, float(raw[count]) - energy if len(raw) > count else 0.0

    def _near(self, vector: Singles, parts: Floats, sharpness: Sequence[float]) -> tuple[float, float, float]:
        """Fills the votes of one row; nearest cosine, mean of the nearest, cosine to the nearest centre."""
        w, count = self.weights, len(self.labels)
        if count <= NEAR_LABELS:
            cosines, owners, centres = self._examples @ vector, self._owners, w.centres
        else:
            kept = np.argpartition(-parts[0], NEAR_LABELS)[:NEAR_LABELS]
            rows = np.concatenate([self._examples[w.starts[i] : w.starts[i + 1]] for i in kept.tolist()])
            owners = np.repeat(kept, w.starts[kept + 1] - w.starts[kept])
            cosines, centres = rows @ vector, w.centres[kept]
        cosines = cosines.astype(np.float64)
        for i, sharp in enumerate(sharpness):
            votes = np.bincount(owners, np.exp(sharp * (cosines - 1.0)), count)
            parts[3 + i] = np.log((votes / votes.sum() + VOTE_FLOOR) / (1.0 + count * VOTE_FLOOR))
        near = np.sort(cosines)[-NEAR_ROWS:]
        return float(near[-1]), float(near.sum()) / len(near), float((centres @ vector).max())

    def _hits(self, text: str, parts: Floats) -> None:
        """Fills the cues and keywords of one row."""
        for label, hits in self._terms.find(edges(text, CHARS_MAX)).items():
            parts[1, label] = float(bool(hits.cues))
            parts[2, label] = min(len(hits.keywords), KEYWORDS_MAX)

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
        kinds = {name: _KINDS.get(name, "f") for name in wanted}
        wrong = [name for name, kind in kinds.items() if arrays[name].dtype.kind != kind]
        if wrong or arrays["labels"].ndim != 1:
            raise _refused(f"{', '.join(sorted(wrong)) or 'labels'} of another type")
        typed = {f.name: arrays[f.name].astype(_TYPES.get(f.name, np.float64)) for f in fields(Weights)}
        return cls(arrays["labels"].tolist(), Weights(**typed))


_HALVES: Final = ("linear", "words", "rarity", "centres")
"""Stored in 16 bits; ``engine/training/fit.py`` rounds them, so that a head says the same before and after."""
_TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys((*_HALVES, "bias"), np.float32),
    "examples": np.int8,
    **dict.fromkeys(("starts", "term_labels", "term_cues"), np.int64),
    "terms": np.str_,
}
_KINDS: Final = {
    **dict.fromkeys(("examples", "starts", "term_labels", "term_cues"), "i"),
    **dict.fromkeys(("labels", "terms"), "U"),
}


def log_sum(rows: Floats) -> Floats:
    """Log of the sum of exponentials of each row."""
    top = rows.max(axis=1)
    return top + np.log(np.exp(rows - top[:, None]).sum(axis=1))


def _log_sum(row: Floats) -> float:
    top = float(row.max())
    return top + math.log(float(np.exp(row - top).sum()))


def _terms(weights: Weights) -> Iterator[tuple[int, Term]]:
    named = zip(weights.terms.tolist(), weights.term_labels.tolist(), weights.term_cues.tolist(), strict=True)
    for text, label, cue in named:
        found = term(text, cue=bool(cue))
        if found is not None:
            yield label, found


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
        "terms": (w.terms.size,),
        "term_labels": (w.terms.size,),
        "term_cues": (w.terms.size,),
        "blend": (4,),
        "sharpness": (),
        "scope": (3, SIGNALS),
        "scope_bias": (),
        "reject_below": (),
    }
    wrong = [name for name, shape in shapes.items() if getattr(w, name).shape != shape]
    if wrong or classes not in (count, count + 1):
        raise _refused(f"the shapes of {', '.join(wrong) or 'bias'} do not fit {count} labels")
    numbers = [f.name for f in fields(Weights) if f.name != "terms"]
    broken = [name for name in numbers if not np.isfinite(getattr(w, name)).all()]
    if broken:
        raise _refused(f"{', '.join(broken)} not finite")
    steps = np.diff(w.starts)
    if w.starts[0] != 0 or w.starts[-1] != len(w.examples) or (steps < 1).any():
        raise _refused("a label has no examples")
    if ((w.term_labels < 0) | (w.term_labels >= count)).any():
        raise _refused("a term belongs to no label")
    if (w.scope[1] <= 0).any() or w.sharpness <= 0:
        raise _refused("a spread or sharpness is not positive")


def _refused(why: str) -> ArtifactRefused:
    return ArtifactRefused(
        f"this is not a trained head: {why}", hint="train it again with `switchgear train router`"
    )
