"""The first and last thing every request meets: limits, then the exact cache; afterwards, the cache write.

One plain async component with two callers: ``Engine.execute`` (so that a hit never pays for a graph) and the
served graph's first node. It knows the cache as a Protocol only; without one every request is a declared miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from configs.errors import SwitchgearError
from configs.kernel import Tier
from engine.cached import AnswerCache, CachedAnswer
from engine.errors import NotBuilt
from engine.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that may proceed. ``hit`` ends it here; ``degraded`` names what was missing."""

    request: Request
    key: str | None
    hit: CachedAnswer | None
    degraded: tuple[str, ...] = ()


class Gateway:
    """Admission and the exact tier. ``key_of`` gives the cache key under the engine's current policy.

    ``missing`` is what every answer has to declare as degraded, because it was not there at the start.
    """

    def __init__(
        self, cache: AnswerCache | None, key_of: Callable[[Request], str], missing: tuple[str, ...] = ()
    ) -> None:
        self._cache = cache
        self._key_of = key_of
        self._missing = missing
        self._writes: dict[str, asyncio.Task[bool]] = {}

    async def admit(self, request: Request) -> Admitted:
        """Let ``request`` in, with its cached answer if there is one.

        Raises ``NotBuilt`` for principals whose tier has limits that this release cannot enforce: an unmetered
        free tier would be a silent promise broken.
        """
        if request.principal.tier is not Tier.LOCAL:
            raise NotBuilt(f"tier {request.principal.tier.value!r} with its rate limit and budget", "admit.rate")
        if self._cache is None or request.cache == "off":
            return Admitted(request=request, key=None, hit=None, degraded=self._missing)
        key = self._key_of(request)
        if request.cache == "refresh":
            return Admitted(request=request, key=key, hit=None)
        if key in self._writes:
            await asyncio.wait((self._writes[key],))
        try:
            hit = await self._cache.get(key)
        except SwitchgearError:
            return Admitted(request=request, key=None, hit=None, degraded=("cache",))
        return Admitted(request=request, key=key, hit=hit)

    def keep(self, admitted: Admitted, answer: CachedAnswer) -> None:
        """Store a fresh answer off the request path.

        A repeat in this process waits for the write, so it always finds it. A cache that is down costs nothing
        but the entry.
        """
        if self._cache is None or admitted.key is None:
            return
        key = admitted.key
        if self._key_of(admitted.request) != key:
            return  # an agent was replaced meanwhile: nobody knows whose answer this is
        before = self._writes.get(key)
        task = asyncio.create_task(self._put(self._cache, key, answer, admitted.request.ttl_s, before))
        self._writes[key] = task
        task.add_done_callback(lambda done: self._written(key, done))

    async def drain(self) -> None:
        """Wait for the writes under way."""
        if self._writes:
            await asyncio.wait(self._writes.values())

    def _written(self, key: str, done: asyncio.Task[bool]) -> None:
        if self._writes.get(key) is done:
            del self._writes[key]

    @staticmethod
    async def _put(
        cache: AnswerCache, key: str, answer: CachedAnswer, ttl_s: int, before: asyncio.Task[bool] | None
    ) -> bool:
        if before is not None:  # the younger answer is the one that stays
            await asyncio.wait((before,))
        try:
            await cache.put(key, answer, ttl_s=ttl_s)
        except SwitchgearError:
            return False
        return True
