"""``bench overload``: a provider that takes so much and no more, offered ten times that.

Requests arrive at a fixed rate, whether or not earlier ones have ended. ``goodput_share`` is answers per second
over what the provider could have answered in that time; ``rejection_p95_ms`` is from asking to the typed refusal,
for those that were refused; ``refused_late_share`` is how many of those took over 50 ms, most of them in a line
that moved too slowly for their deadline. ``waited_p95_ms`` is the latency of those that were answered.

``slows``: beyond its places the provider lets requests wait, as vLLM or llama.cpp do. ``refuses``: as many again
may wait, and beyond those it answers 503. ``shield.*`` is breaker, gate and budget alone before a coroutine with
20 places of 50 ms: 4,000 calls a second. ``engine.*`` is the public API before a provider in a process of its own,
small enough that this machine's cores are not what is overloaded. ``rss_growth_mb`` is what the peak of this
process's memory grew by once the overload had begun.
"""

from __future__ import annotations

import asyncio
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from agents.contract import Chunk
from agents.errors import CallFailed
from configs.kernel import Deadline, Failure, FailureKind
from configs.settings import Settings
from engine.bench.drive import Ask, Shot, quiet
from engine.bench.ours import settings_for, switchgear
from engine.bench.peers import PRIMARY, Targets
from engine.bench.report import Report, report
from engine.bench.upstream import Manner, open_upstream
from engine.resilience.local import LocalBreakerStore
from engine.resilience.routes import Route, Routes
from engine.resilience.shield import Shield

Figures = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A provider and what is offered to it."""

    places: int
    """Requests it works on at once."""
    each_s: float
    line: int
    """Requests that may wait for a place; it answers 503 to those beyond."""
    warm_s: float
    """Half its capacity first: the gate has to know the route."""
    for_s: float
    deadline_s: float
    """Of each request."""

    @property
    def capacity(self) -> float:
        """Answers a second."""
        return self.places / self.each_s


OFFERED = 10.0
"""Times its capacity."""
ENDLESS = 10**6
LATE_S = 0.05
"""A refusal that takes longer has cost its caller time."""
SHIELD = {
    "slows": Load(places=20, each_s=0.05, line=ENDLESS, warm_s=1.0, for_s=4.0, deadline_s=2.0),
    "refuses": Load(places=20, each_s=0.05, line=20, warm_s=1.0, for_s=4.0, deadline_s=2.0),
}
ENGINE = {"slows": Load(places=4, each_s=0.4, line=ENDLESS, warm_s=1.0, for_s=6.0, deadline_s=5.0)}


async def run(settings: Settings) -> Report:
    """All figures. Raises ``BenchFailed``."""
    figures: Figures = {}
    with quiet():
        for measure, loads in ((of_shield, SHIELD), (of_engine, ENGINE)):
            for manner, load in loads.items():
                found = await measure(settings, load)
                figures |= {f"{measure.__name__[3:]}.{manner}.{name}": value for name, value in found.items()}
    return report("overload", figures)


async def of_shield(settings: Settings, load: Load) -> Figures:
    """The shield alone in front of a coroutine with ``load.places``."""
    routes = Routes(settings)
    breakers = LocalBreakerStore(
        settings.breaker, clock=time.monotonic, sample=random.random, listeners=(routes.moved,)
    )
    shield = Shield(breakers, settings, clock=time.monotonic, sample=random.random, routes=routes)
    provider = _Provider(load)

    async def ask() -> str | None:
        deadline = Deadline.after(load.deadline_s, now_s=time.monotonic())
        try:
            async with aclosing(shield.stream(Route(subject=PRIMARY), provider.stream, deadline)) as chunks:
                async for _ in chunks:
                    pass
        except CallFailed:
            return None
        return PRIMARY

    figures = await _offered(ask, load)
    await shield.aclose()
    return figures


async def of_engine(settings: Settings, load: Load) -> Figures:
    """The public API in front of a provider with ``load.places``."""
    with tempfile.TemporaryDirectory(prefix="sg-") as folder:
        async with open_upstream(PRIMARY) as upstream:
            await upstream.answer(primary=Manner(delay_s=load.each_s, places=load.places, line=load.line))
            targets = Targets(urls=upstream.urls, timeout_s=load.deadline_s)
            chosen = settings_for(settings, targets, Path(folder))
            limits = chosen.request.model_copy(update={"deadline_s": load.deadline_s})
            async with switchgear(chosen.model_copy(update={"request": limits}), (PRIMARY,)) as ask:
                return await _offered(ask, load)


class _Provider:
    """A provider of fixed capacity inside this process."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._places = asyncio.Semaphore(load.places)
        self._present = 0

    async def stream(self) -> AsyncGenerator[Chunk]:
        if self._present >= self._load.places + self._load.line:
            raise CallFailed(Failure(kind=FailureKind.STATUS, status=503, detail="at capacity"))
        self._present += 1
        try:
            async with self._places:
                await asyncio.sleep(self._load.each_s)
            yield Chunk(text="A scripted answer.", finish_reason="stop")
        finally:
            self._present -= 1


async def _offered(ask: Ask, load: Load) -> Figures:
    """What becomes of ``OFFERED`` times the capacity."""
    await _at_rate(ask, load.capacity / 2, load.warm_s)
    await _at_rate(ask, load.capacity * OFFERED, load.for_s / 2)
    grown_mb = _peak_mb()
    began = time.perf_counter()
    shots = await _at_rate(ask, load.capacity * OFFERED, load.for_s)
    took_s = time.perf_counter() - began
    answered = [shot.latency_s for shot in shots if shot.model is not None]
    refused = [shot.latency_s for shot in shots if shot.model is None]
    return {
        "goodput_share": len(answered) / (took_s * load.capacity),
        "offered_share": len(shots) / (load.for_s * load.capacity),
        "rejection_p50_ms": statistics.median(refused) * 1e3 if refused else 0.0,
        "rejection_p95_ms": _p95(refused) * 1e3,
        "refused_late_share": sum(s > LATE_S for s in refused) / max(1, len(refused)),
        "waited_p95_ms": _p95(answered) * 1e3,
        "rss_growth_mb": _peak_mb() - grown_mb,
    }


async def _at_rate(ask: Ask, rate: float, for_s: float) -> list[Shot]:
    """One ``ask`` every ``1 / rate`` s, and all their ends."""
    shots: list[Shot] = []
    asking: set[asyncio.Task[None]] = set()
    began = time.perf_counter()
    for number in range(int(rate * for_s)):
        wait_s = began + number / rate - time.perf_counter()
        # Behind schedule: still let the others run between two requests.
        await asyncio.sleep(max(0.0, wait_s))
        task = asyncio.create_task(_timed(ask, shots.append))
        asking.add(task)
        task.add_done_callback(asking.discard)
    if asking:
        await asyncio.wait(tuple(asking))
    return shots


async def _timed(ask: Callable[[], Awaitable[str | None]], note: Callable[[Shot], None]) -> None:
    began = time.perf_counter()
    model = await ask()
    note(Shot(latency_s=time.perf_counter() - began, model=model))


def _p95(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=20)[18] if len(seconds) > 1 else 0.0


def _peak_mb() -> float:
    unit = 1024.0 if sys.platform == "linux" else 1024.0**2  # macOS counts bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
