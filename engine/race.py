"""``LegRunner``: one leg, and while it stays silent for longer than it usually does, the next one beside it (F6).

A hedged request as in "The Tail at Scale" (Dean and Barroso, 2013): off unless ``shield.hedge``, after the route's
p95, within a budget of its own. Whoever produces the first text has the floor; the other is cancelled, frees its
permits and is paid. Agents with handlers of their own are never hedged: what they do besides answering is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from configs.settings import Settings
from engine.contract import LegResult
from engine.legs import Hear, Legs, Track
from engine.resilience.retry import RetryBudget
from engine.resilience.routes import Routes
from engine.types import Leg, Request

Show = Callable[[str], None]


class _Floor:
    """Who speaks. The first to say something does, until the end."""

    def __init__(self, show: Show | None) -> None:
        self._show = show
        self.holder: Track | None = None
        self.taken = asyncio.Event()

    def hear(self, track: Track) -> Hear:
        """The ear of one leg."""

        def heard(text: str) -> bool:
            if self.holder is None:
                self.holder = track
                self.taken.set()
            if self._show is None or self.holder is not track:
                return False
            self._show(text)
            return True

        return heard


@dataclass(frozen=True, slots=True)
class _Runner:
    track: Track
    task: asyncio.Task[LegResult]

    def lose(self, *, late: bool) -> None:
        """End it as a value; ``late``: another one was faster, which its route has to answer for."""
        if not self.track.lost.is_set():  # once: a second cancellation would interrupt its clean-up
            self.track.lost.set()
            self.track.model.outpaced = late
            self.task.cancel()


@dataclass(frozen=True, slots=True)
class _Hedge:
    subject: str
    """The first leg's route."""
    after_s: float


class Race:
    """``LegRunner`` of one engine."""

    def __init__(self, legs: Legs, settings: Settings, routes: Routes, *, clock: Callable[[], float]) -> None:
        self._legs = legs
        self._shield = settings.shield
        self._routes = routes
        self._clock = clock
        self._budget = RetryBudget(settings.shield, settings.shield.hedge_share)

    async def run(self, legs: tuple[Leg, ...], request: Request, show: Show | None) -> tuple[LegResult, ...]:
        """Answer by the first of ``legs``, or by the second where that one is faster."""
        floor = _Floor(show)
        hedge = self._hedge(legs)
        if hedge is None:
            track = Track()
            return (await self._legs.run(legs[0], request, floor.hear(track), track),)
        self._budget.called(self._clock())
        runners = [self._start(legs[0], request, floor)]
        taken = asyncio.create_task(floor.taken.wait())
        out = asyncio.create_task(self._routes.out(hedge.subject).wait())
        try:
            await self._wait_for_the_first(runners[0], taken, out, hedge.after_s)
            if floor.holder is None and not runners[0].task.done():
                if out.done():
                    runners[0].lose(late=False)  # nobody asks it any more: go on as every new request does
                runners.append(self._start(legs[1], request, floor))
            await _decided(taken, runners)
            return await _results(floor, runners)
        finally:
            taken.cancel()
            out.cancel()
            for runner in runners:
                runner.task.cancel()
            await asyncio.wait((taken, out, *(runner.task for runner in runners)))

    async def _wait_for_the_first(
        self, first: _Runner, taken: asyncio.Task[bool], out: asyncio.Task[bool], after_s: float
    ) -> None:
        """Wait until it speaks or fails, or the next may be asked.

        While it waits in line it is not silent, since nobody has asked it yet. Over the budget it has until its
        breaker opens.
        """
        said = (taken, first.task)
        done: set[asyncio.Task[Any]] = set()
        left_s = after_s
        while not done and left_s > 0.0:
            done, _ = await asyncio.wait(said, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            asked_s = first.track.model.asked_s
            left_s = after_s if asked_s is None else asked_s + after_s - self._clock()
        if not (taken.done() or first.task.done() or self._budget.take(self._clock())):
            await asyncio.wait((*said, out), return_when=asyncio.FIRST_COMPLETED)

    def _start(self, leg: Leg, request: Request, floor: _Floor) -> _Runner:
        track = Track()
        return _Runner(track, asyncio.create_task(self._legs.run(leg, request, floor.hear(track), track)))

    def _hedge(self, legs: tuple[Leg, ...]) -> _Hedge | None:
        """When the second leg starts too; ``None``: never."""
        if not self._shield.hedge or len(legs) < 2:
            return None
        first, second = (self._legs.subject(leg) for leg in legs[:2])
        if first is None or second is None:
            return None
        now_s, latencies = self._clock(), self._routes.latencies
        own_s, others_s = latencies.p95(first, now_s), latencies.p95(second, now_s)
        usual_s = own_s if own_s is not None else others_s
        after_s = max(self._shield.hedge_s_min, self._shield.hedge_s if usual_s is None else usual_s)
        return _Hedge(first, after_s)


async def _decided(taken: asyncio.Task[bool], runners: list[_Runner]) -> None:
    """Wait until somebody has the floor, or nobody is left who could take it."""
    running = {runner.task for runner in runners}
    while running and not taken.done():
        done, _ = await asyncio.wait((taken, *running), return_when=asyncio.FIRST_COMPLETED)
        running -= done


async def _results(floor: _Floor, runners: list[_Runner]) -> tuple[LegResult, ...]:
    """End the losers and wait for the winner; what counts comes last."""
    losers = [runner for runner in runners if floor.holder is not None and runner.track is not floor.holder]
    for loser in losers:
        loser.lose(late=loser is runners[0])
    ordered = [*losers, *(runner for runner in runners if runner not in losers)]
    return tuple([await runner.task for runner in ordered])
