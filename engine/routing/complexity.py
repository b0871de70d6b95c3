"""How much work a question asks for: simple, medium or complex (route.strategy, route.models). Pure numpy.

A logistic head over the question's vector and its traits (``engine/routing/traits.py``). Not the fitting
(``engine/training/fit_complexity.py``), not what follows from the answer (``engine/routing/policy.py``).
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import ArtifactRefused
from engine.routing.traits import TRAITS, trait_rows
from engine.types import Complexity

LEVELS: Final[tuple[Complexity, ...]] = ("simple", "medium", "complex")
"""In order; the columns of ``judge``."""
SHIPPED: Final = Path(str(files("engine.routing") / "data"))
ARRAYS: Final = "complexity.npz"
CARD: Final = "complexity.json"
DIMENSIONS: Final = 384
BYTES_MAX: Final = 1_048_576
SPREAD_MIN: Final = 0.15
"""A trait that hardly varied where the head was fitted is not stretched further than this allows."""
FAR: Final = 4.0
"""Standard deviations beyond which a trait counts no more: one unheard-of number decides nothing."""
SHARE_OF_TRAITS: Final = 1.0 / 6.0
"""Brings the traits to the scale of a unit vector's parts, so that one penalty is meant for both."""
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplexityHead:
    """Weights of the three levels. The same row gives the same answer alone and in any batch."""

    weights: Floats
    """Shape (384 + traits, 3)."""
    bias: Floats
    """Shape (3,)."""
    centre: Floats
    """Mean of each trait where it was fitted, shape (traits,)."""
    spread: Floats
    """Standard deviation of each trait there."""

    def judge(self, vectors: Floats, texts: Sequence[str]) -> Floats:
        """Share of belief in each of ``LEVELS``, shape (n, 3), for unit ``vectors`` (n, 384) of ``texts``.

        The rare levels were given weight in fitting, so the largest of the three is the level to act on; as
        frequencies they overstate ``complex``. Raises ``ValueError`` when the two do not belong together.
        """
        if vectors.shape != (len(texts), DIMENSIONS):
            raise ValueError(f"{len(texts)} texts need vectors of shape ({len(texts)}, {DIMENSIONS})")
        rows = inputs(vectors, trait_rows(texts), self.centre, self.spread)
        # einsum, not a matrix product: the library's order of summing depends on how many rows there are.
        return _softmax(np.einsum("ij,jk->ik", rows, self.weights) + self.bias)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """What ``from_arrays`` needs; plain arrays, nothing pickled."""
        return {
            "weights": self.weights,
            "bias": self.bias,
            "centre": self.centre,
            "spread": self.spread,
            "traits": np.array(TRAITS),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ComplexityHead:
        """The head again. Raises ``ValueError`` for arrays of other traits, shapes or numbers."""
        missing = [name for name in ("weights", "bias", "centre", "spread", "traits") if name not in arrays]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        if tuple(str(name) for name in np.ravel(arrays["traits"])) != TRAITS:
            raise ValueError("it was fitted on other traits than this release reads")
        shapes = {
            "weights": (DIMENSIONS + len(TRAITS), len(LEVELS)),
            "bias": (len(LEVELS),),
            "centre": (len(TRAITS),),
            "spread": (len(TRAITS),),
        }
        found: dict[str, Floats] = {}
        for name, shape in shapes.items():
            array = arrays[name]
            if array.shape != shape or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise ValueError(f"{name} is not {shape} finite numbers")
            found[name] = array.astype(np.float32)
        if (found["spread"] <= 0.0).any():
            raise ValueError("spread is not positive")
        return cls(**found)


def inputs(vectors: Floats, traits: Floats, centre: Floats, spread: Floats) -> Floats:
    """What the weights apply to: each vector, and its traits brought to the same scale."""
    standard = np.clip((traits - centre) / spread, -FAR, FAR) * np.float32(SHARE_OF_TRAITS)
    return np.hstack([vectors, standard]).astype(np.float32, copy=False)


def level(probabilities: Floats) -> Complexity:
    """The level to act on, from one row of ``judge``; the simpler one of two that are alike."""
    return LEVELS[int(np.argmax(probabilities))]


def load_complexity(folder: Path = SHIPPED) -> ComplexityHead:
    """The shipped head, or one in another folder: ``complexity.npz`` with the digest that its card states.

    Raises ``ArtifactRefused``: ``artifact_missing`` or ``artifact_damaged``. Nothing of the file is run.
    """
    card, data = _read(folder / CARD), _read(folder / ARRAYS)
    try:
        stated = json.loads(card)["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise _damaged(f"{CARD} states no digest") from exc
    if hashlib.sha256(data).hexdigest() != stated:
        raise _damaged(f"{ARRAYS} is not the file that {CARD} describes (SHA-256 differs)")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return ComplexityHead.from_arrays({name: stored[name] for name in stored.files})
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError, zipfile.BadZipFile) as exc:
        raise _damaged(f"{ARRAYS} holds no complexity head: {exc}") from exc


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as exc:
        raise ArtifactRefused(
            f"{path.name} cannot be read: {exc.strerror}",
            hint="restore the file from the release",
            code="artifact_missing",
        ) from exc
    if len(data) > BYTES_MAX:
        raise _damaged(f"{path.name} is larger than {BYTES_MAX:,} bytes")
    return data


def _damaged(what: str) -> ArtifactRefused:
    return ArtifactRefused(what, hint="restore the file from the release", code="artifact_damaged")


def _softmax(scores: Floats) -> Floats:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
