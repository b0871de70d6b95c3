"""Cancellation and graph signals pass through untouched, uncounted, and leave nothing behind (B7, B8)."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest

from agents.contract import Chunk
from configs.kernel import FailureKind, Outcome
from engine.contract import BreakerState
from engine.resilience.routes import Route
from engine.resilience.translate import passes_through
from tests.support.guards import tasks_left_behind
from tests.support.shield_lab import FINISH, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time


async def cancel_somewhere(chance: random.Random) -> str:
    """One probe, cancelled after a random time or number of loop passes; what it came to."""
    lab = Lab(retries=2, backoff_s=0.5)
    await lab.until_half_open()
    lab.upstream.close_takes_s = chance.choice((0.0, 0.0, 0.01))
    broken = chance.random() < 0.3
    lab.upstream.play(*((failure(FailureKind.RESET),) if broken else (0.1, "a", 0.1, "b", FINISH)))
    lab.upstream.play(0.1, "a", FINISH)
    call = asyncio.create_task(lab.text())
    if chance.random() < 0.5:
        await pause(chance.uniform(0.0, 0.4))
    for _ in range(chance.randrange(12)):
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait((call,))
    await lab.shield.aclose()
    assert lab.leases() == 0, "a permit leaked"
    assert lab.upstream.opened == lab.upstream.closed, "an upstream stayed open"
    assert await tasks_left_behind() == []
    if not call.cancelled():
        return "ended"
    if not broken:
        counted = (lab.report.outcome, lab.view().consecutive_failures)
        assert counted in ((None, 5), (Outcome.CANCEL, 5), (Outcome.OK, 0)), "a cancellation counted"
    return "cancelled"


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_thousand_random_cancellations_leave_nothing_behind() -> None:
    """0 permits, 0 tasks, 0 open upstreams; and the points really lie before, within and after the calls."""
    chance = random.Random(78)
    ends = [await cancel_somewhere(chance) for _ in range(1_000)]
    assert ends.count("cancelled") > 500
    assert ends.count("ended") > 50


@pytest.mark.long
@pytest.mark.timeout(3_600)
@on_virtual_time
async def test_a_hundred_thousand_random_cancellations_leave_nothing_behind() -> None:
    """The same, longer."""
    chance = random.Random(79)
    ends = [await cancel_somewhere(chance) for _ in range(100_000)]
    assert ends.count("cancelled") > 50_000


@on_virtual_time
async def test_cancelling_a_unary_call_cancels_what_it_waits_for() -> None:
    """The inner task ends with the outer, and nothing is counted."""
    lab = Lab()
    inner = asyncio.Event()

    async def slow() -> None:
        try:
            await pause(100.0)
        finally:
            inner.set()

    call = asyncio.create_task(lab.shield.call(SUBJECT, slow, lab.deadline(60.0), timeout_s=50.0))
    await pause(1.0)
    call.cancel()
    await asyncio.wait((call,))
    assert (call.cancelled(), inner.is_set(), lab.view().consecutive_failures) == (True, True, 0)


@on_virtual_time
async def test_an_upstream_that_cancels_itself_is_not_swallowed() -> None:
    """A CancelledError from inside stays one, and is neutral."""
    lab = Lab()
    lab.upstream.play("a", asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await lab.text()
    assert (lab.report.outcome, lab.view().consecutive_failures, lab.upstream.opened) == (Outcome.CANCEL, 0, 1)


@on_virtual_time
@pytest.mark.req("brk.nested")
async def test_graph_signals_pass_through_uncounted_and_untried() -> None:
    """GraphBubbleUp, bare or in a group, reaches the graph as the object that was raised; the permit is free."""
    from langgraph.errors import GraphInterrupt  # noqa: PLC0415 - two seconds that only this test needs

    for signal in (GraphInterrupt(), ExceptionGroup("arms", [GraphInterrupt()])):
        lab = Lab()
        await lab.until_half_open()
        lab.upstream.play("a", signal)
        with pytest.raises(type(signal)) as caught:
            await lab.text()
        assert caught.value is signal
        assert (lab.leases(), lab.upstream.opened, lab.upstream.closed) == (0, 1, 1)
        assert (lab.report.outcome, lab.view().state) == (Outcome.CANCEL, BreakerState.HALF_OPEN)


def test_what_passes_through_is_told_from_what_failed() -> None:
    """Control flow is every BaseException that is no Exception, and groups that hold a signal."""
    assert all(passes_through(exc) for exc in (asyncio.CancelledError(), GeneratorExit(), KeyboardInterrupt()))
    assert passes_through(BaseExceptionGroup("g", [asyncio.CancelledError()]))
    assert not any(passes_through(exc) for exc in (ValueError(), TimeoutError(), ExceptionGroup("g", [OSError()])))


def test_importing_the_shield_does_not_import_langgraph() -> None:
    """The exact-hit path must not pay its two seconds."""
    code = "import sys, engine.resilience.shielded; print('langgraph' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@on_virtual_time
async def test_closing_the_shield_ends_what_nobody_waits_for() -> None:
    """At shutdown a running call is cancelled and the stream's reader sees that."""
    lab = Lab()

    ended = asyncio.Event()

    async def endless() -> object:
        try:
            while True:
                yield Chunk(text="x")
                await pause(1.0)
        finally:
            ended.set()

    stream = lab.shield.stream(Route(subject=SUBJECT), endless, lab.deadline(60.0))
    assert (await anext(stream)).text == "x"
    await lab.shield.aclose()
    assert (ended.is_set(), lab.elapsed_s) == (True, 0.0)
    with pytest.raises(asyncio.CancelledError):
        async for _ in stream:
            pass
    assert lab.view().consecutive_failures == 0
