"""``bench router``: a routing decision with 10, 150 and 1,000 agents, and what stands around it (route.scale).

Decisions are timed without the encoder: a reading is there already. The agents beyond the configured ones are made
up, with random vectors and words of their own; a decision costs the same whatever they mean.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np

from configs.catalogue import AgentCapability
from configs.kernel import Principal
from configs.routing import RoutingSettings
from configs.settings import Settings
from engine.bench.report import Report, report
from engine.evals.router import agent_table
from engine.gateway.admit import Options, build_request
from engine.routing.contract import AgentSnapshot, Reading, Registered
from engine.routing.decide import match
from engine.routing.encoder import DIMENSIONS, MiniLm, load_encoder
from engine.routing.router import ZeroShotRouter
from engine.routing.select import rank
from engine.routing.table import AgentTable, Profile, profile, stack
from engine.routing.thread import EncoderThread
from engine.types import Averages, Request

SIZES: Final = (10, 150, 1_000)
DECISIONS: Final = 3_000
ROUTES: Final = 150
REGISTRATIONS: Final = 20
CROWD: Final = 100
TEXTS_PER_AGENT: Final = 20
KEYWORDS_PER_AGENT: Final = 10
QUESTIONS: Final = (
    "Turn this list of readings into a Python dictionary keyed by sensor",
    "Which feeders carried more than 80 amperes in January?",
    "bar chart of outages per district, highest first",
    "My relay clicks twice a second, what could that be?",
    "Summarise the inspection report for the town council",
    "SELECT the three oldest cabinets and the names of their owners",
)
SLOW_AGENT_MS: Final = 5_000.0


def run(settings: Settings, say: Callable[[str], None] | None = None) -> Report:
    """Figures of ``bench router``.

    ``register.p50_ms`` is from the registration of an agent to the first decision that knows it;
    ``concurrency_100.throughput_ratio`` is routes per second of 100 callers over those of one.
    """
    encoder = load_encoder(settings.encoder)
    found: dict[str, float] = {}
    table = agent_table(settings, encoder)
    readings = [(question, encoder.read(question)) for question in QUESTIONS]
    for size in SIZES:
        if say is not None:
            say(f"{size} agents")
        crowd = _crowd(table.profiles, size, settings.routing)
        found[f"decide.agents_{size}.p95_ms"] = _p95(decision_times_ms(crowd, readings, settings.routing))
    if say is not None:
        say("whole routes")
    return report("router", found | asyncio.run(_routes(settings, encoder)))


def decision_times_ms(
    table: AgentTable, readings: Sequence[tuple[str, Reading]], settings: RoutingSettings
) -> list[float]:
    """Times of decisions, the questions in turn, after a warm-up."""
    times: list[float] = []
    for turn in range(DECISIONS):
        question, reading = readings[turn % len(readings)]
        began = time.perf_counter()
        rank(match(table, reading, question, settings), {}, settings)
        times.append((time.perf_counter() - began) * 1e3)
    return times[DECISIONS // 10 :]


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


def _crowd(profiles: Sequence[Profile], size: int, settings: RoutingSettings) -> AgentTable:
    random = np.random.default_rng(20261121)
    made: list[Profile] = list(profiles[:size])
    for n in range(size - len(made)):
        anchors = random.normal(size=(TEXTS_PER_AGENT, DIMENSIONS)).astype(np.float32)
        anchors /= np.linalg.norm(anchors, axis=1, keepdims=True)
        words = tuple(f"subject{n}word{k}" for k in range(KEYWORDS_PER_AGENT))
        capability = AgentCapability(name=f"made-up-{n}", description="Made up.", keywords=words)
        made.append(profile(capability, anchors, settings))
    return stack(size, made, settings.general_agent)


class _Registry:
    """The least that a router reads agents from."""

    def __init__(self, capabilities: Sequence[AgentCapability]) -> None:
        agents = {c.name: Registered(capability=c, own_handler=True) for c in capabilities}
        self._snapshot = AgentSnapshot(generation=0, agents=agents)

    def snapshot(self) -> AgentSnapshot:
        return self._snapshot

    def add(self, capability: AgentCapability) -> None:
        agents = {**self._snapshot.agents, capability.name: Registered(capability=capability, own_handler=True)}
        self._snapshot = AgentSnapshot(generation=self._snapshot.generation + 1, agents=agents)


async def _routes(settings: Settings, encoder: MiniLm) -> dict[str, float]:
    registry = _Registry(settings.agents)
    thread = EncoderThread(lambda: encoder, settings.encoder)
    try:
        router = ZeroShotRouter(settings, thread, registry.snapshot, _healthy)
        await router.warm()
        requests = [_request(question, settings) for question in QUESTIONS]
        calls = [partial(router.route, requests[n % len(requests)]) for n in range(ROUTES)]
        times = [await _timed_ms(call) for call in calls]
        registered: list[float] = []
        for n in range(REGISTRATIONS):
            registry.add(_newcomer(n))
            registered.append(await _timed_ms(partial(router.route, requests[n % len(requests)])))
        alone, together = await _throughput(calls, 1), await _throughput(calls, CROWD)
    finally:
        await thread.aclose()
    return {
        "route.p50_ms": statistics.median(times),
        "register.p50_ms": statistics.median(registered),
        "concurrency_100.throughput_ratio": together / alone,
    }


def _newcomer(n: int) -> AgentCapability:
    return AgentCapability(
        name=f"newcomer-{n}",
        description=f"Plans the maintenance of cabinet {n}. Knows its drawings and its spare parts.",
        keywords=("maintenance", f"cabinet {n}", "spare part"),
        examples=(f"When is cabinet {n} due?", f"Order a hinge for cabinet {n}", f"Who painted cabinet {n}?"),
        avg_latency_ms=SLOW_AGENT_MS,
    )


async def _healthy(names: Sequence[str]) -> Mapping[str, Averages]:
    return dict.fromkeys(names, Averages(success=1.0))


def _request(question: str, settings: Settings) -> Request:
    caller = Principal(user_id="bench")
    return build_request(question, caller, Options(), settings, request_id="bench", now_s=time.monotonic())


async def _timed_ms(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e3


async def _throughput(calls: Sequence[Callable[[], Awaitable[object]]], callers: int) -> float:
    """Calls per second when ``callers`` take turns at ``calls``."""
    waiting = iter(calls)

    async def caller() -> None:
        for call in waiting:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(calls) / (time.perf_counter() - began)
