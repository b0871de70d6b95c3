"""Ten times more than a provider can take, on virtual time: what gets through, and how soon others hear no."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from agents.contract import Chunk
from configs.kernel import FailureKind
from configs.settings import LimiterSettings, Settings
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.routes import Route
from tests.support.shield_lab import FINISH, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

PLACES = 20
TAKES_S = 0.05
CAPACITY = PLACES / TAKES_S
SECONDS = 20


class Provider:
    """Serves ``PLACES`` calls at once and answers 503 to every other."""

    def __init__(self) -> None:
        self.running = 0
        self.answered = 0
        self.turned_away = 0

    async def open(self) -> AsyncGenerator[Chunk]:
        """One call."""
        if self.running >= PLACES:
            self.turned_away += 1
            await pause(0.001)
            raise failure(FailureKind.STATUS, status=503)
        self.running += 1
        try:
            await pause(TAKES_S)
            yield Chunk(text="yes")
            yield FINISH
            self.answered += 1
        finally:
            self.running -= 1


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_ten_times_overload_leaves_nine_tenths_of_the_capacity() -> None:
    """Goodput ≥ 90 %; who is refused for want of a place knows within 50 ms; the line stays bounded."""
    lab = Lab(Settings(limiter=LimiterSettings(wait_s=1.0)))
    provider = Provider()
    refused_after: list[float] = []
    answered = 0

    async def one() -> None:
        nonlocal answered
        began = lab.clock()
        stream = lab.shield.stream(Route(subject=SUBJECT), provider.open, lab.deadline(30.0))
        try:
            async for _ in stream:
                pass
            answered += 1
        except CallRefused as refused:
            if "line" in refused.failure.detail or "waiting" in refused.failure.detail:
                refused_after.append(lab.clock() - began)
        except LeafCallFailed:
            pass

    tasks: set[asyncio.Task[None]] = set()
    longest = 0
    for _ in range(SECONDS * 100):
        for _ in range(int(10 * CAPACITY / 100)):
            task = asyncio.create_task(one())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await pause(0.01)
        longest = max(longest, len(tasks))
    in_time = answered
    await asyncio.gather(*tasks)
    assert in_time >= 0.9 * SECONDS * CAPACITY
    assert len(refused_after) > 5 * in_time
    assert max(refused_after) <= 0.05
    assert longest < 1_000
    assert provider.turned_away < 0.1 * in_time
