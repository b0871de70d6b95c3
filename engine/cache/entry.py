"""How a cached answer is written down: JSON with its own key inside, checked again on the way out.

Used by every store of the exact tier, so that a twin and Redis refuse the same damage.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from engine.cached import CachedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    key: str
    answer: CachedAnswer


_ENTRY = TypeAdapter(_Entry)


def encode(key: str, answer: CachedAnswer) -> bytes:
    """The entry as UTF-8 JSON."""
    return _ENTRY.dump_json(_Entry(key=key, answer=answer))


def decode(key: str, data: bytes | str) -> CachedAnswer | None:
    """The answer, or ``None`` when the bytes are damaged, of another shape, or another key's (fault 46)."""
    try:
        entry = _ENTRY.validate_json(data)
    except ValidationError:
        return None
    return entry.answer if entry.key == key else None
