"""Admission and the exact tier, with the in-memory cache and with one that is down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from configs.errors import SwitchgearError
from configs.kernel import Principal, Tier, Usage
from configs.settings import Settings
from engine.cache.fingerprint import fingerprint
from engine.cache.inmemory import InMemoryExactCache
from engine.cached import CachedAnswer
from engine.errors import NotBuilt
from engine.gateway.admit import Options, build_request
from engine.gateway.gateway import Gateway
from engine.types import Decision, Request

DECISION = Decision(agent="general", strategy="single", confidence=0.5, reason="test")
ANSWER = CachedAnswer(text="four", decision=DECISION, model="m", usage=Usage(output_tokens=1), stored_at_s=0.0)


class DownCache:
    """A cache whose store is gone."""

    async def get(self, key: str) -> CachedAnswer | None:
        raise SwitchgearError("redis.cache is gone")

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        raise SwitchgearError("redis.cache is gone")

    async def delete(self, key: str) -> bool:
        raise SwitchgearError("redis.cache is gone")


class SlowCache(InMemoryExactCache):
    """A cache whose writes wait for leave."""

    def __init__(self) -> None:
        super().__init__(now_s=lambda: 0.0, entry_bytes_max=10_000)
        self.may_write = asyncio.Event()

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        await self.may_write.wait()
        await super().put(key, answer, ttl_s=ttl_s)


def key_of(request: Request) -> str:
    """The cache key under a fixed policy."""
    return fingerprint(request, policy="p")


def request_of(text: str = "2 + 2?", **options: object) -> Request:
    """A request of user ada."""
    return build_request(text, Principal(user_id="ada"), Options(**options), Settings(), request_id="r", now_s=0.0)


def memory_gateway() -> Gateway:
    """A gateway over the dict twin."""
    return Gateway(InMemoryExactCache(now_s=lambda: 0.0, entry_bytes_max=10_000), key_of)


@pytest.mark.req("cache.exact")
async def test_a_kept_answer_is_the_hit_of_the_next_same_request():
    """Miss, keep, hit: with the decision that made it."""
    gateway = memory_gateway()
    first = await gateway.admit(request_of())
    assert first.hit is None
    gateway.keep(first, ANSWER)
    again = await gateway.admit(request_of(tags={"a": "b"}))
    assert again.hit == ANSWER


@pytest.mark.req("cache.scope")
async def test_another_user_misses_what_one_user_kept():
    """The partition holds through the gateway, while the owner still hits."""
    gateway = memory_gateway()
    gateway.keep(await gateway.admit(request_of()), ANSWER)
    await gateway.drain()
    bob = replace(request_of(), principal=Principal(user_id="bob"))
    assert (await gateway.admit(bob)).hit is None
    assert (await gateway.admit(request_of())).hit == ANSWER


@pytest.mark.req("cache.exact")
async def test_a_repeat_waits_for_the_write_under_way():
    """Writes are off the request path, and still the next same request finds them."""
    cache = SlowCache()
    gateway = Gateway(cache, key_of)
    gateway.keep(await gateway.admit(request_of()), ANSWER)
    repeat = asyncio.create_task(gateway.admit(request_of()))
    other = await gateway.admit(request_of("something else"))
    assert other.hit is None
    assert not repeat.done()
    cache.may_write.set()
    assert (await repeat).hit == ANSWER


@pytest.mark.req("serve.python")
async def test_off_neither_reads_nor_writes_and_refresh_only_writes():
    """``cache="off"`` leaves no trace; ``cache="refresh"`` replaces what is stored."""
    gateway = memory_gateway()
    off = await gateway.admit(request_of(cache="off"))
    gateway.keep(off, ANSWER)
    await gateway.drain()
    assert (await gateway.admit(request_of())).hit is None
    refresh = await gateway.admit(request_of(cache="refresh"))
    assert refresh.hit is None
    gateway.keep(refresh, ANSWER)
    assert (await gateway.admit(request_of())).hit == ANSWER
    newer = replace(ANSWER, text="4")
    gateway.keep(await gateway.admit(request_of(cache="refresh")), newer)
    assert (await gateway.admit(request_of())).hit == newer


async def test_a_cache_that_is_down_is_a_declared_miss():
    """The request goes on, says what was missing, and the write is dropped without noise."""
    gateway = Gateway(DownCache(), key_of)
    admitted = await gateway.admit(request_of())
    assert admitted.hit is None
    assert admitted.degraded == ("cache",)
    gateway.keep(admitted, ANSWER)
    await gateway.drain()


@pytest.mark.req("admit.principal")
@pytest.mark.parametrize("tier", [Tier.FREE, Tier.PRO, Tier.ENTERPRISE])
async def test_a_tier_with_limits_is_refused_until_limits_exist(tier: Tier):
    """No silent unmetered tier: deny by default, while the in-process tier is served."""
    request = replace(request_of(), principal=Principal(user_id="ada", tier=tier))
    with pytest.raises(NotBuilt):
        await memory_gateway().admit(request)
