"""Stores behind a breaker and a timeout: a dead one costs a request one timeout at most (X7, faults 57 to 59)."""

from __future__ import annotations

import asyncio

import pytest

from agents.errors import CallFailed
from configs.kernel import FailureKind
from engine.cached import CachedAnswer
from engine.contract import BreakerState
from engine.resilience.errors import CallRefused
from engine.resilience.shielded import ShieldedCache, StoreGuard, one_failure_per_request
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


class MemoryCache:
    """An ``AnswerCache`` that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []
        self.takes_s = 0.0

    async def get(self, key: str) -> CachedAnswer | None:
        self.asked.append(("get", key))
        await pause(self.takes_s)

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        self.asked.append(("put", key, answer, ttl_s))

    async def delete(self, key: str) -> bool:
        self.asked.append(("delete", key))
        return True


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_shielded_cache_is_a_cache_until_it_is_dead() -> None:
    """Every method reaches the cache; after five timeouts none does, and each costs nothing."""
    lab, cache = Lab(), MemoryCache()
    shielded = ShieldedCache(cache, StoreGuard(lab.store), subject=STORE, timeout_s=0.25, places=2)
    answer = object()
    assert await shielded.get("k") is None
    await shielded.put("k", answer, ttl_s=9)
    assert await shielded.delete("k") is True
    assert cache.asked == [("get", "k"), ("put", "k", answer, 9), ("delete", "k")]
    cache.takes_s = 9.0
    for _ in range(5):
        with pytest.raises(CallFailed):
            await shielded.get("k")
    for call in (shielded.get("k"), shielded.put("k", answer, ttl_s=9), shielded.delete("k")):
        with pytest.raises(CallRefused):
            await call
    assert (lab.elapsed_s, len(cache.asked), lab.view(STORE).state) == (1.25, 8, BreakerState.OPEN)
