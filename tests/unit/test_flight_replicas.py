"""Flights of several replicas that share leases and a store, on a clock that jumps (cache.flight, fault 47)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

import pytest

from agents.errors import CallFailed
from configs.caching import FlightSettings
from configs.kernel import Failure, FailureKind
from configs.settings import BreakerSettings
from engine.cache.flight import Flights
from engine.cache.leases import GuardedLeases, InMemoryLeases
from engine.errors import DeadlineExceeded, RejectedByModel
from engine.resilience.errors import CallRefused
from engine.resilience.shielded import StoreGuard, one_failure_per_request, store_breakers
from memory.errors import BackendUnavailable
from tests.support.finished import FAILED
from tests.support.flights import Caller, board, flights, later, leases_of_loop
from tests.support.virtual_time import on_virtual_time

RULES = FlightSettings(lease_s=9.0, poll_s=0.5, poll_s_max=2.0)
GONE = BackendUnavailable("redis.cache", "down")
REFUSED = CallFailed(Failure(kind=FailureKind.REFUSED, detail="breaker is open"))


@dataclass
class Shelf:
    """Where replicas store answers and look for those of others."""

    answer: str | None = None
    looks: list[float] = field(default_factory=list[float])

    async def look(self) -> str | None:
        """The answer, if it is there."""
        self.looks.append(asyncio.get_running_loop().time())
        return self.answer

    def store(self, text: str) -> Callable[[], Awaitable[None]]:
        """Something that stores ``text`` when it is awaited."""

        async def kept() -> None:
            self.answer = text

        return kept

    def caller(self, name: str = "a", stores: str | None = None) -> Caller:
        """A waiter that looks here, and whose answer is kept here when it ``stores`` one."""
        made = Caller(name, arrived=self.look)
        return made if stores is None else replace(made, kept=self.store(stores))


class Killed(InMemoryLeases):
    """Leases as they look to a process that was killed: it takes one and never renews or frees it."""

    def __init__(self, shared: InMemoryLeases) -> None:
        self._shared = shared

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """As it was when the process lived."""
        return await self._shared.take(key, lease_s=lease_s)

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """The dead do not renew."""
        return True

    async def release(self, key: str, token: str) -> None:
        """Nor do they tidy up."""


def now_s() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_another_replica_waits_for_the_stored_answer() -> None:
    """One call in all; its waiters pay nothing and look again after pauses that double up to their limit."""
    shared, shelf = leases_of_loop(), Shelf()
    here, there = flights(shared, RULES), flights(shared, RULES)
    leader = shelf.caller("a", stores="42")
    followers = [shelf.caller(name) for name in "bc"]
    first = board(here, leader)
    await leader.began.wait()
    waiting = [board(there, follower) for follower in followers]
    await later(8)
    leader.answers("42")
    assert (await first).role == "alone"
    landed = await asyncio.gather(*waiting)
    assert [(one.answer, one.role, one.degraded) for one in landed] == [("42", "elsewhere", "")] * 2
    assert [follower.calls for follower in followers] == [0, 0]
    began_s = shelf.looks[0]
    assert [at_s - began_s for at_s in shelf.looks] == [0.0, 0.0, 0.5, 1.5, 3.5, 5.5, 7.5, 9.5]
    await here.settle()
    await there.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_pauses_are_jittered_down_to_half() -> None:
    """Replicas that began together do not ask together for ever."""
    shared, shelf = leases_of_loop(), Shelf()
    token = await shared.take("k", lease_s=1.2)
    there = Flights[str](shared, RULES, sample=lambda: 0.0)
    caller = shelf.caller()
    waiter = board(there, caller)
    await caller.began.wait()
    assert [at_s - shelf.looks[0] for at_s in shelf.looks] == [0.0, 0.25, 0.75, 1.75]
    caller.answers("1")
    await waiter
    await there.settle()
    assert token


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_the_lease_outlasts_a_call_of_any_length() -> None:
    """Renewed at a third of its time, it is there as long as the call runs, and free right after."""
    shared, shelf = leases_of_loop(), Shelf()
    here = flights(shared, RULES)
    caller = shelf.caller()
    waiter = board(here, caller)
    await caller.began.wait()
    for _ in range(100):
        await later(RULES.lease_s)
        assert await shared.take("k", lease_s=1.0) is None
    caller.answers("42")
    await waiter
    await here.settle()
    assert await shared.take("k", lease_s=1.0) is not None


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_killed_leader_frees_the_others_within_its_lease() -> None:
    """Fault 47: nobody renews, so the lease ends and one of the others calls; the rest waits for that."""
    shared, shelf = leases_of_loop(), Shelf()
    dead = flights(Killed(shared), RULES)
    victim = shelf.caller("dead")
    ended = board(dead, victim)
    await victim.began.wait()
    began_s = now_s()
    heirs = [shelf.caller(name, stores="42") for name in "bc"]
    replicas = [flights(shared, RULES) for _ in heirs]
    waiting = [board(replica, heir) for replica, heir in zip(replicas, heirs, strict=True)]
    await heirs[0].began.wait()
    assert now_s() - began_s <= RULES.lease_s + RULES.poll_s_max
    heirs[0].answers("42")
    assert [(await one).role for one in waiting] == ["alone", "elsewhere"]
    assert [heir.calls for heir in heirs] == [1, 0]
    ended.cancel()
    await asyncio.wait((ended,))
    for replica in (dead, *replicas):
        await replica.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_an_answer_that_may_not_be_stored_reaches_no_other_replica() -> None:
    """They see the lease go without an answer, and the next one calls for itself."""
    shared, shelf = leases_of_loop(), Shelf()
    here, there = flights(shared, RULES), flights(shared, RULES)
    mine, theirs = shelf.caller("a"), shelf.caller("b")
    first = board(here, mine)
    await mine.began.wait()
    second = board(there, theirs)
    await later(1)
    mine.answers("personal")
    assert (await first).answer == "personal"
    await theirs.began.wait()
    theirs.answers("their own")
    landed = await second
    assert (landed.answer, landed.role) == ("their own", "alone")
    await here.settle()
    await there.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_the_lease_is_held_until_the_answer_can_be_found() -> None:
    """Waiters have the answer at once; the others must not find the lease free and the store empty."""
    shared, shelf = leases_of_loop(), Shelf()
    written = asyncio.Event()

    async def kept() -> None:
        await written.wait()
        shelf.answer = "42"

    here, there = flights(shared, RULES), flights(shared, RULES)
    leader, follower = replace(shelf.caller("a"), kept=kept), shelf.caller("b")
    first = board(here, leader)
    await leader.began.wait()
    second = board(there, follower)
    leader.answers("42")
    assert (await first).answer == "42"
    await later(RULES.lease_s * 5)
    assert not second.done()
    written.set()
    assert (await second).role == "elsewhere"
    assert follower.calls == 0
    await here.settle()
    await there.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_waiter_that_leaves_before_its_turn_to_call_makes_none() -> None:
    """It waited for another replica; when that one is gone, the call is that of whoever is still here."""
    shared, shelf = leases_of_loop(), Shelf()
    await shared.take("k", lease_s=RULES.lease_s)
    there = flights(shared, RULES)
    gone, stays = shelf.caller("a"), shelf.caller("b")
    waiting = [board(there, gone), board(there, stays)]
    await later(1)
    waiting[0].cancel()
    await stays.began.wait()
    stays.answers("42")
    assert (await waiting[1]).role == "alone"
    assert gone.calls == 0
    await there.settle()


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_the_next_in_line_keeps_the_lease_of_a_leader_that_failed() -> None:
    """Another replica does not come in between, and a stored refusal is everybody's."""
    shared, shelf = leases_of_loop(), Shelf()
    here = flights(shared, RULES)
    callers = [shelf.caller(name) for name in "ab"]
    waiting = [board(here, caller) for caller in callers]
    await callers[0].began.wait()
    callers[0].fails(DeadlineExceeded("late"))
    await callers[1].began.wait()
    assert await shared.take("k", lease_s=1.0) is None
    callers[1].answers("42")
    assert isinstance((await asyncio.gather(*waiting, return_exceptions=True))[0], DeadlineExceeded)
    await here.settle()


@pytest.mark.req("cache.flight")
async def test_a_refusal_that_another_replica_stored_is_raised_to_all() -> None:
    """Looking for the answer may raise what the stored answer amounts to (negative caching)."""

    async def arrived() -> str | None:
        raise RejectedByModel((FAILED,))

    here = flights()
    callers = [Caller(name, arrived=arrived) for name in "ab"]
    waiting = [board(here, caller) for caller in callers]
    raised = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in raised] == [RejectedByModel] * 2
    assert [caller.calls for caller in callers] == [0, 0]
    await here.settle()


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
    here, shelf = flights(leases, RULES), Shelf()
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
    leases, began_s = leases_of_loop(), now_s()
    here = flights(leases, RULES)
    for text in ("1", "2", "3"):
        caller = Caller()
        waiter = board(here, caller)
        await caller.began.wait()
        caller.answers(text)
        assert (await waiter).answer == text
    assert now_s() == began_s
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
    here = flights(leases, RULES)
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
async def test_a_lost_lease_costs_a_second_call_and_nothing_else() -> None:
    """A replica that was frozen too long goes on, and does not free what is another one's by now."""
    others: list[str | None] = []

    class Frozen(InMemoryLeases):
        async def take(self, key: str, *, lease_s: float) -> str | None:
            token = await super().take(key, lease_s=lease_s)
            await super().release(key, token or "")
            others.append(await super().take(key, lease_s=1_000.0))
            return token

    shared, shelf = Frozen(now_s=now_s), Shelf()
    here = flights(shared, RULES)
    caller = shelf.caller()
    waiter = board(here, caller)
    await caller.began.wait()
    await later(RULES.lease_s)
    caller.answers("42")
    assert (await waiter).answer == "42"
    await here.settle()
    assert others[0] is not None
    assert await shared.renew("k", others[0], lease_s=1.0)


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_a_bug_of_the_leases_ends_in_an_error_and_not_in_waiting() -> None:
    """What is no failure of a store is raised to whoever waits, and the key is free again."""

    class Broken(InMemoryLeases):
        async def take(self, key: str, *, lease_s: float) -> str | None:
            raise ZeroDivisionError

    here = flights(Broken(now_s=now_s), RULES)
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
