"""How an entry is written down: strict JSON with its own place, epoch and version inside, checked on the way out.

Used by every store, so that a twin and Redis refuse the same damage. Not the question's bytes beside it, which are
``engine.cache.question``'s.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from engine.cache.fingerprint import SCHEMA
from engine.cached import CachedAnswer, Entry, Place

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is stored for one entry."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    version: Literal["x3"]
    owner: str
    scope: str
    key: str
    epoch: str
    ttl_s: int
    answer: CachedAnswer

    @property
    def place(self) -> Place:
        """Where it says it lies."""
        return Place(owner=self.owner, scope=self.scope, key=self.key)

    def entry(self, question: bytes | None) -> Entry:
        """The entry it was made of."""
        return Entry(place=self.place, answer=self.answer, ttl_s=self.ttl_s, epoch=self.epoch, question=question)


_RECORD = TypeAdapter(Record)


def epoch_of(entry: Entry) -> str:
    """The epoch an entry is stored under: none for what a tenant shares, whoever asked first."""
    provenance = entry.answer.provenance
    return entry.epoch if provenance is None or provenance.by == entry.place.owner else ""


def encode(entry: Entry) -> bytes | None:
    """``entry`` as UTF-8 JSON without its question; ``None`` when its text is no Unicode (a lone surrogate)."""
    place = entry.place
    record = Record(
        version=SCHEMA,
        owner=place.owner,
        scope=place.scope,
        key=place.key,
        epoch=epoch_of(entry),
        ttl_s=entry.ttl_s,
        answer=entry.answer,
    )
    try:
        # Defaults come back by themselves: a third of the bytes, and a hit is read faster.
        return _RECORD.dump_json(record, exclude_defaults=True)
    except ValueError:
        return None


def decode(data: bytes | str) -> Record | None:
    """The record; ``None`` when the bytes are damaged, of another version, or hold anything unknown."""
    try:
        return _RECORD.validate_json(data, strict=True, extra="forbid")
    except ValidationError:
        return None


def decode_at(place: Place, data: bytes | str) -> Record | None:
    """The record if it is that of ``place``: the second check of the partition (fault 46)."""
    record = decode(data)
    return record if record is not None and belongs(record, place) else None


def belongs(record: Record, place: Place) -> bool:
    """The record says of itself that it lies there."""
    return (record.owner, record.scope, record.key) == (place.owner, place.scope, place.key)


def alarm(where: str) -> None:
    """Say that a record was thrown away. ``where`` is a key of digests; what was in it is not repeated."""
    log.warning("a damaged or foreign record of the answer cache was deleted: %s", where)
