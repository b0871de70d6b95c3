"""Embedded backends as an engine holds them: attached on first use, attached again when one has gone.

A minder restarts a crashed server by itself. Only when the minder was killed too does somebody have to attach
anew: the engine that notices does. Address and secret of a Redis stay the same, so its clients carry on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from engine.cached import AnswerCache, CachedAnswer, CacheStats, Entry, Found, Lookup, Near, Observation, Place
from engine.once import Once
from memory.embedded.attach import Attachment
from memory.errors import BackendUnavailable

if TYPE_CHECKING:  # attaching needs no arrays
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class Hold:
    """One embedded backend. ``start`` attaches to it."""

    def __init__(self, start: Callable[[], Awaitable[Attachment]]) -> None:
        self._start = start
        self._once = Once(start)
        self._gone: Attachment | None = None
        """What is being replaced."""

    async def get(self) -> Attachment:
        """The attachment, made if there is none. Raises what ``start`` raises."""
        return await self._once.get()

    def peek(self) -> Attachment | None:
        """The attachment if there is one."""
        return self._once.peek()

    async def renew(self, gone: Attachment | None) -> Attachment:
        """Attach anew in place of ``gone``; of several who noticed at the same time, the first one does it.

        Whoever comes while that goes on waits for it, and the next caller tries again what has failed. The old
        attachment is left only after the new one is there, so that a living server is never stopped.
        """
        if gone is not None and self._once.peek() is gone:
            self._gone = gone
            self._once = Once(self._replace)
        return await self._once.get()

    async def _replace(self) -> Attachment:
        attachment = await self._start()
        if self._gone is not None:
            self._gone.abandon()
            self._gone = None
        return attachment

    async def leave(self) -> None:
        """Stop using the backend."""
        await self._once.settle()
        for attachment in (self._gone, self._once.peek()):
            if attachment is not None:
                await attachment.leave()


class ReattachingCache:
    """``AnswerCache`` that looks after its server: a call that fails attaches anew and is made once more.

    Whoever guards it sets the time for all of that; an attempt that takes longer goes on for the next call.
    """

    def __init__(self, cache: AnswerCache, hold: Hold) -> None:
        self._cache = cache
        self._hold = hold

    async def get(self, lookup: Lookup) -> Found:
        """See ``AnswerCache``."""
        return await self._again(partial(self._cache.get, lookup))

    async def nearest(
        self, lookup: Lookup, vector: NDArray[np.float32], *, count: int, similarity_min: float
    ) -> tuple[Near, ...]:
        """See ``AnswerCache``."""
        call = partial(self._cache.nearest, lookup, vector, count=count, similarity_min=similarity_min)
        return await self._again(call)

    async def read(self, place: Place, *, epoch: str) -> CachedAnswer | None:
        """See ``AnswerCache``."""
        return await self._again(partial(self._cache.read, place, epoch=epoch))

    async def put(self, entry: Entry) -> bool:
        """See ``AnswerCache``."""
        return await self._again(partial(self._cache.put, entry))

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """See ``AnswerCache``."""
        await self._again(partial(self._cache.touch, hits))

    async def observe(self, place: Place, observation: Observation) -> None:
        """See ``AnswerCache``."""
        await self._again(partial(self._cache.observe, place, observation))

    async def delete(self, places: tuple[Place, ...]) -> int:
        """See ``AnswerCache``."""
        return await self._again(partial(self._cache.delete, places))

    async def entries(self) -> AsyncIterator[Entry]:
        """See ``AnswerCache``. Starts again only while nothing was handed out, so that nothing comes twice."""
        entries = self._cache.entries()
        seen = self._hold.peek()
        try:
            first = await anext(entries, None)
        except BackendUnavailable:
            await self._hold.renew(seen)
            entries = self._cache.entries()
            first = await anext(entries, None)
        if first is not None:
            yield first
            async for entry in entries:
                yield entry

    async def bump(self, owner: str) -> str:
        """See ``AnswerCache``."""
        return await self._again(partial(self._cache.bump, owner))

    async def stats(self) -> CacheStats:
        """See ``AnswerCache``."""
        return await self._again(self._cache.stats)

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        seen = self._hold.peek()
        try:
            return await call()
        except BackendUnavailable:
            await self._hold.renew(seen)
            return await call()
