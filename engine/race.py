"""``LegRunner``: one leg, and while it stays silent for longer than it usually does, the next one beside it (F6).

A hedged request as in "The Tail at Scale" (Dean and Barroso, 2013): off unless ``shield.hedge``, after the route's
p95, within a budget of its own. Whoever produces the first text has the floor; the other is cancelled, frees its
permits and is paid. Agents with handlers of their own are never hedged: what they do besides answering is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from configs.settings import Settings
from engine.contract import LegResult
from engine.legs import Hear, Legs, Track
from engine.resilience.latency import Latencies
from engine.resilience.retry import RetryBudget
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


class Race:
    """``LegRunner`` of one engine."""

    def __init__(
        self, legs: Legs, settings: Settings, latencies: Latencies, *, clock: Callable[[], float]
    ) -> None:
        self._legs = legs
        self._shield = settings.shield
        self._latencies = latencies
        self._clock = clock
        self._budget = RetryBudget(settings.shield, settings.shield.hedge_share)

    async def run(self, legs: tuple[Leg, ...], request: Request, show: Show | None) -> tuple[LegResult, ...]:
        """Answer by the first of ``legs``, or by the second where that one is faster."""
        floor = _Floor(show)
        after_s = self._hedge_after_s(legs)
        if after_s is None:
            track = Track()
            return (await self._legs.run(legs[0], request, floor.hear(track), track),)
        self._budget.called(self._clock())
        runners = [self._start(legs[0], request, floor, after_s)]
        taken = asyncio.create_task(floor.taken.wait())
        try:
            await asyncio.wait((taken, runners[0].task), timeout=after_s, return_when=asyncio.FIRST_COMPLETED)
            if not taken.done() and not runners[0].task.done() and self._budget.take(self._clock()):
                runners.append(self._start(legs[1], request, floor, after_s))
            await _decided(taken, runners)
            return await _results(floor, runners)
        finally:
            taken.cancel()
            for runner in runners:
                runner.task.cancel()
            await asyncio.wait((taken, *(runner.task for runner in runners)))

    def _start(self, leg: Leg, request: Request, floor: _Floor, patience_s: float) -> _Runner:
        track = Track()
        track.model.patience_s = patience_s
        return _Runner(track, asyncio.create_task(self._legs.run(leg, request, floor.hear(track), track)))

    def _hedge_after_s(self, legs: tuple[Leg, ...]) -> float | None:
        """Seconds of silence after which the second leg starts too; ``None``: never."""
        if not self._shield.hedge or len(legs) < 2:
            return None
        subjects = [self._legs.subject(leg) for leg in legs[:2]]
        if None in subjects:
            return None
        now_s = self._clock()
        usual = [
            p95 for subject in subjects if subject and (p95 := self._latencies.p95(subject, now_s)) is not None
        ]
        return max(self._shield.hedge_s_min, usual[0] if usual else self._shield.hedge_s)


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
        loser.track.lost.set()
        loser.track.model.outpaced = loser is runners[0]
        loser.task.cancel()
    ordered = [*losers, *(runner for runner in runners if runner not in losers)]
    return tuple([await runner.task for runner in ordered])
