"""Replicas on a real Redis: how quickly they hear of each other, and what they do while it is gone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from configs.routing import RegistrySettings
from configs.settings import RedisSettings
from engine.redis_client import connect
from engine.registry.redis_registry import PREFIX, RedisRegistry
from tests.support.redis_proxy import Gate, Proxy, proxy_to
from tests.support.registries import SETTINGS, Replica, agent, in_redis, keys_of

SHIPPED = RegistrySettings()
FAST = SETTINGS.model_copy(update={"poll_s": 0.05, "retry_s": 0.02})


@pytest.fixture
async def client(redis_state_url: str) -> AsyncIterator[Redis]:
    """A client of a Redis that knows no agents."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=5)) as client:
        await in_redis(client)
        yield client


@pytest.fixture
async def proxy(redis_state_url: str) -> AsyncIterator[Proxy]:
    """A gate before it."""
    async with proxy_to(redis_state_url) as proxy:
        yield proxy


@pytest.mark.req("route.discover", "route.scale")
async def test_a_registration_reaches_the_other_replicas_by_itself(client: Redis) -> None:
    """Ten times over, without waiting for a look: the next one is hours away; a restarted replica has it too."""
    told = SHIPPED.model_copy(update={"poll_s": 7_200.0})
    one, two = (Replica(RedisRegistry(client, told), settings=told) for _ in range(2))
    await one.sync.open()
    await two.sync.open()
    for n in range(10):
        one.add(agent(f"tides-{n}"))
        await two.until(f"tides-{n}")
    await one.sync.aclose()
    await two.sync.aclose()
    restarted = Replica(RedisRegistry(client, SHIPPED), settings=SHIPPED)
    await restarted.sync.open()
    assert restarted.names == [f"tides-{n}" for n in range(10)]
    await restarted.sync.aclose()


@pytest.mark.req("route.discover")
@pytest.mark.parametrize("gate", [Gate.SHUT, Gate.HANGING, Gate.MUTE])
async def test_while_redis_is_gone_agents_work_here_and_arrive_elsewhere_afterwards(
    client: Redis, proxy: Proxy, gate: Gate
) -> None:
    """Refused, silent or cut off: nothing raises, ``degraded`` says so, and the end of the outage is noticed."""
    settings = RedisSettings(timeout_s=0.05)
    missed: list[None] = []
    async with connect(proxy.url, None, settings) as behind:
        registry = RedisRegistry(behind, FAST, missed=lambda: missed.append(None))
        one, two = Replica(registry, settings=FAST), Replica(RedisRegistry(client, FAST), settings=FAST)
        await one.sync.open()
        await two.sync.open()
        proxy.set(gate)
        one.add(agent("tides"))
        assert await one.sync.look() is False
        assert one.names == ["tides"]
        assert one.sync.degraded.startswith("registrations stay in this process: redis.state: ")
        assert missed
        proxy.set(Gate.OPEN)
        await two.until("tides")
        assert await one.sync.look()
        assert one.sync.degraded == ""
        await one.sync.aclose()
        await two.sync.aclose()


@pytest.mark.req("route.discover")
async def test_every_key_of_the_registry_ends_by_itself(client: Redis) -> None:
    """X5: with all replicas gone for good nothing stays; one hash tag holds all; a visit renews what is left."""
    one = Replica(RedisRegistry(client, SETTINGS))
    one.add(agent("tides"))
    await one.sync.look()
    one.sync.registered(agent("desk"), own_handler=True, replace=False)
    await one.sync.look()
    keys = {key.decode() for key in await keys_of(client, "sg:*agents*")}
    assert keys == {f"{PREFIX}{name}" for name in ("entries", "log", "homes", "head")}
    lives = {key: await client.pttl(key) for key in keys}
    assert all(0 < life <= SETTINGS.keep_s * 1000 for life in lives.values()), lives
    await client.pexpire(f"{PREFIX}entries", SETTINGS.keep_s * 100)
    await one.sync.look()
    assert await client.pttl(f"{PREFIX}entries") > SETTINGS.keep_s * 900
    await one.sync.aclose()
