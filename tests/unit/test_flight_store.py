"""What a flight makes of leases and stores that fail, hang, lie or have bugs (cache.flight, X7)."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import pytest

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind
from configs.settings import BreakerSettings
from engine.cache.flight import Landed
from engine.cache.leases import GuardedLeases, InMemoryLeases
from engine.errors import DeadlineExceeded
from engine.resilience.errors import CallRefused
from engine.resilience.shielded import StoreGuard, one_failure_per_request, store_breakers
from memory.errors import BackendUnavailable
from tests.support.flights import RULES, Caller, Shelf, board, flights, later, leases_of_loop, now_s
from tests.support.virtual_time import on_virtual_time

who_asks: ContextVar[str] = ContextVar("who_asks", default="nobody")
GONE = BackendUnavailable("redis.cache", "down")
REFUSED = CallFailed(Failure(kind=FailureKind.REFUSED, detail="breaker is open"))
STOLEN_S = 1_000.0


class Stolen(InMemoryLeases):
    """Leases of which the first is another replica's right after it was taken, for ``STOLEN_S``."""

    def __init__(self, thief: InMemoryLeases) -> None:
        self._thief = thief
        self._stolen = False

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """A token that is worth nothing; the second time as it should be."""
        token = await self._thief.take(key, lease_s=lease_s)
        if token is not None and not self._stolen:
            self._stolen = True
            await self._thief.release(key, token)
            assert await self._thief.take(key, lease_s=STOLEN_S) is not None
        return token

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Says that it is gone."""
        return await self._thief.renew(key, token, lease_s=lease_s)

    async def release(self, key: str, token: str) -> None:
        """Changes nothing with a token of old."""
        await self._thief.release(key, token)


class Failing(InMemoryLeases):
    """Leases of a store that fails from some call on; counts the questions it was asked."""

    def __init__(self, error: Exception, *, well: int) -> None:
        super().__init__(now_s=asyncio.get_running_loop().time)
        self.asked = 0
        self._error = error
        self._well = well

    def _ask(self) -> None:
        self.asked += 1
        if self.asked > self._well:
            raise self._error

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """Well or not."""
        self._ask()
        return await super().take(key, lease_s=lease_s)

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Well or not."""
        self._ask()
        return await super().renew(key, token, lease_s=lease_s)

    async def release(self, key: str, token: str) -> None:
        """Well or not."""
        self._ask()
        await super().release(key, token)


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("error", [GONE, REFUSED], ids=["gone", "refused"])
async def test_without_its_store_a_flight_is_of_this_process_and_says_so(error: Exception) -> None:
    """One question to the store in all, though three calls were tried; one call at a time all the same."""
    leases = Failing(error, well=0)
    here = flights(leases)
    shelf = Shelf()
    callers = [shelf.caller(name) for name in "abc"]
    waiting = [board(here, caller) for caller in callers]
    for caller in callers[:2]:
        await caller.began.wait()
        caller.fails(DeadlineExceeded("late"))
    await callers[2].began.wait()
    callers[2].answers("42")
    landed = await waiting[2]
    assert (landed.answer, landed.role, landed.degraded) == ("42", "alone", str(error))
    assert (leases.asked, len(shelf.looks)) == (1, 0)
    await asyncio.gather(*waiting, return_exceptions=True)
    await here.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_store_that_hangs_costs_one_timeout_of_its_guard_in_all() -> None:
    """X7: one for the owner, who is told no when it would ask again, and none for those who come after it."""

    class Hangs(InMemoryLeases):
        async def take(self, key: str, *, lease_s: float) -> str | None:
            await asyncio.Event().wait()
            raise AssertionError

    guard = StoreGuard(store_breakers(BreakerSettings(), clock=now_s, sample=lambda: 0.0))
    leases = GuardedLeases(Hangs(now_s=now_s), guard, subject="store:redis.cache", timeout_s=0.3, places=1)
    here, shelf = flights(leases), Shelf()
    callers, began_s = [shelf.caller(name) for name in "ab"], now_s()

    async def ask(caller: Caller) -> object:
        with one_failure_per_request():
            landed = await here.fly("k", caller.boarding())
            with pytest.raises(CallRefused):
                await guard("store:redis.cache", shelf.look, 0.3)
            return landed.degraded

    owner = asyncio.create_task(ask(callers[0]))
    await callers[0].began.wait()
    callers[0].answers("42")
    assert await owner == "no reply within 0.3 s"
    assert now_s() - began_s == pytest.approx(0.3)
    await here.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_the_next_flight_of_a_key_waits_for_the_lease_of_the_one_before() -> None:
    """Not for a pause between two looks: without a stored answer it calls the moment the lease is back."""

    class Slow(InMemoryLeases):
        async def release(self, key: str, token: str) -> None:
            await later(RULES.poll_s / 8)
            await super().release(key, token)

    here, began_s = flights(Slow(now_s=now_s)), now_s()
    for number in range(4):
        caller = Caller()
        waiter = board(here, caller)
        await caller.began.wait()
        assert now_s() - began_s == number * RULES.poll_s / 8
        caller.answers("42")
        assert (await waiter).answer == "42"
    await here.settle()


@pytest.mark.req("cache.flight")
async def test_a_store_that_cannot_be_looked_into_is_not_asked_again() -> None:
    """With the lease in hand and the cache gone the flight calls at once; the lease is given back."""

    async def arrived() -> str | None:
        raise GONE

    leases = leases_of_loop()
    here = flights(leases)
    caller = Caller(arrived=arrived)
    waiter = board(here, caller)
    await caller.began.wait()
    caller.answers("42")
    assert (await waiter).degraded == str(GONE)
    await here.settle()
    assert await leases.take("k", lease_s=1.0) is not None


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_store_that_goes_during_the_call_costs_nobody_anything() -> None:
    """Renewing and releasing fail unheard; the answer is there when it is there."""
    leases = Failing(GONE, well=1)
    here = flights(leases)
    caller = Caller()
    waiter = board(here, caller)
    await caller.began.wait()
    await later(RULES.lease_s * 0.9)
    assert leases.asked == 1 + 2
    caller.answers("42")
    assert (await waiter).answer == "42"
    await here.settle()
    assert leases.asked == 1 + 2 + 1


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_keeping_a_lease_is_not_part_of_anybodys_request() -> None:
    """Asking for it is. What fails afterwards must not keep a request from a store that is well by then (X7)."""
    seen: list[str] = []

    class Looks(InMemoryLeases):
        async def take(self, key: str, *, lease_s: float) -> str | None:
            seen.append(f"take {who_asks.get()}")
            return await super().take(key, lease_s=lease_s)

        async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
            seen.append(f"renew {who_asks.get()}")
            return await super().renew(key, token, lease_s=lease_s)

        async def release(self, key: str, token: str) -> None:
            seen.append(f"release {who_asks.get()}")

    here, caller = flights(Looks(now_s=now_s)), Caller()
    who_asks.set("ada")
    waiter = board(here, caller)
    await later(RULES.lease_s * 0.5)
    caller.answers("42")
    assert (await waiter).answer == "42"
    await here.settle()
    assert seen == ["take ada", "renew nobody", "release nobody"]


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_lost_lease_costs_a_second_call_and_nothing_else() -> None:
    """A replica that was frozen too long goes on, and does not free what is another one's by now."""
    thief = leases_of_loop()
    here, caller = flights(Stolen(thief)), Caller()
    waiter = board(here, caller)
    await caller.began.wait()
    await later(RULES.lease_s)
    caller.answers("42")
    assert (await waiter).answer == "42"
    await here.settle()
    assert await thief.take("k", lease_s=1.0) is None


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_the_next_in_line_does_not_call_on_a_lost_lease() -> None:
    """It waits like any other replica until the lease is free."""
    here, began_s = flights(Stolen(leases_of_loop())), now_s()
    callers = [Caller(name) for name in "ab"]
    waiters = [board(here, caller) for caller in callers]
    await callers[0].began.wait()
    await later(RULES.lease_s)
    callers[0].fails(DeadlineExceeded("late"))
    await callers[1].began.wait()
    assert now_s() - began_s >= STOLEN_S
    callers[1].answers("42")
    assert [type(one) for one in await asyncio.gather(*waiters, return_exceptions=True)] == [
        DeadlineExceeded,
        Landed,
    ]
    await here.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_bug_of_the_leases_ends_in_an_error_and_not_in_waiting() -> None:
    """What is no failure of a store is raised to whoever waits, and the key is free again."""

    class Broken(InMemoryLeases):
        async def take(self, key: str, *, lease_s: float) -> str | None:
            raise ZeroDivisionError

    here = flights(Broken(now_s=now_s))
    callers = [Caller(name) for name in "ab"]
    raised = await asyncio.gather(*(board(here, caller) for caller in callers), return_exceptions=True)
    assert [type(one) for one in raised] == [ZeroDivisionError] * 2
    assert len(here) == 0
    await here.settle()


@pytest.mark.req("cache.flight")
async def test_a_bug_after_the_landing_leaves_no_lease_behind() -> None:
    """The waiters have their answer; the lease is given back all the same."""

    async def kept() -> None:
        raise ZeroDivisionError

    leases = leases_of_loop()
    here = flights(leases)
    caller = Caller(kept=kept)
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    waiter = board(here, caller)
    await caller.began.wait()
    caller.answers("42")
    assert (await waiter).answer == "42"
    (task,) = here._tasks  # pyright: ignore[reportPrivateUsage] - nobody else asks how it ended
    with pytest.raises(ZeroDivisionError):
        await task
    assert await leases.take("k", lease_s=1.0) is not None
    assert told == []


@pytest.mark.req("cache.flight")
async def test_a_flight_without_replicas_still_looks_once() -> None:
    """Between the miss and the flight somebody in this process may have stored the answer."""
    shelf = Shelf(answer="42")
    here = flights(None)
    assert (await here.fly("k", shelf.caller().boarding())).role == "elsewhere"
    assert len(shelf.looks) == 1
    await here.settle()
