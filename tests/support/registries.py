"""Registries whose time moves only when a test says so, and replicas on them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from redis.asyncio import Redis

from agents.contract import Agent
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.routing import RegistrySettings
from engine.registry.contract import Registry
from engine.registry.inmemory import InMemoryRegistry
from engine.registry.redis_registry import PREFIX, RedisRegistry
from engine.registry.sync import RegistrySync
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock

# Long enough that the milliseconds a real Redis takes change nothing.
SETTINGS = RegistrySettings(entries_max=4, handler_s=1_000, keep_s=100_000, poll_s=60.0, retry_s=60.0)
AGE = """
for _, member in ipairs(redis.call('ZRANGE', KEYS[1] .. 'homes', 0, -1)) do
  redis.call('ZINCRBY', KEYS[1] .. 'homes', -tonumber(ARGV[1]), member)
end
"""


@dataclass
class RegistryLab:
    """One shared registry under test, as two replicas reach it."""

    one: Registry
    two: Registry
    advance: Callable[[float], Awaitable[None]]
    """Let so many seconds pass."""
    lose: Callable[[], Awaitable[None]]
    """The store forgets everything."""


def in_memory(settings: RegistrySettings = SETTINGS) -> RegistryLab:
    """The twin."""
    clock = FakeClock()
    store = InMemoryRegistry(settings, now_s=clock)

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    async def lose() -> None:
        store.lose()

    return RegistryLab(store, store, advance, lose)


async def in_redis(client: Redis, settings: RegistrySettings = SETTINGS) -> RegistryLab:
    """The real one, emptied."""
    age = client.register_script(AGE)

    async def advance(seconds: float) -> None:
        await age(keys=[PREFIX], args=[round(seconds * 1000)])

    async def lose() -> None:
        if keys := await keys_of(client, f"{PREFIX}*"):
            await client.unlink(*keys)

    await lose()
    return RegistryLab(RedisRegistry(client, settings), RedisRegistry(client, settings), advance, lose)


async def keys_of(client: Redis, pattern: str) -> list[bytes]:
    """Keys that match."""
    found = cast("AsyncIterator[bytes]", client.scan_iter(match=pattern, count=1000))
    return [key async for key in found]


class _TellingRoster(Roster):
    """Says when it changes."""

    changed: asyncio.Event | None = None

    def register(self, agent: Agent, *, replace: bool = False) -> None:
        super().register(agent, replace=replace)
        if self.changed is not None:
            self.changed.set()


class Replica:
    """A roster and its registry, which can be out of reach."""

    def __init__(
        self,
        registry: Registry,
        *configured: AgentCapability,
        settings: RegistrySettings = SETTINGS,
    ) -> None:
        self.registry = registry
        self.gone = False
        self.opened = 0
        self.roster = _TellingRoster(PromptedAgent(capability) for capability in configured)
        self.sync = RegistrySync(self.roster, self._open, settings, configured)

    @property
    def names(self) -> list[str]:
        """Agents that this replica can route to."""
        return sorted(self.roster.agents)

    def add(self, capability: AgentCapability, *, replace: bool = False) -> None:
        """What ``Engine.register_agent`` does without a handler."""
        self.roster.register(PromptedAgent(capability), replace=replace)
        self.sync.registered(capability, own_handler=False, replace=replace)

    async def until(self, name: str) -> None:
        """Wait until this replica can route to ``name``."""
        changed = self.roster.changed = asyncio.Event()
        async with asyncio.timeout(5):
            while name not in self.roster.agents:
                await changed.wait()
                changed.clear()

    def remove(self, name: str) -> None:
        """What ``Engine.unregister_agent`` does."""
        self.roster.unregister(name)
        self.sync.unregistered(name)

    async def _open(self) -> Registry:
        self.opened += 1
        if self.gone:
            raise BackendUnavailable("redis.state", "it is not there")
        return self.registry


def agent(name: str, description: str = "Knows things.", **fields: object) -> AgentCapability:
    """A declarative agent."""
    return AgentCapability.model_validate(
        {"name": name, "description": description, "instructions": "Be brief."} | fields
    )
