"""One suite for both keepers of the semantic cache's counters; then what only Redis can get wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from redis.asyncio import Redis

from configs.caching import BoundSettings
from configs.settings import RedisSettings
from engine.cache.inmemory_tally import LocalTallies
from engine.cache.redis_tally import PREFIX, RedisTallies
from engine.cache.tally import TallyStore
from engine.redis_client import connect
from memory.errors import BackendUnavailable

RULES = BoundSettings()
Replica = Callable[[], TallyStore]


@pytest.fixture
async def client(redis_state_url: str) -> AsyncIterator[Redis]:
    """A connected one."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=20)) as made:
        yield made


@pytest.fixture(params=["memory", "redis"])
def replica(request: pytest.FixtureRequest) -> Replica:
    """Makes replicas of each implementation in turn; in memory all are the same."""
    if request.param == "memory":
        local = LocalTallies()
        return lambda: local
    client: Redis = request.getfixturevalue("client")
    generation = uuid.uuid4().hex
    return lambda: RedisTallies(client, RULES, timeout_s=20, generation=generation)


@pytest.mark.req("cache.bound")
async def test_counters_of_all_replicas_add_up_by_day_and_agent(replica: Replica):
    """Also those added at once; a day without any is left out."""
    one, other = replica(), replica()
    assert await one.read((1, 2)) == {}
    await one.add(1, {("python", "high.right"): 2, ("", "lookup.exact.hit"): 5})
    await asyncio.gather(*(s.add(1, {("python", "high.right"): 1}) for s in (one, other) * 10))
    await other.add(2, {("rust", "high.wrong"): 1})
    assert await other.read((1, 2, 3)) == {
        1: {("python", "high.right"): 22, ("", "lookup.exact.hit"): 5},
        2: {("rust", "high.wrong"): 1},
    }
    assert await one.read((2,)) == {2: {("rust", "high.wrong"): 1}}


@pytest.mark.req("cache.bound")
async def test_nothing_added_leaves_no_trace(replica: Replica):
    """An empty batch is no day."""
    store = replica()
    await store.add(7, {})
    assert await store.read((7,)) == {}


@pytest.mark.req("cache.bound")
async def test_what_somebody_else_wrote_is_left_out_and_days_expire(client: Redis):
    """Fields without an agent, numbers that are none; the hash lives a day longer than the window."""
    generation = uuid.uuid4().hex
    store, key = RedisTallies(client, RULES, timeout_s=20, generation=generation), f"{PREFIX}{generation}:4"
    await store.add(4, {("a", "high.right"): 3})
    await client.hset(key, mapping={"a|low.right": "many", "a|": "3", "a|low.wrong": "9" * 40, "x|y": "-4"})
    assert await store.read((4,)) == {4: {("a", "high.right"): 3}}
    assert 0 < await client.ttl(key) <= (RULES.window_days + 1) * 86_400


@pytest.mark.req("cache.bound")
async def test_another_verifier_begins_at_nothing(client: Redis):
    """Its generation is part of the key."""
    one = RedisTallies(client, RULES, timeout_s=20, generation=uuid.uuid4().hex)
    await one.add(4, {("a", "high.right"): 3})
    assert await RedisTallies(client, RULES, timeout_s=20, generation=uuid.uuid4().hex).read((4,)) == {}
    assert await one.read((4,)) != {}


@pytest.mark.req("cache.bound")
async def test_a_redis_that_is_gone_or_refuses_is_unavailable(client: Redis):
    """A closed port; a key of another type."""
    generation = uuid.uuid4().hex
    await client.set(f"{PREFIX}{generation}:1", "no hash")
    store = RedisTallies(client, RULES, timeout_s=20, generation=generation)
    with pytest.raises(BackendUnavailable, match="counters"):
        await store.read((1,))
    async with connect("redis://127.0.0.1:1", None, RedisSettings()) as nobody:
        gone = RedisTallies(nobody, RULES, timeout_s=20, generation="x")
        with pytest.raises(BackendUnavailable, match="counters"):
            await gone.add(1, {("a", "high.right"): 1})
