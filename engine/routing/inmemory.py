"""A ``TextEncoder`` without a model: hashed words. Deterministic, instant, and it knows words, not meaning.

The twin that tests and offline examples use; never a substitute in production, where a missing model is an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import numpy as np

from engine.errors import EngineClosed
from engine.routing.contract import Reading, Vectors
from engine.routing.encoder import DIMENSIONS, unit
from engine.routing.words import familiarity, stems

_VOWEL: Final = re.compile(r"[aeiouy]")


class HashedWords:
    """Each stem of a text adds one of 383 directions; the last direction is every text's own."""

    def __init__(self) -> None:
        self._closed = False

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        """See ``TextEncoder``."""
        if self._closed:
            raise EngineClosed("the encoder has been closed")
        return np.array([_vector(text) for text in texts], dtype=np.float32).reshape(-1, DIMENSIONS)

    async def aread(self, text: str) -> Reading:
        """See ``TextEncoder``. Knows every word of Latin letters that has a vowel."""
        vectors = await self.aencode((text,))
        return Reading(vector=vectors[0], familiarity=familiarity(text, lambda w: _VOWEL.search(w) is not None))

    async def aclose(self) -> None:
        """Refuse from now on."""
        self._closed = True


def _vector(text: str) -> Vectors:
    vector = np.zeros(DIMENSIONS, dtype=np.float32)
    vector[-1] = 0.1
    for word in stems(text):
        digest = blake2b(word.encode(errors="replace"), digest_size=4).digest()
        vector[int.from_bytes(digest) % (DIMENSIONS - 1)] += 1.0
    return unit(vector)
