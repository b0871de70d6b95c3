"""``bench router``: a routing decision with 10, 150 and 1,000 agents, and what stands around it (route.scale).

Decisions are timed without the encoder: a reading is there already. The agents beyond the configured ones are made
up, with random vectors and words of their own; a decision costs the same whatever they mean.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Final

import numpy as np

from configs.catalogue import AgentCapability
from configs.kernel import Principal
from configs.routing import RoutingSettings
from configs.settings import Settings
from engine.bench.report import Report, report
from engine.bench.router_parts import warm_router
from engine.bench.router_scale import (
    TEXTS_PER_AGENT,
    crowd,
    crowd_mb,
    made_up,
    prototype_losses,
    random_vectors,
)
from engine.evals.router import agent_table
from engine.gateway.admit import Options, build_request
from engine.routing.artifact import Artifact
from engine.routing.contract import AgentSnapshot, Reading, Registered, TextEncoder, Vectors
from engine.routing.decide import match
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.router import AgentRouter
from engine.routing.select import rank
from engine.routing.shipped import bind_artifact, load_head
from engine.routing.table import AgentTable, Profile, stack
from engine.routing.thread import EncoderThread
from engine.types import Request

SIZES: Final = (10, 150, 1_000)
DECISIONS: Final = 3_000
ROUTES: Final = 150
REGISTRATIONS: Final = 20
CROWD: Final = 100
CROWD_ROUTES: Final = 400
TEXTS_AT_TEN: Final = 20
STALL_TICK_S: Final = 0.001
QUESTIONS: Final = (
    "Turn this list of readings into a Python dictionary keyed by sensor",
    "Which feeders carried more than 80 amperes in January?",
    "bar chart of outages per district, highest first",
    "My relay clicks twice a second, what could that be?",
    "Summarise the inspection report for the town council",
    "SELECT the three oldest cabinets and the names of their owners",
)
SLOW_AGENT_MS: Final = 5_000.0
Say = Callable[[str], None]


def run(settings: Settings, on_step: Say | None = None) -> Report:
    """Figures of ``bench router``.

    ``beyond_embedding.p50_ms``: a decision among 10 agents of 20 texts each; ``route_beyond_embedding.p50_ms``: a
    whole route with the configured agents whose question was read before, strategy, chain and all.
    ``register.p50_ms``: from the registration of an agent to the first decision that knows it, with ten others;
    ``register.agents_1000.p50_ms`` with a thousand. ``concurrency_100.throughput_ratio``: routes per second of 100
    callers over those of one, every question a new one; ``.loop_stall_{p99,max}_ms``: how late a timer of the loop
    was meanwhile, waits for a processor included. ``memory.agents_1000_mb``: ten texts each.
    """
    say: Say = on_step if on_step is not None else _silent
    encoder = load_encoder(settings.encoder)
    found: dict[str, float] = {}
    table = agent_table(settings, encoder)
    artifact = load_head(settings)
    readings = [(question, encoder.read(question)) for question in QUESTIONS]
    for size in SIZES:
        say(f"{size} agents")
        many = crowd(table.profiles, size, settings.routing)
        found[f"decide.agents_{size}.p95_ms"] = _p95(decision_times_ms(many, readings, settings.routing, artifact))
    twenty = stack([_of_twenty(p) for p in table.profiles], settings.routing.general_agent)
    found["beyond_embedding.p50_ms"] = statistics.median(
        decision_times_ms(twenty, readings, settings.routing, artifact)
    )
    found["memory.agents_1000_mb"] = crowd_mb(1_000, settings.routing)
    found |= asyncio.run(_routes(settings, encoder, dict(readings), say))
    say("what the shortlist loses")
    losses, notes = prototype_losses(settings, encoder)
    return report("router", found | losses, notes=notes)


def decision_times_ms(
    table: AgentTable,
    readings: Sequence[tuple[str, Reading]],
    settings: RoutingSettings,
    artifact: Artifact | None,
) -> list[float]:
    """Times of decisions with the head in use, the questions in turn, after a warm-up.

    Of the processor: a decision only computes, and what else the machine does meanwhile says nothing about it.
    """
    head = bind_artifact(table, artifact)
    times: list[float] = []
    for turn in range(DECISIONS):
        question, reading = readings[turn % len(readings)]
        began = time.thread_time()
        rank(match(table, reading, question, settings, head=head), {}, settings)
        times.append((time.thread_time() - began) * 1e3)
    return times[DECISIONS // 10 :]


def _silent(step: str) -> None:
    del step


def _p95(times: Sequence[float]) -> float:
    return statistics.quantiles(times, n=20)[18]


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


class _Ready:
    """``TextEncoder`` that has read the questions before, and knows nothing of made-up agents' texts."""

    def __init__(self, encoder: TextEncoder, readings: Mapping[str, Reading]) -> None:
        self._encoder = encoder
        self._readings = readings
        self._random = np.random.default_rng(0)

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        if texts[0] == "Made up.":
            return random_vectors(TEXTS_PER_AGENT, self._random)
        return await self._encoder.aencode(texts)

    async def aread(self, text: str) -> Reading:
        found = self._readings.get(text)
        return await self._encoder.aread(text) if found is None else found


async def _routes(
    settings: Settings, encoder: MiniLm, readings: Mapping[str, Reading], say: Say
) -> dict[str, float]:
    thread = EncoderThread(lambda: encoder, settings.encoder)
    ready = _Ready(thread, readings)
    known = [_request(question, settings) for question in QUESTIONS]
    numbers = count()

    def fresh(calls: int) -> list[Request]:
        """Requests that nobody has asked before, so that each is read."""
        return [_request(f"{QUESTIONS[n % len(QUESTIONS)]} ({next(numbers)})", settings) for n in range(calls)]

    try:
        say("whole routes")
        router = await warm_router(settings, thread, _Registry(settings.agents).snapshot)
        times = [await _timed_ms(partial(router.route, request)) for request in fresh(ROUTES)]
        prepared = await warm_router(settings, ready, _Registry(settings.agents).snapshot)
        beyond = [await _timed_ms(partial(prepared.route, known[n % len(known)])) for n in range(DECISIONS)]
        say("registrations")
        few = _Registry(settings.agents)
        many = _Registry([*settings.agents, *(made_up(n) for n in range(SIZES[-1] - len(settings.agents)))])
        register = await _registrations(few, await warm_router(settings, ready, few.snapshot), known)
        register_many = await _registrations(many, await warm_router(settings, ready, many.snapshot), known)
        say(f"{CROWD} callers at once")
        alone = await _throughput([partial(router.route, request) for request in fresh(ROUTES)], 1)
        stalls: list[float] = []
        watch = asyncio.create_task(_watch(stalls))
        together = await _throughput([partial(router.route, request) for request in fresh(CROWD_ROUTES)], CROWD)
        watch.cancel()
        await asyncio.wait((watch,))
    finally:
        await thread.aclose()
    return {
        "route.p50_ms": statistics.median(times),
        "route_beyond_embedding.p50_ms": statistics.median(beyond),
        "register.p50_ms": statistics.median(register),
        "register.agents_1000.p50_ms": statistics.median(register_many),
        "concurrency_100.throughput_ratio": together / alone,
        "concurrency_100.loop_stall_p99_ms": statistics.quantiles(stalls, n=100)[98],
        "concurrency_100.loop_stall_max_ms": max(stalls),
    }


def _of_twenty(own: Profile) -> Profile:
    """A configured agent, known by ``TEXTS_AT_TEN`` of its texts."""
    return replace(own, anchors=own.anchors[:TEXTS_AT_TEN])


async def _registrations(registry: _Registry, router: AgentRouter, requests: Sequence[Request]) -> list[float]:
    times: list[float] = []
    for n in range(REGISTRATIONS):
        registry.add(_newcomer(n))
        times.append(await _timed_ms(partial(router.route, requests[n % len(requests)])))
    return times


def _newcomer(n: int) -> AgentCapability:
    return AgentCapability(
        name=f"newcomer-{n}",
        description=f"Plans the maintenance of cabinet {n}. Knows its drawings and its spare parts.",
        keywords=("maintenance", f"cabinet {n}", "spare part"),
        examples=(f"When is cabinet {n} due?", f"Order a hinge for cabinet {n}", f"Who painted cabinet {n}?"),
        avg_latency_ms=SLOW_AGENT_MS,
    )


def _request(question: str, settings: Settings) -> Request:
    caller = Principal(user_id="bench")
    return build_request(question, caller, Options(), settings, request_id="bench", now_s=time.monotonic())


async def _timed_ms(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e3


async def _watch(stalls: list[float]) -> None:
    """How late a timer is, in milliseconds, over and over until cancelled."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(STALL_TICK_S)
        stalls.append((time.perf_counter() - began - STALL_TICK_S) * 1e3)


async def _throughput(calls: Sequence[Callable[[], Awaitable[object]]], callers: int) -> float:
    """Calls per second when ``callers`` take turns at ``calls``."""
    waiting = iter(calls)

    async def caller() -> None:
        for call in waiting:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return len(calls) / (time.perf_counter() - began)
