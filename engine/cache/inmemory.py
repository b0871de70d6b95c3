"""Both tiers of the answer cache in dicts: the twin of ``RedisAnswerCache``, for tests and engines without Redis.

Nothing that more than one process sees, and no limit on memory beside the caps of ``CacheSettings``.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from configs.caching import CacheSettings
from engine.cache.entry import alarm, decode_at, encode, epoch_of
from engine.cached import CachedAnswer, CacheStats, Entry, Found, Lookup, Near, Observation, Place

if TYPE_CHECKING:  # an exact hit needs no arrays
    import numpy as np
    from numpy.typing import NDArray

MINUTE_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class _Question:
    says: bytes
    epoch: str
    packed: bytes
    observations: bytes = b""


@dataclass(slots=True, kw_only=True)
class _Kept:
    place: Place
    data: bytes
    ends_s: float
    question: _Question | None


@dataclass(slots=True, kw_only=True)
class _Owner:
    kept: dict[str, _Kept] = field(default_factory=dict[str, _Kept])
    used: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """By key: the step of the last use; of one step, by key."""


class InMemoryAnswerCache:
    """``AnswerCache`` of one process. ``now_s`` is a monotonic clock."""

    def __init__(self, settings: CacheSettings, *, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._now_s = now_s
        self._owners: dict[str, _Owner] = {}
        self._epochs: dict[str, tuple[str, float]] = {}
        self._writes: dict[str, tuple[float, int]] = {}
        self._steps = 0
        self._hits = 0
        self._evicted = 0
        self._damage = 0

    async def get(self, lookup: Lookup) -> Found:
        """See ``AnswerCache``."""
        epoch = self._epoch(lookup.own.owner) if lookup.remembers else lookup.epoch
        for place in lookup.places:
            found = self._read(place)
            if found is not None and (found[1] == epoch or place is lookup.shared):
                return Found(answer=found[0], place=place, epoch=epoch)
        return Found(answer=None, epoch=epoch)

    async def nearest(
        self, lookup: Lookup, vector: NDArray[np.float32], *, count: int, similarity_min: float
    ) -> tuple[Near, ...]:
        """See ``AnswerCache``. Compares with every question of the scopes."""
        from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

        asked = near.searchable(vector)
        if asked is None:
            return ()
        found: list[Near] = []
        for place in lookup.places:
            epoch = lookup.epoch if place is lookup.own else ""
            for kept, question in self._questions(place, epoch):
                held = near.Held(
                    place=kept.place,
                    says=question.says,
                    question=question.packed,
                    observations=question.observations,
                )
                if not near.comparable(question.packed, asked):
                    continue
                one = near.near(held, epoch, asked)
                if one is None:
                    alarm(f"{kept.place.owner}:{kept.place.key}")
                    self._damage += 1
                    kept.question = None
                else:
                    found.append(one)
        return near.best(found, count, similarity_min)

    async def read(self, place: Place, *, epoch: str) -> CachedAnswer | None:
        """See ``AnswerCache``."""
        found = self._read(place)
        return found[0] if found is not None and found[1] in ("", epoch) else None

    async def put(self, entry: Entry) -> bool:
        """See ``AnswerCache``."""
        data = encode(entry)
        if data is None or len(data) + len(entry.question or b"") > self._settings.entry_bytes_max:
            return False
        question: _Question | None = None
        epoch = epoch_of(entry)
        if entry.question is not None:
            from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

            if near.vector_of(entry.question) is None:
                return False
            question = _Question(says=near.mark(entry.place, epoch), epoch=epoch, packed=entry.question)
        provenance = entry.answer.provenance
        if provenance is not None and not self._may_write(provenance.by):
            return False
        owner = self._owners.setdefault(entry.place.owner, _Owner())
        self._steps += 1
        ends_s = self._now_s() + entry.ttl_s
        owner.kept[entry.place.key] = _Kept(place=entry.place, data=data, ends_s=ends_s, question=question)
        owner.used[entry.place.key] = (self._steps, entry.place.key)
        self._make_room(owner)
        return True

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """See ``AnswerCache``."""
        self._steps += 1
        for place, count in hits.items():
            self._hits += count
            owner = self._owners.get(place.owner)
            if owner is not None and place.key in owner.used:
                owner.used[place.key] = (self._steps, place.key)

    async def observe(self, place: Place, observation: Observation) -> None:
        """See ``AnswerCache``."""
        from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

        kept = self._alive(place)
        if kept is not None and kept.question is not None:
            most = self._settings.bound.observations_max * near.OBSERVATION.size
            kept.question.observations = (kept.question.observations + near.written(observation))[-most:]

    async def delete(self, places: tuple[Place, ...]) -> int:
        """See ``AnswerCache``."""
        gone = 0
        for place in places:
            gone += self._alive(place) is not None
            self._drop(place)
        return gone

    async def entries(self) -> AsyncIterator[Entry]:
        """See ``AnswerCache``."""
        for kept in [kept for owner in self._owners.values() for kept in owner.kept.values()]:
            if self._alive(kept.place) is None:
                continue
            record = decode_at(kept.place, kept.data)
            if record is None:
                self._damaged(kept.place)
            else:
                yield record.entry(kept.question.packed if kept.question is not None else None)

    async def bump(self, owner: str) -> str:
        """See ``AnswerCache``."""
        epoch = secrets.token_hex(16)
        self._epochs[owner] = (epoch, self._now_s() + self._settings.ttl_s_max)
        return epoch

    async def stats(self) -> CacheStats:
        """See ``AnswerCache``. Bytes are those of the records."""
        for kept in [kept for owner in self._owners.values() for kept in owner.kept.values()]:
            self._alive(kept.place)
        held = [kept for owner in self._owners.values() for kept in owner.kept.values()]
        packed = [kept.question.packed for kept in held if kept.question is not None]
        return CacheStats(
            entries=len(held),
            vectors=len(packed),
            owners=len(self._owners),
            bytes_used=sum(len(kept.data) for kept in held) + sum(map(len, packed)),
            bytes_max=0,
            hits=self._hits,
            evicted=self._evicted,
            damaged=self._damage,
        )

    def _read(self, place: Place) -> tuple[CachedAnswer, str] | None:
        kept = self._alive(place)
        if kept is None:
            return None
        record = decode_at(place, kept.data)
        if record is None:
            self._damaged(place)
            return None
        return record.answer, record.epoch

    def _alive(self, place: Place) -> _Kept | None:
        owner = self._owners.get(place.owner)
        kept = owner.kept.get(place.key) if owner is not None else None
        if kept is not None and self._now_s() >= kept.ends_s:
            self._drop(place)
            return None
        return kept

    def _questions(self, place: Place, epoch: str) -> list[tuple[_Kept, _Question]]:
        owner = self._owners.get(place.owner)
        return [
            (kept, kept.question)
            for kept in (list(owner.kept.values()) if owner is not None else ())
            if kept.place.scope == place.scope
            and kept.question is not None
            and kept.question.epoch == epoch
            and self._alive(kept.place) is not None
        ]

    def _epoch(self, owner: str) -> str:
        epoch, ends_s = self._epochs.get(owner, ("", self._now_s()))
        if self._now_s() < ends_s:
            return epoch
        epoch = secrets.token_hex(16)
        self._epochs[owner] = (epoch, self._now_s() + self._settings.ttl_s_max)
        return epoch

    def _may_write(self, writer: str) -> bool:
        now_s = self._now_s()
        if writer not in self._writes:
            self._writes = {by: since for by, since in self._writes.items() if now_s < since[0] + MINUTE_S}
        began_s, count = self._writes.get(writer, (now_s, 0))
        if now_s >= began_s + MINUTE_S:
            began_s, count = now_s, 0
        self._writes[writer] = (began_s, count + 1)
        return count < self._settings.writes_per_minute

    def _make_room(self, owner: _Owner) -> None:
        over = len(owner.kept) - self._settings.entries_max
        for _, key in sorted(owner.used.values())[: max(0, over)] if over > 0 else ():
            place = owner.kept[key].place
            alive = self._alive(place) is not None
            self._drop(place)
            self._evicted += alive

    def _damaged(self, place: Place) -> None:
        alarm(f"{place.owner}:{place.key}")
        self._damage += 1
        self._drop(place)

    def _drop(self, place: Place) -> None:
        owner = self._owners.get(place.owner)
        if owner is None:
            return
        owner.kept.pop(place.key, None)
        owner.used.pop(place.key, None)
        if not owner.kept:
            del self._owners[place.owner]
