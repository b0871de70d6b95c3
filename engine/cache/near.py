"""What of the semantic tier needs arrays: vectors of stored questions, exact similarity, observations as bytes.

Pure. Apart from the stores, so that an exact hit loads no numpy: they import it when the first question comes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.cache.fingerprint import digest
from engine.cache.question import unpack
from engine.cached import Near, Observation, Place

OBSERVATION: Final = struct.Struct("<d?")
"""Score and whether it was right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A stored question as a store came across it."""

    place: Place
    """Where it was found."""
    says: bytes
    """Where it says it lies, as ``mark`` has it."""
    question: bytes
    observations: bytes


def held(scope: Place, said: Sequence[bytes]) -> Held:
    """What a store found in ``scope``: key, what the record says of itself, question, observations."""
    key, says, question, observations = said
    place = replace(scope, key=key.decode("ascii", "replace"))
    return Held(place=place, says=says, question=question, observations=observations)


def vector_of(question: bytes) -> bytes | None:
    """Little-endian single-precision bytes of a packed question's unit vector; ``None`` when it is damaged."""
    read = unpack(question)
    return None if read is None else read.vector.astype("<f4").tobytes()


def searchable(vector: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """``vector`` with length 1; ``None`` when it has no direction (fault 45)."""
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        return None
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return (vector / length).astype("<f4") if length > 0.0 and math.isfinite(length) else None


def comparable(question: bytes, vector: NDArray[np.float32]) -> bool:
    """No whole question of another encoder."""
    read = unpack(question)
    return read is None or read.vector.shape == vector.shape


def mark(place: Place, epoch: str) -> bytes:
    """What a question's record says of its own place: 32 bytes instead of 200."""
    return bytes.fromhex(digest((place.owner, place.scope, place.key, epoch)))


def near(found: Held, epoch: str, vector: NDArray[np.float32]) -> Near | None:
    """``found`` with its exact cosine; ``None`` when it is damaged, foreign or of another epoch."""
    read = unpack(found.question)
    observations = observed(found.observations)
    if read is None or observations is None or not belongs(found, epoch) or read.vector.shape != vector.shape:
        return None
    similarity = min(1.0, max(-1.0, float(read.vector @ vector)))
    return Near(place=found.place, similarity=similarity, question=found.question, observations=observations)


def belongs(found: Held, epoch: str) -> bool:
    """The record says of itself that it lies there (fault 46)."""
    return found.says == mark(found.place, epoch)


def best(found: Iterable[Near], count: int, similarity_min: float) -> tuple[Near, ...]:
    """The nearest ``count``; the order of equals is that of their keys."""
    enough = (one for one in found if one.similarity >= similarity_min)
    return tuple(sorted(enough, key=lambda one: (-one.similarity, one.place.key))[:count])


def written(observation: Observation) -> bytes:
    """One observation, always of the same size."""
    return OBSERVATION.pack(observation.score, observation.right)


def observed(data: bytes) -> tuple[Observation, ...] | None:
    """Observations, oldest first; ``None`` when they are damaged."""
    if len(data) % OBSERVATION.size:
        return None
    found = [Observation(score=score, right=right) for score, right in OBSERVATION.iter_unpack(data)]
    return tuple(found) if all(0.0 <= one.score <= 1.0 for one in found) else None
