"""``bench dead-backend``: what users notice when the first model of a chain is dead, beside other libraries.

200 requests, 20 at once, two OpenAI-shaped providers in a process of their own that answer after 50 ms. Every
system is first warmed with healthy requests, then the primary dies: ``error`` answers 500 at once, ``hang`` never
answers and everybody gives up on it after 1 s. ``wasted_calls`` is what the dead one was asked meanwhile, counted
by itself.

Two floors, both without a dead call and at the same concurrency: ``floor`` is the official client straight to the
healthy fallback, ``switchgear_floor`` is the engine with the fallback as its whole chain. ``p95_over_floor`` is
against the first for every system, ``p95_over_own_floor`` against the second: what the dead primary adds.
Figures are medians over rounds, each with floors of its own. ``hang`` is asked with hedging on, all else with the
user's settings. Peers: ``peers.py``.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from configs.settings import Settings
from engine.bench import peers
from engine.bench.drive import Ask, Shot, drive, p50_ms, p95_ms, quiet, share_of, success
from engine.bench.ours import replicas, settings_for, switchgear, with_breaker
from engine.bench.peers import FALLBACK, PRIMARY, Peer, Targets
from engine.bench.report import Report, report
from engine.bench.upstream import Manner, Upstream, open_upstream

System = Callable[[], AbstractAsyncContextManager[Ask]]
Figures = dict[str, float]
OURS = "switchgear"
FLOOR = "floor"
OWN_FLOOR = "switchgear_floor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How much is asked of whom."""

    requests: int
    concurrency: int
    warm_up: int
    rounds: int
    """Peers are measured in the first one only."""
    slow_requests: int
    """Of systems that take seconds for each: they keep asking the dead one, so more would show the same."""
    model_s: float
    timeout_s: float
    replicas: int
    open_s: float
    back_s: float
    """Traffic has to be back this long after the breaker may close."""
    storm_s: float


PLAN = Scenario(
    requests=200,
    concurrency=20,
    warm_up=60,
    rounds=2,
    slow_requests=20,
    model_s=0.05,
    timeout_s=1.0,
    replicas=4,
    open_s=2.0,
    back_s=5.0,
    storm_s=3.0,
)
SLOW = tuple(peers.CHAINS)
DEAD = {"error": Manner(status=500), "hang": Manner(hang=True)}


def _silent(step: str) -> None:
    del step


def run(settings: Settings, on_step: Callable[[str], None] = _silent) -> Report:
    """All figures. Raises ``BenchFailed``."""
    scenario = PLAN
    others = peers.installed()
    with quiet(), tempfile.TemporaryDirectory(prefix="sg-") as folder:
        figures = asyncio.run(measure(settings, scenario, Path(folder), others, on_step))
    notes = [
        f"{name}: over {scenario.slow_requests} requests" for name in SLOW if f"{name}.error.success" in figures
    ]
    if peers.missing():
        notes.append(f"not installed, not measured: {', '.join(peers.missing())} (extra `bench`)")
    return report("dead-backend", figures, notes=tuple(notes))


async def measure(
    settings: Settings,
    scenario: Scenario,
    folder: Path,
    others: Mapping[str, Peer],
    on_step: Callable[[str], None] = _silent,
) -> Figures:
    """Figures by name; data goes into ``folder``. Raises ``BenchFailed``."""
    async with open_upstream(PRIMARY, FALLBACK) as upstream:
        stage = Stage(settings, scenario, upstream, folder, others)
        figures: Figures = {}
        for kind in DEAD:
            figures |= await stage.comparison(kind, on_step)
        on_step(f"{scenario.replicas} replicas")
        figures[f"{OURS}_{scenario.replicas}_replicas.error.wasted_calls"] = await stage.wasted_by_replicas()
        on_step("recovery")
        figures[f"{OURS}.error.recovered_share_within_open_plus_5s"] = await stage.recovered_share()
        on_step("everything fails")
        figures |= await stage.storm()
        return figures


class Stage:
    """The two providers and what is put in front of them."""

    def __init__(
        self,
        settings: Settings,
        scenario: Scenario,
        upstream: Upstream,
        folder: Path,
        others: Mapping[str, Peer],
    ) -> None:
        self._others = others
        self._settings = settings
        self._scenario = scenario
        self._upstream = upstream
        self._folder = folder
        self._opened = 0
        self._targets = Targets(urls=upstream.urls, timeout_s=scenario.timeout_s)
        self._well = Manner(delay_s=scenario.model_s)

    async def comparison(self, kind: str, on_step: Callable[[str], None]) -> Figures:
        """Every system in turn, round by round, and the median of each figure."""
        found: dict[str, list[float]] = {}
        for number in range(self._scenario.rounds):
            floors: Figures = {}
            for name, system in self._systems(kind).items():
                if number and not name.startswith((OURS, FLOOR)):
                    continue
                on_step(f"{kind}, round {number + 1}: {name}")
                requests = self._scenario.slow_requests if name in SLOW else self._scenario.requests
                shots, wasted = await self._outage(system, DEAD[kind], requests)
                p95 = p95_ms(shots)
                floors[name] = p95
                figures = {
                    "success": success(shots),
                    "wasted_calls": wasted,
                    "p50_ms": p50_ms(shots),
                    "p95_ms": p95,
                    "p95_over_floor": p95 / floors[FLOOR],
                }
                if name.startswith(OURS):
                    figures["p95_over_own_floor"] = p95 / floors[OWN_FLOOR]
                for figure, value in figures.items():
                    found.setdefault(f"{name}.{kind}.{figure}", []).append(value)
        return {name: statistics.median(values) for name, values in found.items()}

    async def wasted_by_replicas(self) -> int:
        """Calls that the dead primary gets from replicas which share one state of its breaker."""
        plan = self._scenario
        each = (plan.requests // plan.replicas, max(1, plan.concurrency // plan.replicas))
        async with replicas(plan.replicas, self._ours()) as started:
            await self._upstream.answer(primary=self._well, fallback=self._well)
            for one in started:
                await one.tell((1, 1))  # builds its client: all at once would look like a slow provider
            await asyncio.gather(*(one.tell((plan.warm_up // plan.replicas, each[1])) for one in started))
            await self._upstream.answer(primary=DEAD["error"])
            await asyncio.gather(*(one.tell(each) for one in started))
            return await self._upstream.calls(PRIMARY)

    async def recovered_share(self) -> float:
        """Share of requests that the recovered primary answers in the second after open time + ``back_s``."""
        plan = self._scenario
        short = with_breaker(self._ours(), open_s=plan.open_s)
        async with switchgear(short) as ask:
            await self._outage_of(ask, DEAD["error"], plan.concurrency)
            await self._upstream.answer(primary=self._well)
            back = time.monotonic() + plan.open_s + plan.back_s
            late: list[Shot] = []
            while (now := time.monotonic()) < back + 1.0:
                shots = await drive(ask, plan.concurrency, plan.concurrency // 4 or 1)
                late += shots if now >= back else ()
                await asyncio.sleep(plan.model_s)
            return share_of(PRIMARY, late)

    async def storm(self) -> Figures:
        """Calls per request offered while everything fails: as configured, and with breakers that never open."""
        settings = self._ours()
        stubborn = with_breaker(self._ours(), consecutive_failures=10**9, rate_min_calls=10**9)
        figures: Figures = {}
        for name, chosen in (("storm", settings), ("storm_without_breaker", stubborn)):
            async with switchgear(chosen, (PRIMARY,)) as ask:
                dead = DEAD["error"]
                await self._upstream.answer(primary=dead, fallback=dead)
                until = time.monotonic() + self._scenario.storm_s
                offered = 0
                while time.monotonic() < until:
                    offered += len(await drive(ask, self._scenario.concurrency, self._scenario.concurrency))
                calls = await self._upstream.calls(PRIMARY)
            figures[f"{OURS}.{name}.amplification"] = calls / offered
            figures[f"{OURS}.{name}.offered"] = offered
        return figures

    async def _outage(self, system: System, dead: Manner, requests: int) -> tuple[list[Shot], int]:
        async with system() as ask:
            return await self._outage_of(ask, dead, requests)

    async def _outage_of(self, ask: Ask, dead: Manner, requests: int) -> tuple[list[Shot], int]:
        """What became of ``requests`` after the primary died, and how often it was asked."""
        await self._upstream.answer(primary=self._well, fallback=self._well)
        await ask()  # builds clients: 20 at once that wait for it would be a third of the times that a p95 knows
        await drive(ask, self._scenario.warm_up, self._scenario.concurrency)
        await self._upstream.answer(primary=dead)
        shots = await drive(ask, requests, self._scenario.concurrency)
        return shots, await self._upstream.calls(PRIMARY)

    def _systems(self, kind: str) -> dict[str, System]:
        """Floors first: the others are measured against them."""
        hedge = kind == "hang" or self._settings.shield.hedge
        ours: dict[str, System] = {
            FLOOR: partial(peers.bare, self._targets),
            OWN_FLOOR: lambda: switchgear(self._ours(), (FALLBACK,)),
            OURS: lambda: switchgear(self._ours(hedge=hedge)),
        }
        return ours | {name: partial(open_it, self._targets) for name, open_it in self._others.items()}

    def _ours(self, *, hedge: bool = False) -> Settings:
        """Settings with a data folder of their own: breakers start anew."""
        self._opened += 1
        return settings_for(self._settings, self._targets, self._folder / str(self._opened), hedge=hedge)
