"""A million operations on the answer stores: the cap holds, and nothing grows (cache.write)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from configs.caching import CacheSettings
from configs.settings import RedisSettings
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.store import RedisAnswerCache
from engine.cached import AnswerCache, Observation
from engine.redis_client import connect
from tests.support.answer_caches import answer, at_angle, entry, lookup, place
from tests.support.clock import FakeClock

OPERATIONS = 1_000_000
TOGETHER = 40
SAMPLES = 10
OWNERS = 4
QUESTIONS = 2_000
SETTINGS = CacheSettings(entries_max=300, writes_per_minute=1_000_000_000)


def operation(cache: AnswerCache, chance: random.Random) -> Awaitable[object]:
    """Any one; more than half of them write, far more questions than the cap has room for."""
    owner, question, act = chance.randrange(OWNERS), chance.randrange(QUESTIONS), chance.random()
    at = place(question, owner=owner)
    if act < 0.55:
        degrees = chance.uniform(0, 90) if chance.random() < 0.7 else None
        said = answer(str(question), by=str(owner))
        return cache.put(entry(at, said, degrees=degrees, ttl_s=chance.choice((1, 5, 600))))
    if act < 0.85:
        return cache.get(lookup(question, owner=owner))
    if act < 0.92:
        asked = lookup(question, owner=owner)
        return cache.nearest(asked, at_angle(chance.uniform(0, 90)), count=4, similarity_min=0.8)
    if act < 0.95:
        return cache.touch({at: 1})
    if act < 0.98:
        return cache.observe(at, Observation(score=0.5, right=True))
    return cache.delete((at,))


async def grown(cache: AnswerCache, used: Callable[[], Awaitable[float]], operations: int) -> list[float]:
    """What is in use after each tenth of the operations."""
    chance, seen = random.Random(3), list[float]()
    for _ in range(SAMPLES):
        for _ in range(operations // SAMPLES // TOGETHER):
            await asyncio.gather(*(operation(cache, chance) for _ in range(TOGETHER)))
        assert (await cache.stats()).entries <= OWNERS * SETTINGS.entries_max
        seen.append(await used())
    return seen


def flat(seen: list[float]) -> bool:
    """The later half needs no more than a tenth beyond what the earlier half reached."""
    return max(seen[len(seen) // 2 :]) <= 1.1 * max(seen[: len(seen) // 2])


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.req("cache.write")
async def test_a_million_operations_leave_redis_no_larger(redis_url: str) -> None:
    """Memory and keys of the server are flat, with expiry, eviction and replacement under way."""
    client = connect(redis_url, None, RedisSettings(timeout_s=20.0))

    async def used() -> float:
        return float((await client.info("memory"))["used_memory_dataset"])

    seen = await grown(RedisAnswerCache(client, SETTINGS), used, OPERATIONS)
    await client.aclose()
    print([round(one / 1e6, 2) for one in seen])  # noqa: T201 - the figures of a long proof
    assert flat(seen), seen


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.req("cache.write")
async def test_many_operations_leave_the_twin_no_larger() -> None:
    """So are its dicts, after a hundred thousand."""
    clock = FakeClock()
    cache = InMemoryAnswerCache(SETTINGS, now_s=clock)

    async def used() -> float:
        clock.advance(3.0)
        stats = await cache.stats()
        return float(stats.bytes_used + sum(map(len, (cache._owners, cache._epochs, cache._writes))))

    seen = await grown(cache, used, OPERATIONS // 10)
    assert flat(seen), seen


def test_growth_is_noticed() -> None:
    """The twin of the long proofs: four percent more with every tenth is not flat, noise is."""
    assert flat([100, 104, 99, 101, 103, 100, 102, 105, 99, 101])
    assert not flat([100 + 4 * step for step in range(SAMPLES)])
