"""``redis.state`` as one process uses it: connected on first use, its embedded server looked after.

Breakers and queue share it. An exact hit needs neither, so nothing is started before somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from pathlib import Path

from redis.asyncio import Redis

from configs.settings import Settings
from engine.cache.redis_tally import RedisTallies
from engine.cache.tally import TallyStore
from engine.embedded import Hold
from engine.once import Once
from engine.redis_client import connect
from engine.splits.contract import SplitState
from engine.splits.redis_splits import RedisSplits
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_state
from memory.errors import BackendUnavailable


class StateRedis:
    """Needs ``aclose``."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._hold = Hold(partial(attach, redis_state(), settings.data_dir, settings.embedded))
        self._client = Once(self._connect)
        self._renewing: asyncio.Task[None] | None = None

    async def client(self) -> Redis:
        """The client. Raises ``BackendUnavailable`` when there is no server and none can be started."""
        return await self._client.get()

    async def splits(self) -> SplitState:
        """Shared state of experiments. Raises ``BackendUnavailable``."""
        return RedisSplits(await self.client(), self._settings.splits)

    async def tallies(self) -> TallyStore:
        """Counters of the semantic cache. Raises ``BackendUnavailable``."""
        cache, timeout_s = self._settings.cache, self._settings.redis.timeout_s
        generation = await asyncio.to_thread(_generation, cache.semantic.verifier)
        return RedisTallies(await self.client(), cache.bound, timeout_s=timeout_s, generation=generation)

    def missed(self) -> None:
        """Somebody found it gone. A minder restarts its server by itself; when both are gone, this does."""
        if self._settings.redis.state_url is None and (self._renewing is None or self._renewing.done()):
            self._renewing = asyncio.create_task(self._renew())

    async def aclose(self) -> None:
        """Disconnect; the last of all processes to leave an embedded server stops it."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait((self._renewing,))
        await self._client.settle()
        if (client := self._client.peek()) is not None:
            await client.aclose()
        await self._hold.leave()

    async def _connect(self) -> Redis:
        redis = self._settings.redis
        if redis.state_url is not None:
            return connect(redis.state_url.get_secret_value(), None, redis)
        attachment = await self._hold.get()
        return connect(attachment.address, attachment.secret, redis)

    async def _renew(self) -> None:
        with contextlib.suppress(BackendUnavailable):  # whoever misses it next tries again
            await self._hold.renew(self._hold.peek())


def _generation(verifier: Path | None) -> str:
    from engine.cache.verifier_file import generation_of  # noqa: PLC0415 - numpy, which an exact hit does not need

    return generation_of(verifier)
