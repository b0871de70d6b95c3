"""Counters of all replicas in ``redis.state``: one hash per day, added to in one transaction (cache.bound).

A transaction whose reply is lost is not sent again, so nothing counts twice; it may not have counted. What
somebody else wrote into a hash is left out. Not the request path: ``tally_sync.py`` keeps a copy for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, cast

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import RedisError

from configs.caching import BoundSettings
from engine.cache.tally import DAY_S, Counts
from memory.errors import BackendUnavailable

PREFIX: Final = "sg:{bound}:1:"
"""All days in one slot of a cluster."""
BETWEEN: Final = "|"
DIGITS_MAX: Final = 18
"""More than that is no counter of ours."""


class RedisTallies:
    """``TallyStore`` over one client, whose own retries must be off (X3).

    ``generation`` names what was measured: another verifier or guard begins at nothing.
    """

    def __init__(self, client: Redis, rules: BoundSettings, *, timeout_s: float, generation: str) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._kept_s = (rules.window_days + 1) * DAY_S
        self._prefix = f"{PREFIX}{generation}:"

    async def add(self, day: int, counts: Counts) -> None:
        """Add to ``day``."""
        if not counts:
            return
        key = f"{self._prefix}{day}"
        pipeline = self._client.pipeline(transaction=True)
        for (agent, counter), count in counts.items():
            pipeline.hincrby(key, f"{agent}{BETWEEN}{counter}", count)
        pipeline.expire(key, self._kept_s)
        await self._run(pipeline)

    async def read(self, days: tuple[int, ...]) -> Mapping[int, Counts]:
        """What is kept of ``days``."""
        pipeline = self._client.pipeline(transaction=False)
        for day in days:
            pipeline.hgetall(f"{self._prefix}{day}")
        replies = cast("list[dict[bytes, bytes]]", await self._run(pipeline))
        found = {day: _counts(reply) for day, reply in zip(days, replies, strict=True)}
        return {day: counts for day, counts in found.items() if counts}

    async def _run(self, pipeline: Pipeline) -> list[object]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return cast("list[object]", await pipeline.execute())
        except TimeoutError as exc:
            raise BackendUnavailable("redis.state", f"no reply within {self._timeout_s:g} s") from exc
        except (RedisError, OSError) as exc:
            raise BackendUnavailable("redis.state", f"{type(exc).__name__} while sharing counters") from exc


def _counts(reply: Mapping[bytes, bytes]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for name, value in reply.items():
        agent, _, counter = name.decode(errors="replace").rpartition(BETWEEN)
        if counter and value.isdigit() and len(value) <= DIGITS_MAX:
            counts[agent, counter] = int(value)
    return counts
