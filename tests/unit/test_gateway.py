"""Admission and the exact tier, with the in-memory cache and with one that is down."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from configs.caching import CacheSettings
from configs.errors import SwitchgearError
from configs.kernel import Principal, Tier, Usage
from configs.settings import Settings
from engine.cache.fingerprint import Under, lookup_of
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cached import AnswerCache, CachedAnswer, Entry, Found, Lookup, Match, Place
from engine.errors import NotBuilt
from engine.gateway.admit import Options, build_request
from engine.gateway.gateway import Admitted, Gateway, Tiers
from engine.types import Decision, Request

DECISION = Decision(agent="general", strategy="single", confidence=0.5, reason="test")
ANSWER = CachedAnswer(text="four", decision=DECISION, model="m", usage=Usage(output_tokens=1), stored_at_s=0.0)


class DownCache(InMemoryAnswerCache):
    """A cache whose store is gone."""

    async def get(self, lookup: Lookup) -> Found:
        raise SwitchgearError("redis.cache is gone")

    async def put(self, entry: Entry) -> bool:
        raise SwitchgearError("redis.cache is gone")


class SlowCache(InMemoryAnswerCache):
    """A cache whose writes wait for leave."""

    may_write: asyncio.Event

    async def put(self, entry: Entry) -> bool:
        await self.may_write.wait()
        return await super().put(entry)


class Nearby:
    """``Paraphrases`` that has one answer to everything, and cannot say what would be stored beside it."""

    def __init__(self, match: Match) -> None:
        self.match = match

    async def find(self, lookup: Lookup, question: str) -> Match:
        """Always the same."""
        return self.match

    async def packed(self, question: str) -> bytes | None:
        """Nothing."""
        return None


def lookup(request: Request) -> Lookup:
    """Places under a fixed policy."""
    return lookup_of(
        request, Under(policy="p", language="en", live=False, shareable=request.tags.get("shared") == "yes")
    )


def request_of(text: str = "2 + 2?", **options: object) -> Request:
    """A request of user ada."""
    return build_request(text, Principal(user_id="ada"), Options(**options), Settings(), request_id="r", now_s=0.0)


def gateway_over(store: AnswerCache, match: Match | None = None) -> tuple[Gateway, list[Place]]:
    """A gateway, and the places of its hits."""
    used: list[Place] = []
    paraphrases = None if match is None else Nearby(match)
    return Gateway(Tiers(store=store, paraphrases=paraphrases, used=used.append), lookup), used


def in_memory() -> InMemoryAnswerCache:
    """The twin, at a clock that stands still."""
    return InMemoryAnswerCache(CacheSettings(), now_s=lambda: 0.0)


def memory_gateway() -> Gateway:
    """A gateway over the dict twin."""
    return gateway_over(in_memory())[0]


def keep(gateway: Gateway, admitted: Admitted, answer: CachedAnswer = ANSWER) -> None:
    """Store for the user."""
    gateway.keep(admitted, answer, sharing="user", ttl_s=60)


@pytest.mark.req("cache.exact")
async def test_a_kept_answer_is_the_hit_of_the_next_same_request():
    """Miss, keep, hit: with the decision that made it."""
    gateway = memory_gateway()
    first = await gateway.admit(request_of())
    assert first.hit is None
    keep(gateway, first)
    again = await gateway.admit(request_of(tags={"a": "b"}))
    assert again.hit == ANSWER


@pytest.mark.req("cache.scope")
async def test_another_user_misses_what_one_user_kept():
    """The partition holds through the gateway, while the owner still hits."""
    gateway = memory_gateway()
    keep(gateway, await gateway.admit(request_of()))
    await gateway.drain()
    bob = replace(request_of(), principal=Principal(user_id="bob"))
    assert (await gateway.admit(bob)).hit is None
    assert (await gateway.admit(request_of())).hit == ANSWER


@pytest.mark.req("cache.exact")
async def test_a_repeat_waits_for_the_write_under_way():
    """Writes are off the request path, and still the next same request finds them."""
    cache = SlowCache(CacheSettings(), now_s=lambda: 0.0)
    cache.may_write = asyncio.Event()
    gateway = gateway_over(cache)[0]
    keep(gateway, await gateway.admit(request_of()))
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
    keep(gateway, off)
    await gateway.drain()
    assert (await gateway.admit(request_of())).hit is None
    refresh = await gateway.admit(request_of(cache="refresh"))
    assert refresh.hit is None
    keep(gateway, refresh)
    assert (await gateway.admit(request_of())).hit == ANSWER
    newer = replace(ANSWER, text="4")
    keep(gateway, await gateway.admit(request_of(cache="refresh")), newer)
    assert (await gateway.admit(request_of())).hit == newer


async def test_a_cache_that_is_down_is_a_declared_miss():
    """The request goes on, says what was missing, and the write is dropped without noise."""
    gateway = gateway_over(DownCache(CacheSettings(), now_s=lambda: 0.0))[0]
    admitted = await gateway.admit(request_of())
    assert admitted.hit is None
    assert admitted.degraded == ("cache",)
    keep(gateway, admitted)
    await gateway.drain()


@pytest.mark.req("admit.principal")
@pytest.mark.parametrize("tier", [Tier.FREE, Tier.PRO, Tier.ENTERPRISE])
async def test_a_tier_with_limits_is_refused_until_limits_exist(tier: Tier):
    """No silent unmetered tier: deny by default, while the in-process tier is served."""
    request = replace(request_of(), principal=Principal(user_id="ada", tier=tier))
    with pytest.raises(NotBuilt):
        await memory_gateway().admit(request)


@pytest.mark.req("cache.scope")
async def test_what_is_stored_for_the_tenant_is_found_by_its_other_users_and_by_nobody_elsewhere():
    """Shared entries lie with the tenant; own ones stay with their user."""
    gateway = memory_gateway()
    gateway.keep(await gateway.admit(request_of(tags={"shared": "yes"})), ANSWER, sharing="shared", ttl_s=60)
    await gateway.drain()
    hits = [
        (await gateway.admit(replace(request_of(tags={"shared": shared}), principal=principal))).hit
        for shared, principal in (
            ("yes", Principal(user_id="bob")),
            ("no", Principal(user_id="bob")),
            ("yes", Principal(user_id="ada", tenant_id="other")),
        )
    ]
    assert hits == [ANSWER, None, None]


@pytest.mark.req("cache.semantic", "cache.write")
async def test_every_hit_is_counted_at_its_place_and_a_miss_is_not():
    """For the order of eviction: exact ones by their key, near ones by the stored question's."""
    place = lookup(request_of("two and two?")).own
    gateway, used = gateway_over(in_memory(), Match(answer=ANSWER, place=place))
    keep(gateway, await gateway.admit(request_of()))
    assert used == []
    hit = await gateway.admit(request_of())
    assert hit.lookup is not None
    near = await gateway.near(await gateway.admit(request_of("two plus two makes?")))
    assert (near.answer, used) == (ANSWER, [hit.lookup.own, place])


@pytest.mark.req("cache.flight")
async def test_identical_requests_of_one_user_fly_together_and_refreshing_ones_alone():
    """The key is the user's own; ``refresh`` and ``off`` want an answer of their own."""
    gateway = memory_gateway()
    first, other = await gateway.admit(request_of()), await gateway.admit(request_of("3 + 3?"))
    bob = await gateway.admit(replace(request_of(), principal=Principal(user_id="bob")))
    assert first.flight == (await gateway.admit(request_of())).flight
    assert len({first.flight, other.flight, bob.flight}) == 3
    assert [(await gateway.admit(request_of(cache=mode))).flight for mode in ("refresh", "off")] == ["", ""]


@pytest.mark.req("cache.scope")
async def test_a_memory_write_changes_what_a_users_next_lookup_may_hit():
    """With memory on, a write makes a new epoch: older answers are gone for this user and for nobody else."""

    def remembering(request: Request) -> Lookup:
        return lookup_of(request, Under(policy="p", language="en", live=False, shareable=False, remembers=True))

    store = in_memory()
    gateway = Gateway(Tiers(store=store, paraphrases=None, used=lambda place: None), remembering)
    bob = replace(request_of(), principal=Principal(user_id="bob"))
    for request in (request_of(), bob):
        keep(gateway, await gateway.admit(request))
    assert [(await gateway.admit(request)).hit for request in (request_of(), bob)] == [ANSWER, ANSWER]
    underway = await gateway.admit(request_of("another one"))
    await store.bump(remembering(request_of()).own.owner)
    assert [(await gateway.admit(request)).hit for request in (request_of(), bob)] == [None, ANSWER]
    keep(gateway, underway)
    assert (await gateway.admit(request_of("another one"))).hit is None, "it was made from the older memory"
    keep(gateway, await gateway.admit(request_of()))
    assert (await gateway.admit(request_of())).hit == ANSWER
