"""Hits are told to the store in one call a pause, and cost nothing when it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import ContextVar

import pytest

from configs.caching import CacheSettings
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.touches import Touches
from engine.cached import Place
from memory.errors import BackendUnavailable
from tests.support.answer_caches import place
from tests.support.clock import FakeClock
from tests.support.shield_lab import pause
from tests.support.virtual_time import on_virtual_time

PAUSE_S = 1.0
REQUEST: ContextVar[str] = ContextVar("request", default="")
ONE, OTHER = place("one"), place("other")


class Store(InMemoryAnswerCache):
    """The twin, with a list of the calls it got; ``gone`` refuses them."""

    def __init__(self) -> None:
        super().__init__(CacheSettings(), now_s=FakeClock())
        self.told: list[dict[Place, int]] = []
        self.gone = False

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """Note it."""
        self.told.append(dict(hits))
        if self.gone:
            raise BackendUnavailable("redis.cache", "gone")
        await super().touch(hits)


@on_virtual_time
@pytest.mark.req("cache.write")
async def test_hits_of_a_pause_are_one_call() -> None:
    """Three hits at two places now, one later: two calls, each a pause after its first hit."""
    store = Store()
    touches = Touches(store, PAUSE_S)
    for at in (ONE, OTHER, ONE):
        touches(at)
    await pause(PAUSE_S / 2)
    assert store.told == []
    await pause(PAUSE_S)
    assert store.told == [{ONE: 2, OTHER: 1}]
    touches(ONE)
    await pause(PAUSE_S * 1.1)
    assert store.told == [{ONE: 2, OTHER: 1}, {ONE: 1}]
    assert (await store.stats()).hits == 4
    await touches.aclose()
    assert len(store.told) == 2


@on_virtual_time
@pytest.mark.req("cache.write")
async def test_closing_tells_what_is_left_at_once() -> None:
    """Nothing is lost, nobody waits for the pause; without hits the store is not bothered."""
    store = Store()
    touches = Touches(store, PAUSE_S)
    touches(ONE)
    before_s = asyncio.get_running_loop().time()
    await touches.aclose()
    assert asyncio.get_running_loop().time() == before_s
    assert store.told == [{ONE: 1}]
    quiet = Store()
    await Touches(quiet, PAUSE_S).aclose()
    assert quiet.told == []


@on_virtual_time
@pytest.mark.req("cache.write")
@pytest.mark.parametrize("more", [True, False])
async def test_a_close_waits_for_what_is_being_told_and_counts_no_hit_twice(more: bool) -> None:
    """The store's client is closed next: neither the call under way nor what came after it is cut off."""
    store = Store()
    begun, go_on = asyncio.Event(), asyncio.Event()
    tell = store.touch

    async def slow(hits: Mapping[Place, int]) -> None:
        begun.set()
        await go_on.wait()
        await tell(hits)

    store.touch = slow  # pyright: ignore[reportAttributeAccessIssue] - a store that takes its time
    touches = Touches(store, PAUSE_S)
    touches(ONE)
    await begun.wait()
    if more:
        touches(OTHER)
    closing = asyncio.create_task(touches.aclose())
    await pause(0.1)
    assert not closing.done()
    go_on.set()
    await closing
    assert (await store.stats()).hits == 1 + more
    await pause(PAUSE_S * 2)
    assert (await store.stats()).hits == 1 + more


@on_virtual_time
@pytest.mark.req("cache.write")
async def test_a_store_that_is_gone_costs_nothing_but_the_counts() -> None:
    """Nothing is raised, nothing tried twice; when it is back, new hits are told."""
    store = Store()
    touches = Touches(store, PAUSE_S)
    store.gone = True
    touches(ONE)
    await pause(PAUSE_S * 1.1)
    store.gone = False
    touches(OTHER)
    await touches.aclose()
    assert store.told == [{ONE: 1}, {OTHER: 1}]


@on_virtual_time
@pytest.mark.req("cache.write")
async def test_hits_are_told_on_behalf_of_no_request() -> None:
    """What fails in the background would otherwise be held against the request that hit first."""
    store, seen = Store(), list[str]()
    tell = store.touch

    async def looking(hits: Mapping[Place, int]) -> None:
        seen.append(REQUEST.get())
        await tell(hits)

    store.touch = looking  # pyright: ignore[reportAttributeAccessIssue] - it looks round
    touches = Touches(store, PAUSE_S)
    token = REQUEST.set("the first one")
    touches(ONE)
    await pause(PAUSE_S * 1.1)
    REQUEST.reset(token)
    assert (seen, store.told) == ([""], [{ONE: 1}])
    await touches.aclose()
