"""Embedded backends as an engine holds them: attached on first use, attached again when one has gone.

A minder restarts a crashed server by itself. Only when the minder was killed too does somebody have to attach
anew: the engine that notices does. Address and secret of a Redis stay the same, so its clients carry on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from engine.cached import AnswerCache, CachedAnswer
from engine.once import Once
from memory.embedded.attach import Attachment
from memory.errors import BackendUnavailable

T = TypeVar("T")


class Hold:
    """One embedded backend. ``start`` attaches to it."""

    def __init__(self, start: Callable[[], Awaitable[Attachment]]) -> None:
        self._start = start
        self._once = Once(start)

    async def get(self) -> Attachment:
        """The attachment, made if there is none. Raises what ``start`` raises."""
        return await self._once.get()

    def peek(self) -> Attachment | None:
        """The attachment if there is one."""
        return self._once.peek()

    async def renew(self, gone: Attachment | None) -> Attachment:
        """Attach anew in place of ``gone``; of several who noticed at the same time, the first one does it.

        The old attachment is left only after the new one is there, so that a living server is never stopped.
        """
        if self._once.peek() is gone:
            self._once = Once(self._start)
            try:
                return await self._once.get()
            finally:
                if gone is not None:
                    gone.abandon()
        return await self._once.get()

    async def leave(self) -> None:
        """Stop using the backend."""
        await self._once.settle()
        attachment = self._once.peek()
        if attachment is not None:
            await attachment.leave()


class ReattachingCache:
    """``AnswerCache`` that looks after its server: a call that fails attaches anew and is made once more.

    Whoever guards it sets the time for all of that; an attempt that takes longer goes on for the next call.
    """

    def __init__(self, cache: AnswerCache, hold: Hold) -> None:
        self._cache = cache
        self._hold = hold

    async def get(self, key: str) -> CachedAnswer | None:
        """The stored answer, or ``None``."""
        return await self._again(partial(self._cache.get, key))

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        """Store for ``ttl_s`` seconds."""
        await self._again(partial(self._cache.put, key, answer, ttl_s=ttl_s))

    async def delete(self, key: str) -> bool:
        """Forget one entry; whether there was one."""
        return await self._again(partial(self._cache.delete, key))

    async def _again(self, call: Callable[[], Awaitable[T]]) -> T:
        seen = self._hold.peek()
        try:
            return await call()
        except BackendUnavailable:
            await self._hold.renew(seen)
            return await call()
