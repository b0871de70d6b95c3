"""Both tiers of the answer cache in Redis (cache.exact, cache.semantic; docs/decisions/0023-answer-store.md).

An exact hit is one MGET. Everything that writes, and the search among vectors, is one step of ``store.lua``. Keys
are made of digests only, so nothing a user says can be a separator or a pattern. Redis' own exceptions end here,
as ``memory.errors.BackendUnavailable``; what that means for the request is the gateway's decision.
``engine/cache/inmemory.py`` is the twin. Behind ``PREFIX``, which a new ``SCHEMA`` changes for all of them:

============================  =======================================================================
``a:<owner>:<key>``           the answer (``engine.cache.entry``), with its TTL
``q:<owner>:<key>``           hash beside it: packed question, its own place, its set, observations
``v:<digest>``                vector set of one scope and epoch; its elements are keys
``l:<owner>``                 sorted set: keys by the microsecond of their last use
``e:<owner>``                 epoch of the owner's memory
``n:<writer>``                writes within this minute
``owners``, ``sets``          sorted sets by the time of their end: what ``stats`` counts
``counts``                    hash: hits, evicted, damaged
============================  =======================================================================

Beside them, in the same Redis and whatever the schema: ``sg:flight:<key>``, a lease of ``redis_leases.py``.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from itertools import repeat
from typing import TYPE_CHECKING, Final, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from configs.caching import CacheSettings
from configs.kernel import FailureKind
from engine.cache.entry import Record, alarm, decode, decode_at, encode, epoch_of
from engine.cache.fingerprint import SCHEMA, digest
from engine.cached import CachedAnswer, CacheStats, Entry, Found, Lookup, Near, Observation, Place
from memory.errors import BackendUnavailable
from memory.translate import failure_of

if TYPE_CHECKING:  # an exact hit needs no arrays
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

REFUSED_HINT: Final = "check user and password of redis.cache_url, and what that user may do"
PREFIX: Final = f"sg:{SCHEMA}:"
PAGE: Final = 500
"""Entries of one round trip where there may be many."""
SPARE: Final = 2
"""Neighbours beyond those asked for, since the index orders by 8-bit vectors and this module by exact ones."""
SLACK: Final = 0.04
"""By this much at most the index may be wrong about a cosine."""
BODY: Final = resources.files("engine.cache").joinpath("store.lua").read_text(encoding="utf-8")
"""Read when this module is, since reading a file would hold up an event loop."""


class RedisAnswerCache:
    """``AnswerCache`` over one Redis client, whose own retries must be off (X3)."""

    def __init__(self, client: Redis, settings: CacheSettings) -> None:
        self._client = client
        self._settings = settings
        # Without allow-oom a full Redis would refuse steps that only delete, too.
        self._script = client.register_script(f"#!lua flags=allow-oom\nlocal PREFIX = '{PREFIX}'\n{BODY}")

    async def get(self, lookup: Lookup) -> Found:
        """See ``AnswerCache``."""
        places = lookup.places
        keys = [_answer_key(place) for place in places]
        if lookup.remembers:
            keys.append(_epoch_key(lookup.own.owner))
        with _translated():
            held = cast("list[bytes | None]", await self._client.mget(keys))
            epoch = await self._epoch(lookup, held[-1]) if lookup.remembers else lookup.epoch
            for place, data in zip(places, held, strict=False):
                record = await self._checked(place, data) if data is not None else None
                if record is not None and (record.epoch == epoch or place is lookup.shared):
                    return Found(answer=record.answer, place=place, epoch=epoch)
        return Found(answer=None, epoch=epoch)

    async def nearest(
        self, lookup: Lookup, vector: NDArray[np.float32], *, count: int, similarity_min: float
    ) -> tuple[Near, ...]:
        """See ``AnswerCache``. One step for both scopes; the index proposes, the stored vectors decide."""
        from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

        asked = near.searchable(vector)
        if asked is None:
            return ()
        scopes = [(place, lookup.epoch if place is lookup.own else "") for place in lookup.places]
        keys = [word for place, epoch in scopes for word in (_set_key(place.scope, epoch), place.owner)]
        floor = (1.0 + similarity_min - SLACK) / 2.0
        found: list[Near] = []
        with _translated():
            said = await self._step("nearest", asked.tobytes(), count + SPARE, floor, *keys)
            for (place, epoch), flat in zip(scopes, cast("list[list[bytes]]", said), strict=True):
                for held in map(near.held, repeat(place), _pages(flat, 4)):
                    one = near.near(held, epoch, asked)
                    if one is None:
                        await self._disown(_set_key(place.scope, epoch), held.place)
                    else:
                        found.append(one)
        return near.best(found, count, similarity_min)

    async def read(self, place: Place, *, epoch: str) -> CachedAnswer | None:
        """See ``AnswerCache``."""
        with _translated():
            data = cast("bytes | None", await self._client.get(_answer_key(place)))
            record = await self._checked(place, data) if data is not None else None
        return record.answer if record is not None and record.epoch in ("", epoch) else None

    async def put(self, entry: Entry) -> bool:
        """See ``AnswerCache``."""
        data = encode(entry)
        if data is None or len(data) + len(entry.question or b"") > self._settings.entry_bytes_max:
            return False
        beside: tuple[str | bytes, ...] = ("", "", "", "")
        if entry.question is not None:
            from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

            vector = near.vector_of(entry.question)
            if vector is None:
                return False
            epoch = epoch_of(entry)
            says = near.mark(entry.place, epoch)
            beside = (_set_key(entry.place.scope, epoch), says, entry.question, vector)
        place, limits, provenance = entry.place, self._settings, entry.answer.provenance
        writer = "" if provenance is None else provenance.by
        words = (place.owner, place.key, writer, limits.writes_per_minute, limits.entries_max, entry.ttl_s, data)
        with _translated():
            return bool(await self._step("put", *words, *beside))

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """See ``AnswerCache``."""
        with _translated():
            for page in _pages(tuple(hits.items()), PAGE):
                await self._step("touch", *(w for place, n in page for w in (place.owner, place.key, n)))

    async def observe(self, place: Place, observation: Observation) -> None:
        """See ``AnswerCache``."""
        from engine.cache import near  # noqa: PLC0415 - numpy, which an exact hit does not need

        most = self._settings.bound.observations_max * near.OBSERVATION.size
        with _translated():
            await self._step("observe", place.owner, place.key, near.written(observation), most)

    async def delete(self, places: tuple[Place, ...]) -> int:
        """See ``AnswerCache``."""
        gone = 0
        with _translated():
            for page in _pages(places, PAGE):
                gone += cast("int", await self._step("delete", *(w for p in page for w in (p.owner, p.key))))
        return gone

    async def entries(self) -> AsyncIterator[Entry]:
        """See ``AnswerCache``. A page of SCAN, then its values in one round trip."""
        cursor = 0
        seen: set[bytes] = set()  # SCAN may name a key twice
        while True:
            with _translated():
                cursor, keys = await self._client.scan(cursor, match=f"{PREFIX}a:*", count=PAGE)
                fresh = [key for key in cast("list[bytes]", keys) if key not in seen]
                seen.update(fresh)
                page = await self._page(fresh) if fresh else []
            for entry in page:
                yield entry
            if not cursor:
                return

    async def bump(self, owner: str) -> str:
        """See ``AnswerCache``. Random, so that a lost epoch can never come back."""
        epoch = secrets.token_hex(16)
        with _translated():
            await self._client.set(_epoch_key(owner), epoch, ex=self._settings.ttl_s_max)
        return epoch

    async def stats(self) -> CacheStats:
        """See ``AnswerCache``. What has expired is counted until a write sweeps it out."""
        with _translated():
            memory = await self._client.info("memory")
            counts = await cast("Awaitable[dict[bytes, bytes]]", self._client.hgetall(f"{PREFIX}counts"))
            owners = await self._sizes(f"{PREFIX}owners", "ZCARD", f"{PREFIX}l:")
            sets = await self._sizes(f"{PREFIX}sets", "VCARD", "")
        return CacheStats(
            entries=sum(owners),
            vectors=sum(sets),
            owners=sum(1 for size in owners if size),
            bytes_used=int(memory["used_memory"]),
            bytes_max=int(memory.get("maxmemory", 0)),
            hits=int(counts.get(b"hits", 0)),
            evicted=int(counts.get(b"evicted", 0)),
            damaged=int(counts.get(b"damaged", 0)),
        )

    async def _sizes(self, index: str, command: str, prefix: str) -> list[int]:
        sizes: list[int] = []
        members = cast("list[bytes]", await self._client.zrange(index, 0, -1))
        for page in _pages(members, PAGE):
            pipeline = self._client.pipeline(transaction=False)
            for member in page:
                pipeline.execute_command(command, prefix.encode() + member)
            sizes += [int(size or 0) for size in await pipeline.execute()]
        return sizes

    async def _page(self, keys: Sequence[bytes]) -> list[Entry]:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.mget(keys)
        for key in keys:
            pipeline.hget(f"{PREFIX}q:{_text(key).removeprefix(f'{PREFIX}a:')}", "q")
        held, *questions = await pipeline.execute()
        page: list[Entry] = []
        for key, data, question in zip(keys, held, questions, strict=True):
            record = decode(data) if data is not None else None
            if record is not None and _answer_key(record.place).encode() == key:
                page.append(record.entry(question))
            elif data is not None:
                await self._damaged(_text(key))
        return page

    async def _epoch(self, lookup: Lookup, held: bytes | None) -> str:
        if held is not None:
            return _text(held)
        epoch = secrets.token_hex(16)
        key, seconds = _epoch_key(lookup.own.owner), self._settings.ttl_s_max
        before = cast("bytes | None", await self._client.set(key, epoch, nx=True, get=True, ex=seconds))
        return epoch if before is None else _text(before)

    async def _checked(self, place: Place, data: bytes) -> Record | None:
        record = decode_at(place, data)
        if record is None:
            await self._damaged(_answer_key(place))
        return record

    async def _damaged(self, key: str) -> None:
        alarm(key)
        await self._client.delete(key)
        await self._count_damage()

    async def _disown(self, set_key: str, place: Place) -> None:
        alarm(f"{PREFIX}q:{place.owner}:{place.key}")
        await self._step("disown", set_key, place.owner, place.key)
        await self._count_damage()

    async def _count_damage(self) -> None:
        await self._client.hincrby(f"{PREFIX}counts", "damaged", 1)

    async def _step(self, name: str, *words: str | bytes | float) -> object:
        return await self._script(args=(name, *words))


def _pages(items: Sequence[T], size: int) -> Generator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _answer_key(place: Place) -> str:
    return f"{PREFIX}a:{place.owner}:{place.key}"


def _epoch_key(owner: str) -> str:
    return f"{PREFIX}e:{owner}"


def _set_key(scope: str, epoch: str) -> str:
    return f"{PREFIX}v:{digest((scope, epoch))}"


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("ascii", "replace")


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (RedisError, OSError) as exc:
        raise _unavailable(exc) from exc


def _unavailable(exc: Exception) -> BackendUnavailable:
    failure = failure_of(exc)
    said = f"{type(exc).__name__} while talking to the cache" + (f": {failure.detail}" if failure else "")
    hint = REFUSED_HINT if failure is not None and failure.kind is FailureKind.DENIED else ""
    return BackendUnavailable("redis.cache", said, hint=hint, failure=failure)
