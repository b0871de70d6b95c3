"""Words of a text as places in a fixed table: what a trained head reads besides the vector. Pure.

The hashing trick (Weinberger et al. 2009): no vocabulary is stored, so none of the training texts can be read
from a head. Not the weights of the words (``engine/routing/head.py``).
"""

from __future__ import annotations

import re
import zlib
from itertools import pairwise
from typing import Final

from engine.routing.words import edges

CHARS_MAX: Final = 2_000
"""Of a longer text the two ends count: what is wanted stands before or after what is pasted."""
_TOKEN: Final = re.compile(r"[^\W_]+|[^\w\s]")


def buckets(text: str, count: int) -> list[int]:
    """Places in ``range(count)`` of the words, signs and neighbouring pairs of ``text``, ascending, each once.

    ``count`` 0 means that words are not looked at.
    """
    if count == 0:
        return []
    tokens = _TOKEN.findall(edges(text, CHARS_MAX).lower())
    grams = [*tokens, *map(" ".join, pairwise(tokens))]
    return sorted({zlib.crc32(gram.encode("utf-8", "replace")) % count for gram in grams})
