"""One flight in one process: who calls, who pays, who leaves, and what is left behind (cache.flight, fault 47)."""

from __future__ import annotations

import asyncio
from collections.abc import Sized
from contextvars import ContextVar

import pytest
from langgraph.errors import GraphInterrupt

from engine.cache.leases import InMemoryLeases
from engine.errors import AllRoutesUnavailable, DeadlineExceeded, RejectedByModel
from tests.support.finished import FAILED
from tests.support.flights import Caller, board, flights, passes

MANY = 1_000
who_asks: ContextVar[str] = ContextVar("who_asks", default="nobody")


@pytest.mark.req("cache.flight")
async def test_a_thousand_identical_misses_make_one_call():
    """Fault 47: one pays, 999 follow, all have the same answer, and meanwhile nobody costs a task of its own."""
    fleet = flights(InMemoryLeases(now_s=asyncio.get_running_loop().time))
    callers = [Caller(str(number)) for number in range(MANY)]
    before = len(asyncio.all_tasks())
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    await passes()
    assert len(asyncio.all_tasks()) <= before + MANY + 3
    callers[0].answers("42")
    landed = await asyncio.gather(*waiters)
    assert sum(caller.calls for caller in callers) == 1
    assert {one.answer for one in landed} == {"42"}
    assert [one.role for one in landed] == ["leader"] + ["follower"] * (MANY - 1)
    assert [one.pays for one in landed] == [True] + [False] * (MANY - 1)
    await fleet.settle()
    assert len(fleet) == 0


@pytest.mark.req("cache.flight")
async def test_different_keys_fly_apart():
    """The twin: two keys are two calls, at the same time, and both owners are alone."""
    fleet = flights()
    one, other = Caller("a"), Caller("b")
    waiters = [board(fleet, one, "k1"), board(fleet, other, "k2")]
    await one.began.wait()
    await other.began.wait()
    one.answers("1")
    other.answers("2")
    landed = await asyncio.gather(*waiters)
    assert [(each.answer, each.role) for each in landed] == [("1", "alone"), ("2", "alone")]
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_a_miss_after_the_landing_flies_anew():
    """What has landed is over; an answer is never served from a flight."""
    fleet = flights()
    for text in ("1", "2"):
        caller = Caller()
        waiter = board(fleet, caller)
        await caller.began.wait()
        caller.answers(text)
        assert (await waiter).answer == text
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_the_call_goes_on_when_its_owner_leaves():
    """The flight owns the call; the oldest who stayed pays."""
    fleet = flights()
    callers = [Caller(name) for name in "abc"]
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    waiters[0].cancel()
    await passes()
    assert waiters[0].cancelled()
    assert not callers[0].cancelled
    callers[0].answers("42")
    assert [one.role for one in await asyncio.gather(*waiters[1:])] == ["payer", "follower"]
    assert [caller.calls for caller in callers] == [1, 0, 0]
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_the_call_ends_with_the_last_waiter():
    """Nobody is left who wants it: it is cancelled, and its end is awaited by whoever left last."""
    fleet = flights()
    callers = [Caller("a"), Caller("b")]
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    waiters[0].cancel()
    waiters[1].cancel()
    await asyncio.wait(waiters)
    assert all(waiter.cancelled() for waiter in waiters)
    assert callers[0].cancelled
    assert len(fleet) == 0
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_a_waiter_whose_time_is_up_leaves_alone():
    """Its own deadline is its own; the others have the answer."""
    fleet = flights()
    patient, hasty = Caller("a"), Caller("b")
    waiter = board(fleet, patient)
    await patient.began.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await fleet.fly("k", hasty.boarding())
    patient.answers("42")
    assert (await waiter).role == "alone"
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_whoever_comes_while_a_call_is_being_given_up_has_a_flight_of_its_own():
    """A call that was cancelled has no answer for anybody."""
    fleet = flights(InMemoryLeases(now_s=asyncio.get_running_loop().time))
    first, second = Caller("a"), Caller("b")
    leaving = board(fleet, first)
    await first.began.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    waiter = board(fleet, second)
    await second.began.wait()
    second.answers("42")
    assert (await waiter).answer == "42"
    assert first.cancelled
    await fleet.settle()


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize(
    "error",
    [DeadlineExceeded("late"), GraphInterrupt(), KeyError("a bug"), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
async def test_a_failure_of_the_owners_own_frees_its_followers(error: BaseException):
    """Fault 47: the owner has its error as it is; the next in line makes a call, with its own request."""
    fleet = flights()
    callers = [Caller(name) for name in "abc"]
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    callers[0].fails(error)
    await callers[1].began.wait()
    with pytest.raises(type(error)) as raised:
        await waiters[0]
    assert raised.value is error or isinstance(error, asyncio.CancelledError)
    callers[1].answers("42")
    landed = await asyncio.gather(*waiters[1:])
    assert [(one.answer, one.role) for one in landed] == [("42", "leader"), ("42", "follower")]
    assert [caller.calls for caller in callers] == [1, 1, 0]
    await fleet.settle()


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("kind", [AllRoutesUnavailable, RejectedByModel])
async def test_a_failure_of_the_upstream_is_everybodys(kind: type[AllRoutesUnavailable | RejectedByModel]):
    """A thousand do not ask a dead upstream a thousand times; each has an exception of its own."""
    fleet = flights()
    callers = [Caller(name) for name in "abc"]
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    callers[0].fails(kind((FAILED,)))
    raised = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(one) for one in raised] == [kind] * 3
    assert len({id(one) for one in raised}) == 3
    assert [caller.calls for caller in callers] == [1, 0, 0]
    assert len(fleet) == 0
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_each_call_runs_in_the_context_of_the_request_it_is_made_for():
    """Spans, priorities and what a request remembers of its stores travel in context variables."""
    fleet = flights()
    seen: list[str] = []

    class Looks(Caller):
        async def _call(self, emit: object) -> str:
            del emit
            seen.append(who_asks.get())
            if self.name == "a":
                raise DeadlineExceeded("late")
            return "42"

    async def ask(name: str) -> str:
        who_asks.set(name)
        return (await fleet.fly("k", Looks(name).boarding())).answer

    first, second = await asyncio.gather(ask("a"), ask("b"), return_exceptions=True)
    assert isinstance(first, DeadlineExceeded)
    assert second == "42"
    assert seen == ["a", "b"]
    await fleet.settle()


@pytest.mark.req("cache.flight")
async def test_an_answer_that_is_there_by_now_needs_no_call():
    """Between the miss and the flight somebody stored it."""
    fleet = flights()

    async def arrived() -> str:
        return "stored"

    caller = Caller(arrived=arrived)
    landed = await fleet.fly("k", caller.boarding())
    assert (landed.answer, landed.role, landed.pays) == ("stored", "elsewhere", False)
    assert caller.calls == 0
    await fleet.settle()


@pytest.mark.req("cache.flight")
@pytest.mark.parametrize("end", ["lands", "fails", "is given up"])
async def test_nothing_of_a_flight_outlives_it(end: str):
    """However it ends, every container of the replica is empty afterwards, and none is while it flies."""
    fleet = flights(InMemoryLeases(now_s=asyncio.get_running_loop().time))
    kept = [value for value in vars(fleet).values() if isinstance(value, Sized)]
    callers = [Caller(name) for name in "ab"]
    waiters = [board(fleet, caller) for caller in callers]
    await callers[0].began.wait()
    assert [len(value) for value in kept] == [1, 1, 1]
    if end == "lands":
        callers[0].answers("42")
    elif end == "fails":
        callers[0].fails(RejectedByModel((FAILED,)))
    else:
        assert [waiter.cancel() for waiter in waiters] == [True, True]
    await asyncio.gather(*waiters, return_exceptions=True)
    await fleet.settle()
    await passes()
    assert [len(value) for value in kept] == [0, 0, 0]


@pytest.mark.req("cache.flight")
async def test_waiters_are_freed_when_the_flight_itself_is_stopped():
    """At the end of a loop, which cancels every task, nobody waits for a call that nobody makes."""
    fleet = flights()
    caller = Caller()
    waiter = board(fleet, caller)
    await caller.began.wait()
    (task,) = fleet._tasks  # pyright: ignore[reportPrivateUsage] - what the end of a loop would cancel
    task.cancel()
    await asyncio.wait((waiter,))
    assert waiter.cancelled()
    assert caller.cancelled
    assert len(fleet) == 0


@pytest.mark.req("cache.flight", "cache.semantic")
async def test_what_serves_as_well_is_looked_for_before_a_lease_is_taken():
    """A paraphrase's answer: everybody aboard has it, nobody calls, pays or asks another replica for leave."""
    leases = InMemoryLeases(now_s=asyncio.get_running_loop().time)
    assert await leases.take("key", lease_s=60.0)
    fleet = flights(leases)

    async def like_it() -> str:
        return "like it"

    callers = [Caller(str(number), sought=like_it) for number in range(3)]
    landed = await asyncio.gather(*(board(fleet, caller) for caller in callers))
    assert [(one.answer, one.role, one.pays) for one in landed] == [("like it", "elsewhere", False)] * 3
    assert sum(caller.calls for caller in callers) == 0
    await fleet.settle()
