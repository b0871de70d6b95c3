"""Shared breaker stores for tests: on a real Redis, with a clock that a key of that Redis holds."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

from configs.settings import BreakerSettings, RedisSettings
from engine.contract import BreakerMoved
from engine.redis_client import connect
from engine.resilience.local import LocalBreakerStore
from engine.resilience.script import SERVER_CLOCK, BreakerScript
from engine.resilience.shared import SharedBreakerStore
from engine.resilience.shielded import StoreGuard, store_breakers
from tests.support.clock import FakeClock

PATIENT = RedisSettings(timeout_s=20.0)
"""A busy machine is no dead Redis."""


def clock_of_key(key: str) -> str:
    """Lua that reads the time from a key."""
    return f"local function clock() return tonumber(redis.call('GET', '{key}')) end"


@dataclass(slots=True)
class Replica:
    """One process of a fleet: its client, its own guard, what its listeners have heard."""

    client: Redis
    store: SharedBreakerStore
    guards: LocalBreakerStore
    events: list[BreakerMoved]

    async def aclose(self) -> None:
        """As the engine closes it."""
        await self.store.aclose()
        await self.client.aclose()


def replica(
    url: str,
    rules: BreakerSettings,
    clock: Callable[[], float],
    *,
    lua_clock: str = SERVER_CLOCK,
    redis: RedisSettings | None = None,
) -> Replica:
    """A replica that draws 0.5 wherever it draws."""
    settings = PATIENT if redis is None else redis
    client = connect(url, None, settings)
    guards = store_breakers(rules, clock=clock, sample=lambda: 0.5)
    events: list[BreakerMoved] = []
    script = BreakerScript(client, rules, settings, StoreGuard(guards), clock=lua_clock)
    store = SharedBreakerStore(script, rules, clock=clock, sample=lambda: 0.5, listeners=(events.append,))
    return Replica(client, store, guards, events)


@dataclass(slots=True)
class Fleet:
    """Replicas on one Redis and one clock, which is also the server's. Subjects are told apart by ``tag``."""

    url: str
    rules: BreakerSettings
    clock: FakeClock = field(default_factory=FakeClock)
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    replicas: list[Replica] = field(default_factory=list[Replica])
    server: Redis = field(init=False)
    """A client of nobody's, for the clock."""

    def __post_init__(self) -> None:
        self.server = connect(self.url, None, PATIENT)

    def join(self, redis: RedisSettings | None = None) -> Replica:
        """One more replica."""
        made = replica(self.url, self.rules, self.clock, lua_clock=clock_of_key(self.clock_key), redis=redis)
        self.replicas.append(made)
        return made

    @property
    def clock_key(self) -> str:
        """Where the server's time is kept."""
        return f"clock:{self.tag}"

    async def pass_time(self, seconds: float) -> None:
        """Let server and replicas get older."""
        self.clock.advance(seconds)
        await self.show_time()

    async def show_time(self) -> None:
        """Write the server's time."""
        await self.server.set(self.clock_key, repr(self.clock()))


@asynccontextmanager
async def fleet_of(url: str, rules: BreakerSettings, count: int) -> AsyncIterator[Fleet]:
    """A fleet of ``count`` replicas on a Redis that has forgotten all others."""
    fleet = Fleet(url, rules)
    await fleet.show_time()
    for _ in range(count):
        fleet.join()
    try:
        yield fleet
    finally:
        for member in fleet.replicas:
            await member.aclose()
        await fleet.server.aclose()
