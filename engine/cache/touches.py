"""Hits are counted off the request path: gathered for a moment, then told to the store in one call (cache.write)."""

from __future__ import annotations

import asyncio
from collections import Counter

from configs.errors import SwitchgearError
from engine.cached import AnswerCache, Place


class Touches:
    """Told of every hit. Counts are at most once: those of a process that is killed are lost. Needs ``aclose``."""

    def __init__(self, store: AnswerCache, pause_s: float) -> None:
        self._store = store
        self._pause_s = pause_s
        self._hits: Counter[Place] = Counter()
        self._telling: asyncio.Task[None] | None = None

    def __call__(self, place: Place) -> None:
        """Count a hit at ``place``."""
        self._hits[place] += 1
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_later())

    async def aclose(self) -> None:
        """Tell what is left."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait((self._telling,))
        await self._tell()

    async def _tell_later(self) -> None:
        await asyncio.sleep(self._pause_s)
        self._telling = None
        await self._tell()

    async def _tell(self) -> None:
        hits, self._hits = self._hits, Counter()
        if not hits:
            return
        try:
            await self._store.touch(hits)
        except SwitchgearError:
            return  # they are for the order of eviction and for people: neither is worth a second try
