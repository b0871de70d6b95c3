"""The gate of a route: places, the line before it, and who is sent away."""

from __future__ import annotations

import asyncio
import random

import pytest

from configs.kernel import Outcome
from configs.settings import LimiterSettings
from engine.contract import BreakerMoved, BreakerState
from engine.resilience.limiter import Gate, NoPlace, asking_as
from tests.support.shield_lab import pause
from tests.support.virtual_time import on_virtual_time

ONE = LimiterSettings(start=1, least=1, most=1, restart=1, queue_max=3, wait_s=100.0)


def moved(before: BreakerState, after: BreakerState) -> BreakerMoved:
    """A change of the route's breaker."""
    return BreakerMoved(
        subject="m",
        generation=2,
        before=before,
        after=after,
        at_s=0.0,
        reason="",
        last_errors=(),
        retry_after_s=None,
        actor="",
    )


def end(gate: Gate, outcome: Outcome = Outcome.OK, held_s: float = 1.0) -> None:
    """One call leaves."""
    gate.leave(outcome, 0.1, held_s, asyncio.get_running_loop().time())


async def line_up(gate: Gate, name: str, order: list[str], priority: str = "normal") -> None:
    """Wait for a place and write down when it came."""
    with asking_as(priority):
        if await gate.wait(50.0):
            order.append(name)


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_only_so_many_are_in_at_once() -> None:
    """A free place is taken at once; without one nobody enters; a call that leaves makes room."""
    gate = Gate(ONE, None)
    assert (gate.enter(), gate.enter()) == (True, False)
    end(gate)
    assert gate.enter()


@on_virtual_time
@pytest.mark.req("run.queue")
async def test_the_line_is_served_by_priority_and_then_in_order() -> None:
    """High before normal before low, whoever came first; nobody enters past the line."""
    gate, order = Gate(ONE, None), list[str]()
    gate.enter()
    waiting = [
        asyncio.create_task(line_up(gate, "low", order, "low")),
        asyncio.create_task(line_up(gate, "normal", order)),
        asyncio.create_task(line_up(gate, "high", order, "high")),
    ]
    await settled()
    assert gate.waiting == 3
    for _ in waiting:
        end(gate)
        assert not gate.enter()
        await settled()
    assert order == ["high", "normal", "low"]
    assert (gate.running, gate.waiting) == (1, 0)


@on_virtual_time
@pytest.mark.req("run.queue", "brk.overload")
async def test_a_full_line_sends_away_the_latest_of_the_least_important() -> None:
    """A normal newcomer takes the place of the last low one; another low one is refused at once."""
    gate, order = Gate(ONE, None), list[str]()
    gate.enter()
    low = [asyncio.create_task(line_up(gate, f"low {n}", order, "low")) for n in range(3)]
    await settled()
    normal = asyncio.create_task(line_up(gate, "normal", order))
    await settled()
    assert [task.done() for task in low] == [False, False, True]
    with pytest.raises(NoPlace, match="more important"):
        await low[2]
    with asking_as("low"), pytest.raises(NoPlace, match="line is full"):
        await gate.wait(50.0)
    for _ in range(4):
        end(gate)
        await settled()
    await asyncio.gather(normal, *low[:2])
    assert (order, gate.running) == (["normal", "low 0", "low 1"], 0)


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_a_wait_that_would_be_too_long_is_refused_at_once() -> None:
    """Calls take 10 s here, so 5 s of patience are not enough: no time is lost on finding out."""
    gate = Gate(ONE, None)
    gate.enter()
    end(gate, held_s=10.0)
    gate.enter()
    before = asyncio.get_running_loop().time()
    with pytest.raises(NoPlace) as caught:
        await gate.wait(5.0)
    assert (asyncio.get_running_loop().time(), caught.value.retry_after_s) == (before, 10.0)


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_the_wait_is_foreseen_by_how_fast_the_line_moves() -> None:
    """Calls say that they took 0.1 s, places are handed over every 2 s: five ahead is 12 s, whatever calls say."""
    gate, order = Gate(LimiterSettings(start=1, least=1, most=1, restart=1), None), list[str]()
    gate.enter()
    waiting = [asyncio.create_task(line_up(gate, str(n), order)) for n in range(8)]
    for _ in range(3):
        await pause(2.0)
        end(gate, held_s=0.1)
    await settled()
    with pytest.raises(NoPlace) as caught:
        await gate.wait(5.0)
    assert caught.value.retry_after_s == pytest.approx(12.0)
    for _ in waiting:
        end(gate, held_s=0.1)
        await settled()
    await asyncio.gather(*waiting)
    assert order == [str(n) for n in range(8)]


@on_virtual_time
async def test_patience_ends() -> None:
    """Nobody knew how long it takes; after its own limit a call gives up and leaves no trace."""
    gate = Gate(ONE, None)
    gate.enter()
    before = asyncio.get_running_loop().time()
    with pytest.raises(NoPlace, match="no place within 5 s"):
        await gate.wait(5.0)
    assert (asyncio.get_running_loop().time() - before, gate.waiting, gate.running) == (5.0, 0, 1)


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_an_opening_breaker_sends_everybody_on() -> None:
    """Who waits for a dead route may ask the next one at once: ``wait`` says no, without an error."""
    gate = Gate(ONE, None)
    gate.enter()
    waiting = [asyncio.create_task(gate.wait(50.0)) for _ in range(3)]
    await settled()
    gate.moved(moved(BreakerState.CLOSED, BreakerState.OPEN))
    assert await asyncio.gather(*waiting) == [False, False, False]
    assert (gate.running, gate.waiting) == (1, 0)


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_closed_breaker_begins_with_few_places() -> None:
    """Ramp-up: no herd on a route that has just come back; being closed by hand changes nothing."""
    settings = LimiterSettings(start=50, restart=2)
    gate = Gate(settings, None)
    gate.moved(moved(BreakerState.FORCED_OPEN, BreakerState.CLOSED))
    assert gate.places == 50
    gate.moved(moved(BreakerState.HALF_OPEN, BreakerState.CLOSED))
    assert gate.places == 2


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_no_place_is_lost_whenever_a_waiting_call_is_cancelled() -> None:
    """2,000 random moments, among them the one in which the place is handed over: afterwards all are free (B8)."""
    chance = random.Random(7)
    gate = Gate(LimiterSettings(start=3, most=3, restart=1, queue_max=10_000, wait_s=1e9), None)

    async def one() -> None:
        if gate.enter() or await gate.wait(1e9):
            try:
                await pause(chance.random())
            finally:
                end(gate, Outcome.CANCEL, held_s=0.0)

    tasks = [asyncio.create_task(one()) for _ in range(2_000)]
    while not all(task.done() for task in tasks):
        chance.choice(tasks).cancel()
        await pause(chance.random() * 0.2)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (gate.running, gate.waiting) == (0, 0)
    assert any(not task.cancelled() for task in tasks)


@on_virtual_time
async def test_failures_shrink_the_gate_and_neutral_ends_do_not() -> None:
    """FAIL and THROTTLE say that it was too much; a cancelled call says nothing."""
    gate = Gate(LimiterSettings(start=10), None)
    for outcome, places in ((Outcome.CANCEL, 10), (Outcome.CALLER, 10), (Outcome.FAIL, 9)):
        gate.enter()
        end(gate, outcome)
        assert gate.places == places
