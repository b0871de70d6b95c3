"""``bench cache``: what an exact hit costs beside the Redis round trip that it cannot avoid (cache.exact).

A real engine on embedded Redis; the answer that is hit comes from a handler of this file, so no model runs.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from configs.settings import AgentCapability, Settings
from engine.app import Engine
from engine.bench.report import Report, report

ROUNDS = 3_000
WARM_UP = 200
ANSWER_CHARS = 2_000


async def run(settings: Settings) -> Report:
    """Figures: ``redis_rtt.p50_ms`` (GET of the same bytes), ``exact.p50_ms``, ``exact.p95_ms``."""
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        async with Engine.open(settings=settings.model_copy(update={"data_dir": Path(folder)})) as engine:
            engine.register_agent(
                AgentCapability(name="echo", description="Says the same thing.", cacheable=True), _echo
            )

            async def hit() -> str:
                answer = await engine.execute("What do you always say?", user_id="bench", agent="echo")
                return answer.source

            await hit()
            if await hit() != "exact_cache":
                raise RuntimeError("the second ask was no hit: there is nothing to measure")
            hits = await _times_ms(hit)
            redis = engine.cache_client
            if redis is None:
                raise RuntimeError("the embedded cache did not start: `switchgear doctor` says why")
            await redis.set("bench", b"x" * ANSWER_CHARS)
            trips = await _times_ms(lambda: _get(redis))
    return report(
        "cache",
        {
            "redis_rtt.p50_ms": statistics.median(trips),
            "exact.p50_ms": statistics.median(hits),
            "exact.p95_ms": statistics.quantiles(hits, n=20)[18],
        },
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
