"""``bench cache``: what answers from the cache cost, beside what they cannot avoid (cache.exact, cache.semantic).

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
from engine.bench.cache_flight import alone, upstream_calls
from engine.bench.cache_semantic import SIZES, semantic
from engine.bench.report import Report, report
from engine.errors import BenchFailed

ROUNDS = 3_000
WARM_UP = 200
ANSWER_CHARS = 2_000
PROCESSES = (1, 4)
"""That share the identical misses."""
QUESTION = "What do you always say?"
AGENT = AgentCapability(name="echo", description="Says the same thing.", cacheable=True)

Say = Callable[[str], None]


def run(settings: Settings, on_step: Say | None = None) -> Report:
    """Figures.

    ``redis_rtt.p50_ms`` (GET of the same bytes), ``exact.p50_ms``, ``exact.p95_ms``, ``embedding.p50_ms``,
    ``semantic.p50_ms`` and ``semantic.entries_50000.p50_ms`` (a paraphrase that hits, through the whole engine;
    ``.hits``: how many of them), ``semantic.beyond_embedding_{1000,50000}.p50_ms`` (the same less its embedding),
    ``semantic.remembered_{1000,50000}.p50_ms`` (asked again, its vector known), ``memory.mb_per_10000_entries``,
    ``single_flight.upstream_calls`` (of 1,000 identical misses at once) and
    ``single_flight.processes_4.upstream_calls``. Raises ``BenchFailed``.
    """
    say = on_step or _silent
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        figures = asyncio.run(_measure(_alone(settings, Path(folder)), say))
    for processes in PROCESSES:
        say(f"identical misses in {processes} process" + "es" * (processes > 1))
        name = "single_flight" if processes == 1 else f"single_flight.processes_{processes}"
        with tempfile.TemporaryDirectory(prefix="sg-") as folder:
            calls = asyncio.run(upstream_calls(settings, Path(folder), processes))
        figures[f"{name}.upstream_calls"] = float(calls)
    return report("cache", figures)


async def _measure(settings: Settings, say: Say) -> dict[str, float]:
    async with Engine.open(settings=settings) as engine:
        redis = engine.cache_client
        if redis is None:
            why = engine.degraded.get("cache", "no reason given")
            raise BenchFailed(f"the embedded cache did not start: {why}", hint="see `switchgear doctor`")
        engine.register_agent(AGENT, _echo)

        async def ask(question: str) -> str:
            answer = await engine.execute(question, user_id="bench", agent=AGENT.name)
            return answer.source

        say("exact hits")
        figures = await _exact(redis, ask, settings.cache.ttl_s)
        return figures | await semantic(engine, ask, say)


async def _exact(redis: Redis, ask: Callable[[str], Awaitable[str]], ttl_s: int) -> dict[str, float]:
    await ask(QUESTION)
    if await ask(QUESTION) != "exact_cache":
        raise BenchFailed("the second ask was no hit: there is nothing to measure")
    hits = await _times_ms(lambda: ask(QUESTION))
    await redis.set("bench", b"x" * ANSWER_CHARS, ex=ttl_s)
    trips = await _times_ms(lambda: _get(redis))
    return {
        "redis_rtt.p50_ms": statistics.median(trips),
        "exact.p50_ms": statistics.median(hits),
        "exact.p95_ms": statistics.quantiles(hits, n=20)[18],
    }


def _alone(settings: Settings, folder: Path) -> Settings:
    """Room for every entry, and no hit that is answered afresh as well, behind the measurement."""
    ours = alone(settings, folder)
    bound = ours.cache.bound.model_copy(update={"shadow_share": 0.0})
    return ours.model_copy(
        update={"cache": ours.cache.model_copy(update={"bound": bound, "entries_max": 10 * max(SIZES)})}
    )


def _silent(step: str) -> None:
    """Nobody watches."""


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
