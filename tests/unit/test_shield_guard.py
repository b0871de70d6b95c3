"""Stores behind a breaker and a timeout: a dead one costs a request one timeout at most (X7, faults 57 to 59)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import cast

import pytest

from agents.errors import CallFailed
from configs.caching import CacheSettings
from configs.kernel import FailureKind
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cached import AnswerCache, Entry, Observation
from engine.contract import BreakerState
from engine.embedded import Hold, ReattachingCache
from engine.resilience.errors import CallRefused
from engine.resilience.shielded import ShieldedCache, StoreGuard, one_failure_per_request
from memory.embedded.attach import Attachment
from memory.errors import BackendUnavailable
from tests.support.answer_caches import at_angle, entry, lookup, place
from tests.support.shield_lab import Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

STORE = "store:redis.cache"


class Store:
    """Answers after ``takes_s``, or fails."""

    def __init__(self) -> None:
        self.takes_s = 0.0
        self.error: Exception | None = None
        self.calls = 0

    async def get(self) -> int:
        self.calls += 1
        await pause(self.takes_s)
        if self.error is not None:
            raise self.error
        return 7


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_healthy_store_answers_through_the_guard() -> None:
    """The value passes; ``None`` would too; successes are counted."""
    lab, store = Lab(), Store()
    guard = StoreGuard(lab.store)
    assert [await guard(STORE, store.get, 0.25) for _ in range(3)] == [7, 7, 7]
    assert await guard(STORE, lambda: pause(0.0), 0.25) is None
    assert lab.store.of(STORE).record.window[-1].successes == 4


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_silent_store_costs_its_timeout_until_the_breaker_opens() -> None:
    """Five timeouts, then nothing: refused at once, and well again after the open time."""
    lab, store = Lab(), Store()
    guard = StoreGuard(lab.store)
    store.takes_s = 9.0
    for _ in range(5):
        with pytest.raises(CallFailed) as caught:
            await guard(STORE, store.get, 0.25)
        assert caught.value.failure.kind is FailureKind.IDLE_TIMEOUT
    assert lab.elapsed_s == 1.25
    with pytest.raises(CallRefused):
        await guard(STORE, store.get, 0.25)
    assert (lab.elapsed_s, store.calls) == (1.25, 5)
    store.takes_s = 0.0
    await pause(60.0)
    assert await guard(STORE, store.get, 0.25) == 7
    assert lab.view(STORE).state is BreakerState.CLOSED


@on_virtual_time
async def test_an_error_of_the_store_passes_unchanged_and_counts() -> None:
    """The adapter's own error is what the caller sees."""
    lab, store = Lab(), Store()
    store.error = ConnectionError("gone")
    with pytest.raises(ConnectionError) as caught:
        await StoreGuard(lab.store)(STORE, store.get, 0.25)
    assert caught.value is store.error
    assert lab.view(STORE).consecutive_failures == 1


@on_virtual_time
async def test_an_error_of_the_caller_does_not_count_against_the_store() -> None:
    """A failure that is classified as neutral stays neutral here."""
    lab, store = Lab(), Store()
    store.error = failure(FailureKind.STATUS, status=400)
    with pytest.raises(CallFailed):
        await StoreGuard(lab.store)(STORE, store.get, 0.25)
    assert (lab.view(STORE).consecutive_failures, lab.view(STORE).ema_success) == (0, 1.0)


@on_virtual_time
async def test_within_a_request_a_store_that_failed_is_not_asked_again() -> None:
    """X7: the second call is refused at once, also in a task of the request; the next request asks again."""
    lab, store = Lab(), Store()
    guard = StoreGuard(lab.store)
    store.takes_s = 9.0
    for expected in (1, 2):
        with one_failure_per_request():
            with pytest.raises(CallFailed):
                await asyncio.create_task(guard(STORE, store.get, 0.25))
            with pytest.raises(CallRefused) as caught:
                await guard(STORE, store.get, 0.25)
            assert caught.value.refusal.reason == "failed once in this request already"
            other = Store()
            assert await guard("store:other", other.get, 0.25) == 7
        assert (store.calls, lab.elapsed_s) == (expected, expected * 0.25)
    store.takes_s = 0.0
    assert await guard(STORE, store.get, 0.25) == 7


@on_virtual_time
async def test_a_healthy_store_is_asked_as_often_as_a_request_likes() -> None:
    """The twin: the block costs a working store nothing."""
    lab, store = Lab(), Store()
    guard = StoreGuard(lab.store)
    with one_failure_per_request():
        assert [await guard(STORE, store.get, 0.25) for _ in range(10)] == [7] * 10


@on_virtual_time
async def test_cancelling_a_guarded_call_is_neutral() -> None:
    """B7: the request went away, the store did nothing wrong."""
    lab, store = Lab(), Store()
    store.takes_s = 9.0
    call = asyncio.create_task(StoreGuard(lab.store)(STORE, store.get, 5.0))
    await pause(1.0)
    call.cancel()
    await asyncio.wait((call,))
    assert (call.cancelled(), lab.view(STORE).consecutive_failures) == (True, 0)


@on_virtual_time
async def test_a_cancelled_guarded_probe_makes_way_at_once() -> None:
    """B8: the next caller may try the store."""
    lab, store = Lab(), Store()
    await lab.until_half_open(STORE)
    store.takes_s = 2.0
    guard = StoreGuard(lab.store)
    call = asyncio.create_task(guard(STORE, store.get, 5.0))
    await pause(1.0)
    assert lab.leases(STORE) == 1
    call.cancel()
    await asyncio.wait((call,))
    assert lab.leases(STORE) == 0
    assert await guard(STORE, store.get, 5.0) == 7


@on_virtual_time
async def test_a_graph_signal_through_a_guard_is_neutral() -> None:
    """It passes, and says nothing about the store."""
    from langgraph.errors import GraphInterrupt  # noqa: PLC0415 - takes seconds, and only this test needs it

    lab, store = Lab(), Store()
    store.error = GraphInterrupt()
    with pytest.raises(GraphInterrupt):
        await StoreGuard(lab.store)(STORE, store.get, 5.0)
    assert (lab.view(STORE).consecutive_failures, lab.view(STORE).ema_success) == (0, 1.0)


@on_virtual_time
async def test_a_guarded_probe_is_alone() -> None:
    """Half open, one caller tries the store while the others are refused (also without permits in CLOSED)."""
    lab, store = Lab(), Store()
    guard = StoreGuard(lab.store)
    await lab.until_half_open(STORE)
    store.takes_s = 0.1
    results = await asyncio.gather(*[guard(STORE, store.get, 0.25) for _ in range(50)], return_exceptions=True)
    assert (results.count(7), store.calls) == (1, 1)


class Watched(InMemoryAnswerCache):
    """An ``AnswerCache`` that asks ``before`` at the begin of every call."""

    def __init__(self, before: Callable[[], Awaitable[None]]) -> None:
        super().__init__(CacheSettings(), now_s=lambda: 0.0)
        self.before = before

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)

        async def watched(*args: object, **more: object) -> object:
            await self.before()
            return await found(*args, **more)

        return watched if name in METHODS else found

    async def entries(self) -> AsyncIterator[Entry]:
        await self.before()
        async for one in super().entries():
            yield one


METHODS = ("get", "nearest", "read", "put", "touch", "observe", "delete", "bump", "stats")
AT = place("q")


def every_call(cache: AnswerCache) -> dict[str, Callable[[], Awaitable[object]]]:
    """Each method of the Protocol once."""
    return {
        "put": lambda: cache.put(entry(AT, degrees=0.0)),
        "get": lambda: cache.get(lookup("q")),
        "nearest": lambda: cache.nearest(lookup("q"), at_angle(0.0), count=4, similarity_min=0.5),
        "read": lambda: cache.read(AT, epoch=""),
        "touch": lambda: cache.touch({AT: 7}),
        "observe": lambda: cache.observe(AT, Observation(score=0.5, right=True)),
        "stats": cache.stats,
        "bump": lambda: cache.bump(AT.owner),
        "entries": lambda: listed(cache),
        "delete": lambda: cache.delete((AT,)),
    }


async def listed(cache: AnswerCache) -> list[Entry]:
    """Every entry."""
    return [one async for one in cache.entries()]


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_shielded_cache_says_what_the_cache_says() -> None:
    """Every method reaches the cache, with all that it is given."""
    bare, behind = InMemoryAnswerCache(CacheSettings(), now_s=lambda: 0.0), Watched(partial(pause, 0.1))
    shielded = ShieldedCache(behind, StoreGuard(Lab().store), subject=STORE, timeout_s=0.25, places=2)
    assert set(every_call(bare)) == {*METHODS, "entries"}
    for (name, call), through in zip(every_call(bare).items(), every_call(shielded).values(), strict=True):
        said, heard = await call(), await through()
        assert heard == said or name == "bump", name
        assert heard is None or heard, name


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_shielded_cache_is_a_cache_until_it_is_dead() -> None:
    """After five timeouts no method reaches it, and each costs nothing."""
    lab, calls = Lab(), 0

    async def dead() -> None:
        nonlocal calls
        calls += 1
        await pause(9.0)

    shielded = ShieldedCache(Watched(dead), StoreGuard(lab.store), subject=STORE, timeout_s=0.25, places=2)
    for name in ("entries", "get", "put", "nearest", "stats"):
        with pytest.raises(CallFailed):
            await every_call(shielded)[name]()
    for call in every_call(shielded).values():
        with pytest.raises(CallRefused):
            await call()
    assert (lab.elapsed_s, calls, lab.view(STORE).state) == (1.25, 5, BreakerState.OPEN)


@on_virtual_time
@pytest.mark.req("serve.embedded")
@pytest.mark.parametrize("name", [*METHODS, "entries"])
async def test_a_cache_whose_server_has_gone_is_attached_again_once(name: str) -> None:
    """Every method is asked once more on the new server; when that fails as well, the caller hears it."""
    attached, needed = 0, 1

    async def attach() -> Attachment:
        nonlocal attached
        attached += 1
        return cast("Attachment", SimpleNamespace(abandon=lambda: None))

    async def gone() -> None:
        if attached < needed:
            raise BackendUnavailable("redis.cache", "gone")

    reattaching = ReattachingCache(Watched(gone), Hold(attach))
    await every_call(reattaching)[name]()
    assert attached == 1
    await every_call(reattaching)[name]()
    assert attached == 1
    needed = 9
    with pytest.raises(BackendUnavailable):
        await every_call(reattaching)[name]()
    assert attached == 2


@on_virtual_time
async def test_a_listing_that_breaks_off_does_not_begin_again() -> None:
    """What was handed out would come twice."""
    asked = 0

    class Breaking(InMemoryAnswerCache):
        async def entries(self) -> AsyncIterator[Entry]:
            nonlocal asked
            asked += 1
            yield entry(AT)
            raise BackendUnavailable("redis.cache", "gone")

    async def attach() -> Attachment:
        return cast("Attachment", SimpleNamespace(abandon=lambda: None))

    listing = ReattachingCache(Breaking(CacheSettings(), now_s=lambda: 0.0), Hold(attach)).entries()
    assert await anext(listing) == entry(AT)
    with pytest.raises(BackendUnavailable):
        await anext(listing)
    assert asked == 1
