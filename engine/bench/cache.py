"""``bench cache``: what an exact hit costs beside the Redis round trip that it cannot avoid (cache.exact).

A real engine on embedded Redis; the answer that is hit comes from a handler of this file, so no model runs.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.app import Engine
from engine.bench.report import Report, report
from engine.errors import BenchFailed

ROUNDS = 3_000
WARM_UP = 200
ANSWER_CHARS = 2_000


def run(settings: Settings) -> Report:
    """Figures: ``redis_rtt.p50_ms`` (GET of the same bytes), ``exact.p50_ms``, ``exact.p95_ms``.

    Raises ``BenchFailed``.
    """
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        trips, hits = asyncio.run(_measure(_alone(settings, Path(folder))))
    return report(
        "cache",
        {
            "redis_rtt.p50_ms": statistics.median(trips),
            "exact.p50_ms": statistics.median(hits),
            "exact.p95_ms": statistics.quantiles(hits, n=20)[18],
        },
    )


async def _measure(settings: Settings) -> tuple[list[float], list[float]]:
    """Milliseconds of each round trip and of each hit."""
    async with Engine.open(settings=settings) as engine:
        redis = engine.cache_client
        if redis is None:
            why = engine.degraded.get("cache", "no reason given")
            raise BenchFailed(f"the embedded cache did not start: {why}", hint="see `switchgear doctor`")
        engine.register_agent(
            AgentCapability(name="echo", description="Says the same thing.", cacheable=True), _echo
        )

        async def hit() -> str:
            answer = await engine.execute("What do you always say?", user_id="bench", agent="echo")
            return answer.source

        await hit()
        if await hit() != "exact_cache":
            raise BenchFailed("the second ask was no hit: there is nothing to measure")
        hits = await _times_ms(hit)
        await redis.set("bench", b"x" * ANSWER_CHARS, ex=settings.cache.ttl_s)
        return await _times_ms(lambda: _get(redis)), hits


def _alone(settings: Settings, folder: Path) -> Settings:
    """The cache switched on and embedded in ``folder``: a benchmark writes nothing into the user's own."""
    return settings.model_copy(
        update={
            "data_dir": folder,
            "redis": settings.redis.model_copy(update={"cache_url": None}),
            "cache": settings.cache.model_copy(update={"enabled": True}),
        }
    )


async def _echo(prompt: str) -> str:
    return (prompt * ANSWER_CHARS)[:ANSWER_CHARS]


async def _get(redis: Redis) -> object:
    return await redis.get("bench")


async def _times_ms(call: Callable[[], Awaitable[object]]) -> list[float]:
    for _ in range(WARM_UP):
        await call()
    times: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1e3)
    return times
