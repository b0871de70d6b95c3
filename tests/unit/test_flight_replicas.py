"""Flights of several replicas that share leases and a store, on a clock that jumps (cache.flight, fault 47)."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from engine.cache.flight import Flights
from engine.cache.leases import InMemoryLeases
from engine.errors import DeadlineExceeded, RejectedByModel
from tests.support.finished import FAILED
from tests.support.flights import RULES, Caller, Shelf, board, flights, later, leases_of_loop, now_s
from tests.support.virtual_time import on_virtual_time


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


@pytest.mark.req("cache.flight")
@on_virtual_time
async def test_another_replica_waits_for_the_stored_answer() -> None:
    """One call in all; its waiters pay nothing and look again after pauses that double up to their limit."""
    shared, shelf = leases_of_loop(), Shelf()
    here, there = flights(shared), flights(shared)
    leader = shelf.caller("a", stores="42")
    followers = [replace(shelf.caller("b", stores="not asked"), streams=True), shelf.caller("c")]
    first = board(here, leader)
    await leader.began.wait()
    waiting = [board(there, follower) for follower in followers]
    await later(8)
    leader.answers("42")
    assert (await first).role == "alone"
    landed = await asyncio.gather(*waiting)
    assert [(one.answer, one.role, one.shown) for one in landed] == [("42", "elsewhere", False)] * 2
    assert [one.degraded for one in landed] == ["", ""]
    assert [follower.calls for follower in followers] == [0, 0]
    assert shelf.answer == "42"
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
    here = flights(shared)
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
    dead = flights(Killed(shared))
    victim = shelf.caller("dead")
    ended = board(dead, victim)
    await victim.began.wait()
    began_s = now_s()
    heirs = [shelf.caller(name, stores="42") for name in "bc"]
    replicas = [flights(shared) for _ in heirs]
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
    here, there = flights(shared), flights(shared)
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
@pytest.mark.parametrize("refused", [False, True])
@on_virtual_time
async def test_the_lease_is_held_until_the_answer_can_be_found(refused: bool) -> None:
    """Waiters have answer or refusal at once; the others must not find the lease free and the store empty."""
    shared, shelf = leases_of_loop(), Shelf()
    written = asyncio.Event()

    async def kept() -> None:
        await written.wait()
        shelf.answer = "42"

    here, there = flights(shared), flights(shared)
    leader, follower = replace(shelf.caller("a"), kept=kept), shelf.caller("b")
    first = board(here, leader)
    await leader.began.wait()
    second = board(there, follower)
    if refused:
        leader.fails(RejectedByModel((FAILED,)))
    else:
        leader.answers("42")
    await asyncio.wait((first,))
    assert isinstance(first.exception(), RejectedByModel) == refused
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
    there = flights(shared)
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
    here = flights(shared)
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
