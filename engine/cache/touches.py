"""Hits are counted off the request path: gathered for a moment, then told to the store at once (cache.write)."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter

from configs.errors import SwitchgearError
from engine.cached import AnswerCache, Place


class Touches:
    """Told of every hit. Counts are at most once: those of a process that is killed are lost. Needs ``aclose``."""

    def __init__(self, store: AnswerCache, pause_s: float) -> None:
        self._store = store
        self._pause_s = pause_s
        self._hits: Counter[Place] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._work: set[asyncio.Task[None]] = set()

    def __call__(self, place: Place) -> None:
        """Count a hit at ``place``."""
        self._hits[place] += 1
        if self._timer is None:
            # In a context of its own: what it loses must not count as a failure of the request that hit first.
            own = contextvars.Context()
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._start, context=own)

    async def aclose(self) -> None:
        """Tell what is left, and wait for what is being told."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tell()
        if self._work:
            await asyncio.wait(self._work)

    def _start(self) -> None:
        self._timer = None
        task = asyncio.create_task(self._tell())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _tell(self) -> None:
        hits, self._hits = self._hits, Counter()
        if not hits:
            return
        try:
            await self._store.touch(hits)
        except SwitchgearError:
            return  # they are for the order of eviction and for people: neither is worth a second try
