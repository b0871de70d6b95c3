"""One question as verification needs it, and its bytes beside a stored answer.

Not the answer (``engine/cache/entry.py``) and not the judgement (``engine/cache/verdict.py``). Bytes that were not
written by ``pack`` of this version, or that changed since, are ``None``: a miss, never an error.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors, one per row; a single one has one dimension."""
VERSION: Final = 1
MAGIC: Final = b"SGQ"
TOKENS_MAX: Final = 64
"""Of one question: what comes after it is in the sentence vector only. Keeps an entry small."""
_HEAD: Final = struct.Struct("<3sBIHHH")
"""Magic, version, bytes of text, dimensions of the vector, tokens, dimensions of a token."""
_CHECK: Final = struct.Struct("<I")
_LENGTH_SLACK: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What verification needs of one question."""

    text: str
    vector: Vectors
    """Shape (dimensions,), length 1."""
    pieces: NDArray[np.uint16] | None = None
    """Shape (n,): the word pieces, as numbers of the encoder's vocabulary; ``None`` together with ``tokens``."""
    tokens: NDArray[np.int8] | None = None
    """Shape (n, d): what each piece means in this question, directions only (length 127)."""


def pack(question: Question) -> bytes:
    """``question`` as bytes: its vector in half precision, the first ``TOKENS_MAX`` tokens, a checksum.

    Raises ``ValueError`` when the vector has no direction: such a question cannot be found again (fault 45).
    """
    if not _has_direction(question.vector):
        raise ValueError("a question without a direction cannot be stored")
    text = question.text.encode("utf-8", "surrogatepass")
    pieces, tokens = question.pieces, question.tokens
    if pieces is None or tokens is None:
        pieces, tokens = np.empty(0, np.uint16), np.empty((0, 0), np.int8)
    pieces, tokens = pieces[:TOKENS_MAX], tokens[:TOKENS_MAX]
    width = tokens.shape[1] if len(tokens) else 0
    head = _HEAD.pack(MAGIC, VERSION, len(text), len(question.vector), len(tokens), width)
    parts = (question.vector.astype("<f2"), pieces.astype("<u2"), tokens.astype("i1"))
    body = b"".join((head, text, *(part.tobytes() for part in parts)))
    return body + _CHECK.pack(zlib.crc32(body))


def unpack(data: bytes) -> Question | None:
    """What ``pack`` was given; ``None`` for anything else, vectors without a direction included."""
    parts = _parts(data)
    if parts is None:
        return None
    text, halves, numbers, rows, count = parts
    vector = np.frombuffer(halves, "<f2").astype(np.float32)
    if not _has_direction(vector) or abs(float(np.linalg.norm(vector)) - 1.0) > _LENGTH_SLACK:
        return None
    try:
        words = text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    vector /= np.linalg.norm(vector)
    if not count:
        return Question(text=words, vector=vector)
    pieces = np.frombuffer(numbers, "<u2").astype(np.uint16)
    return Question(text=words, vector=vector, pieces=pieces, tokens=np.frombuffer(rows, "i1").reshape(count, -1))


def _parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes, int] | None:
    """Text, vector, pieces, tokens and how many tokens: if it is a whole entry of this version."""
    body, check = data[: -_CHECK.size], data[-_CHECK.size :]
    if len(body) < _HEAD.size or _CHECK.pack(zlib.crc32(body)) != check:
        return None
    magic, version, text_bytes, dimensions, count, width = _HEAD.unpack_from(body)
    if (magic, version) != (MAGIC, VERSION) or count > TOKENS_MAX or (count > 0) != (width > 0):
        return None
    ends = list(accumulate((_HEAD.size, text_bytes, 2 * dimensions, 2 * count, count * width)))
    if ends[-1] != len(body):
        return None
    text, halves, numbers, rows = (body[start:end] for start, end in pairwise(ends))
    return text, halves, numbers, rows, count


def _has_direction(vector: Vectors) -> bool:
    return vector.ndim == 1 and bool(np.isfinite(vector).all()) and bool(np.any(vector))
