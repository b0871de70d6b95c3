"""One question as verification needs it, and its bytes beside a stored answer.

Not the answer (``engine/cache/entry.py``) and not the judgement (``engine/cache/verdict.py``). Bytes that were not
written by ``pack`` of this version, or that changed since, are ``None``: a miss, never an error.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Unit vectors, one per row; a single one has one dimension."""
VERSION: Final = 1
MAGIC: Final = b"SGQ"
_HEAD: Final = struct.Struct("<3sBIH")
"""Magic, version, bytes of text, dimensions of the vector."""
_CHECK: Final = struct.Struct("<I")
_LENGTH_SLACK: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What verification needs of one question."""

    text: str
    vector: Vectors
    """Shape (dimensions,), length 1."""


def pack(question: Question) -> bytes:
    """``question`` as bytes: its vector in half precision, a checksum.

    Raises ``ValueError`` when the vector has no direction: such a question cannot be found again (fault 45).
    """
    if not _has_direction(question.vector):
        raise ValueError("a question without a direction cannot be stored")
    text = question.text.encode("utf-8", "surrogatepass")
    head = _HEAD.pack(MAGIC, VERSION, len(text), len(question.vector))
    body = head + text + question.vector.astype("<f2").tobytes()
    return body + _CHECK.pack(zlib.crc32(body))


def unpack(data: bytes) -> Question | None:
    """What ``pack`` was given; ``None`` for anything else, vectors without a direction included."""
    parts = _parts(data)
    if parts is None:
        return None
    text, halves = parts
    vector = np.frombuffer(halves, "<f2").astype(np.float32)
    if not _has_direction(vector) or abs(float(np.linalg.norm(vector)) - 1.0) > _LENGTH_SLACK:
        return None
    try:
        words = text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return Question(text=words, vector=vector / np.float32(np.linalg.norm(vector)))


def _parts(data: bytes) -> tuple[bytes, bytes] | None:
    """Text and vector, if it is a whole entry of this version."""
    body, check = data[: -_CHECK.size], data[-_CHECK.size :]
    if len(body) < _HEAD.size or _CHECK.pack(zlib.crc32(body)) != check:
        return None
    magic, version, text_bytes, dimensions = _HEAD.unpack_from(body)
    end = _HEAD.size + text_bytes
    if (magic, version) != (MAGIC, VERSION) or end + 2 * dimensions != len(body):
        return None
    return body[_HEAD.size : end], body[end:]


def _has_direction(vector: Vectors) -> bool:
    return vector.ndim == 1 and bool(np.isfinite(vector).all()) and bool(np.any(vector))
