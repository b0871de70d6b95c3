"""Races of legs on virtual time: when the second one starts, who wins, and that nothing is left running."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from configs.kernel import Deadline, Message, Outcome, Principal
from configs.settings import Settings, ShieldSettings
from engine.contract import BreakerMoved, BreakerState, LegResult
from engine.legs import Hear, Track
from engine.race import Race
from engine.resilience.routes import Routes
from engine.types import Attempt, Leg, Request
from tests.support.shield_lab import pause
from tests.support.virtual_time import on_virtual_time

FIRST, SECOND = Leg(agent="a", model="first"), Leg(agent="a", model="second")


@dataclass
class Script:
    """A leg: silent for so long, then it speaks, then it goes on for so long."""

    silent_s: float
    speaks_s: float = 0.0
    fails: bool = False
    in_line_s: float = 0.0


@dataclass
class ScriptedLegs:
    """Stands in for ``Legs``."""

    scripts: dict[str, Script]
    running: int = 0
    started: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    outpaced: list[str] = field(default_factory=list[str])

    def subject(self, leg: Leg) -> str | None:
        """Its route."""
        return leg.model

    async def run(self, leg: Leg, request: Request, hear: Hear, track: Track) -> LegResult:
        """Follow the script."""
        script = self.scripts[leg.model or ""]
        self.started.append((leg.model or "", asyncio.get_running_loop().time()))
        self.running += 1
        outcome = Outcome.FAIL if script.fails else Outcome.OK
        try:
            if script.in_line_s:
                await pause(script.in_line_s)
            track.model.asked_s = asyncio.get_running_loop().time()
            await pause(script.silent_s)
            if not script.fails:
                hear("text")
                await pause(script.speaks_s)
        except asyncio.CancelledError:
            if not track.lost.is_set():
                raise
            outcome = Outcome.CANCEL
            if track.model.outpaced:
                self.outpaced.append(leg.model or "")
        finally:
            self.running -= 1
        attempt = Attempt(agent=leg.agent, model=leg.model, outcome=outcome, called=True, latency_ms=0.0)
        return LegResult(attempt=attempt, text="text", shown=False, may_fall_back=script.fails)


def race(legs: ScriptedLegs, **shield: object) -> tuple[Race, Routes]:
    """A race over these legs, hedging on."""
    settings = Settings(shield=ShieldSettings.model_validate({"hedge": True, "hedge_s": 0.5, **shield}))
    routes = Routes(settings)
    return Race(legs, settings, routes, clock=asyncio.get_running_loop().time), routes  # type: ignore[arg-type]  - a stand-in


def request() -> Request:
    """Any."""
    return Request(
        id="r",
        principal=Principal(user_id="ada"),
        messages=(Message("user", "What is tea?"),),
        deadline=Deadline(1e9),
        ttl_s=60,
    )


def opened(subject: str) -> BreakerMoved:
    """Its breaker has opened."""
    return BreakerMoved(
        subject=subject,
        generation=2,
        before=BreakerState.CLOSED,
        after=BreakerState.OPEN,
        at_s=0.0,
        reason="",
        last_errors=(),
        retry_after_s=None,
        actor="",
    )


def outcomes(results: tuple[LegResult, ...]) -> list[tuple[str | None, Outcome]]:
    """What became of which model."""
    return [(result.attempt.model, result.attempt.outcome) for result in results]


@on_virtual_time
@pytest.mark.req("brk.fallback")
async def test_the_second_starts_after_the_p95_of_the_first() -> None:
    """Known p95: 0.2 s. Unknown: that of the second, 0.3 s. Neither: ``hedge_s``."""
    for known, expected in (({"first": 0.2, "second": 0.3}, 0.2), ({"second": 0.3}, 0.3), ({}, 0.5)):
        legs = ScriptedLegs({"first": Script(9.0), "second": Script(1.0)})
        racing, routes = race(legs)
        began = asyncio.get_running_loop().time()
        for subject, seconds in known.items():
            for _ in range(20):
                routes.latencies.add(subject, seconds, began)
        results = await racing.run((FIRST, SECOND), request(), None)
        assert legs.started[1] == ("second", pytest.approx(began + expected))
        assert outcomes(results) == [("first", Outcome.CANCEL), ("second", Outcome.OK)]
        assert legs.outpaced == ["first"]


@on_virtual_time
async def test_a_first_that_speaks_in_time_is_alone() -> None:
    """The twin: no second call, however long the first goes on speaking."""
    legs = ScriptedLegs({"first": Script(0.4, speaks_s=60.0), "second": Script(0.0)})
    results = await race(legs)[0].run((FIRST, SECOND), request(), None)
    assert (outcomes(results), len(legs.started)) == ([("first", Outcome.OK)], 1)


@on_virtual_time
async def test_a_first_that_fails_at_once_is_not_hedged() -> None:
    """Its result is for the chain: the next leg follows there."""
    legs = ScriptedLegs({"first": Script(0.1, fails=True), "second": Script(0.0)})
    results = await race(legs)[0].run((FIRST, SECOND), request(), None)
    assert (outcomes(results), len(legs.started)) == ([("first", Outcome.FAIL)], 1)


@on_virtual_time
async def test_a_second_that_fails_leaves_the_first_in_the_race() -> None:
    """The floor is nobody's until somebody speaks; what counts comes last."""
    legs = ScriptedLegs({"first": Script(2.0), "second": Script(0.1, fails=True)})
    results = await race(legs)[0].run((FIRST, SECOND), request(), None)
    assert outcomes(results) == [("second", Outcome.FAIL), ("first", Outcome.OK)]


@on_virtual_time
async def test_the_budget_bounds_second_calls() -> None:
    """A share of none and a floor of 3: of ten slow calls three are hedged."""
    legs = ScriptedLegs({"first": Script(1.0), "second": Script(0.1)})
    racing, _ = race(legs, hedge_share=0.0, retry_floor=3)
    await asyncio.gather(*(racing.run((FIRST, SECOND), request(), None) for _ in range(10)))
    assert sum(name == "second" for name, _ in legs.started) == 3


@on_virtual_time
@pytest.mark.req("brk.fallback")
async def test_over_its_budget_a_race_waits_until_the_breaker_opens() -> None:
    """Three of ten are hedged; when the route's breaker opens the other seven leave it for the next one."""
    legs = ScriptedLegs({"first": Script(60.0), "second": Script(0.1)})
    racing, routes = race(legs, hedge_share=0.0, retry_floor=3)
    began = asyncio.get_running_loop().time()
    running = [asyncio.create_task(racing.run((FIRST, SECOND), request(), None)) for _ in range(10)]
    await pause(1.0)
    assert sum(task.done() for task in running) == 3
    routes.moved(opened("another"))
    await pause(1.0)
    assert sum(task.done() for task in running) == 3
    routes.moved(opened("first"))
    results = await asyncio.gather(*running)
    assert [outcomes(each)[-1] for each in results] == [("second", Outcome.OK)] * 10
    assert asyncio.get_running_loop().time() - began == pytest.approx(2.1)
    assert (legs.running, len(legs.outpaced)) == (0, 3)


@on_virtual_time
async def test_waiting_in_line_is_not_silence() -> None:
    """A call that has no place yet is not hedged, however long: overload would be passed on to the next route."""
    legs = ScriptedLegs({"first": Script(0.1, in_line_s=20.0), "second": Script(0.0)})
    results = await race(legs)[0].run((FIRST, SECOND), request(), None)
    assert (outcomes(results), len(legs.started)) == ([("first", Outcome.OK)], 1)


@on_virtual_time
async def test_one_voice_reaches_the_client() -> None:
    """F6: both speak in the same instant, one is shown."""
    legs = ScriptedLegs({"first": Script(1.0), "second": Script(0.5)})
    heard: list[str] = []
    await race(legs)[0].run((FIRST, SECOND), request(), heard.append)
    assert heard == ["text"]


@on_virtual_time
@pytest.mark.req("brk.fallback")
async def test_cancelling_a_race_anywhere_leaves_nothing_running() -> None:
    """Fault 78: 1,000 random moments, before, between and after the two starts."""
    chance = random.Random(11)
    cancelled = 0
    for _ in range(1_000):
        legs = ScriptedLegs(
            {
                "first": Script(chance.uniform(0.0, 1.5), chance.uniform(0.0, 0.5), fails=chance.random() < 0.2),
                "second": Script(chance.uniform(0.0, 1.0), chance.uniform(0.0, 0.5), fails=chance.random() < 0.2),
            }
        )
        task = asyncio.create_task(race(legs)[0].run((FIRST, SECOND), request(), None))
        await pause(chance.uniform(0.0, 2.0))
        task.cancel()
        await asyncio.wait((task,))
        cancelled += task.cancelled()
        assert legs.running == 0
    assert 200 < cancelled < 1_000
