"""One suite for every ``Leases``: the dict twin and a real Redis, each behind the guard that the engine has."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.errors import CallFailed
from configs.settings import BreakerSettings, RedisSettings
from engine.cache.leases import GuardedLeases, InMemoryLeases, Leases
from engine.cache.redis_leases import PREFIX, RedisLeases
from engine.redis_client import connect
from engine.resilience.shielded import StoreGuard, store_breakers
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock
from tests.support.waiting import until_async

LONG_S = 600.0
HOSTILE = [
    "",
    " ",
    "a:b",
    "*",
    "?",
    "[x]",
    "{tag}",
    "\0",
    "a\0b",
    "é",
    "e\u0301",
    "\ud800",
    "\U0001f600",
    "x" * 4_096,
]


def guarded(leases: Leases) -> Leases:
    """As the engine uses them; with room for one call at a time, so that a place that is not given back shows."""
    rules = BreakerSettings()
    guard = StoreGuard(store_breakers(rules, clock=FakeClock(), sample=lambda: 0.0))
    return GuardedLeases(leases, guard, subject="store:redis.cache", timeout_s=5.0, places=1)


@pytest.fixture(params=["memory", "redis"])
async def leases(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Leases]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield guarded(InMemoryLeases(now_s=asyncio.get_running_loop().time))
        return
    client = connect(redis_url, None, RedisSettings(timeout_s=5))
    yield guarded(RedisLeases(client))
    await client.aclose()


def fresh() -> str:
    """A key of one test."""
    return uuid.uuid4().hex


@pytest.mark.req("cache.flight")
async def test_one_of_many_who_ask_at_once_holds_the_lease(leases: Leases):
    """The others are told no, and no two tokens are alike."""
    key = fresh()
    told = await asyncio.gather(*(leases.take(key, lease_s=LONG_S) for _ in range(50)))
    held = [token for token in told if token is not None]
    assert len(held) == 1
    await leases.release(key, held[0])
    again = await leases.take(key, lease_s=LONG_S)
    assert again is not None
    assert again != held[0]


@pytest.mark.req("cache.flight")
async def test_only_its_holder_renews_and_releases_a_lease(leases: Leases):
    """A token of an earlier lease, or of nobody, changes nothing."""
    key = fresh()
    old = await leases.take(key, lease_s=LONG_S)
    assert old is not None
    await leases.release(key, old)
    token = await leases.take(key, lease_s=LONG_S)
    assert token is not None
    for other in (old, "", "nobody"):
        assert await leases.renew(key, other, lease_s=LONG_S) is False
        await leases.release(key, other)
        assert await leases.take(key, lease_s=LONG_S) is None
    assert await leases.renew(key, token, lease_s=LONG_S) is True


@pytest.mark.req("cache.flight")
async def test_a_lease_ends_by_itself(leases: Leases):
    """Nobody released it; then it can be taken, and the old token is worth nothing."""
    key = fresh()
    old = await leases.take(key, lease_s=0.02)
    assert old is not None
    taken: list[str] = []

    async def free() -> bool:
        token = await leases.take(key, lease_s=LONG_S)
        taken.extend([] if token is None else [token])
        return token is not None

    await until_async(free)
    assert await leases.renew(key, old, lease_s=LONG_S) is False
    assert await leases.renew(key, taken[0], lease_s=LONG_S) is True


@pytest.mark.req("cache.flight")
async def test_renewing_makes_a_lease_last_from_now(leases: Leases):
    """Both ways: a long one that is renewed for a moment ends, a short one that is renewed for long does not."""
    one, other = fresh(), fresh()
    cut, kept = await leases.take(one, lease_s=LONG_S), await leases.take(other, lease_s=5.0)
    assert cut is not None
    assert kept is not None
    assert await leases.renew(other, kept, lease_s=LONG_S)
    assert await leases.renew(one, cut, lease_s=0.001)

    async def ended() -> bool:
        return await leases.take(one, lease_s=LONG_S) is not None

    await until_async(ended)
    assert await leases.take(other, lease_s=LONG_S) is None


@pytest.mark.req("cache.flight")
async def test_no_two_keys_share_a_lease(leases: Leases):
    """Whatever stands in them."""
    run = fresh()
    tokens = [await leases.take(run + key, lease_s=LONG_S) for key in HOSTILE]
    assert None not in tokens
    assert [await leases.take(run + key, lease_s=LONG_S) for key in HOSTILE] == [None] * len(HOSTILE)


@pytest.mark.req("cache.flight")
async def test_redis_is_given_the_end_of_every_lease(redis_url: str):
    """A killed leader frees the others by Redis' own clock, which renewing sets anew; its key begins as ours."""
    client, key = connect(redis_url, None, RedisSettings()), fresh()
    leases = RedisLeases(client)
    token = await leases.take(key, lease_s=10.0)
    assert token is not None
    assert [name async for name in client.scan_iter(match=f"*{key}")] == [f"sg:flight:{key}".encode()]
    assert 0 < await client.pttl(PREFIX + key) <= 10_000
    await leases.renew(key, token, lease_s=60.0)
    assert 10_000 < await client.pttl(PREFIX + key) <= 60_000
    await leases.release(key, token)
    assert await client.exists(PREFIX + key) == 0
    await client.aclose()


@pytest.mark.req("cache.flight")
async def test_what_is_no_lease_of_ours_holds_nobody_up(redis_url: str):
    """A key without an end, of whatever type, is replaced; of another type with an end it is left alone."""
    client, key = connect(redis_url, None, RedisSettings()), fresh()
    leases = RedisLeases(client)
    await client.lpush(PREFIX + key, "x")  # pyright: ignore[reportGeneralTypeIssues]
    token = await leases.take(key, lease_s=LONG_S)
    assert token is not None
    assert await leases.renew(key, token, lease_s=LONG_S) is True
    await client.delete(PREFIX + key)
    await client.lpush(PREFIX + key, "x")  # pyright: ignore[reportGeneralTypeIssues]
    await client.pexpire(PREFIX + key, 600_000)
    assert await leases.take(key, lease_s=LONG_S) is None
    assert await leases.renew(key, token, lease_s=LONG_S) is False
    await leases.release(key, token)
    assert await client.exists(PREFIX + key) == 1
    await client.aclose()


@pytest.mark.req("cache.flight")
async def test_a_redis_that_is_gone_is_a_typed_error(tmp_path: Path):
    """Redis' own exceptions never escape the adapter, and the guard's breaker soon saves the attempt."""
    client = connect(f"unix://{tmp_path}/nobody.sock", None, RedisSettings())
    leases = guarded(RedisLeases(client))
    for ask in (leases.take("k", lease_s=1.0), leases.renew("k", "t", lease_s=1.0), leases.release("k", "t")):
        with pytest.raises(BackendUnavailable, match="asking for a lease"):
            await ask
    for _ in range(BreakerSettings().consecutive_failures):
        with pytest.raises((BackendUnavailable, CallFailed)):
            await leases.take("k", lease_s=1.0)
    with pytest.raises(CallFailed):
        await leases.take("k", lease_s=1.0)
    await client.aclose()
