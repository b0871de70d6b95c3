"""A started engine as ``engine.compose`` makes it, for ``engine.app`` to put a face on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.errors import AgentNotUsable
from agents.handler import AnyHandler, HandlerAgent
from agents.prompted import PromptedAgent
from agents.refs import routed_models
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.answer_cache import CACHE, STORES
from engine.breakers import Breakers
from engine.cache.tally_sync import TallySync
from engine.cache_desk import CacheDesk
from engine.contract import BreakerState, BreakerView, Router
from engine.desk import TicketDesk
from engine.embedded import Hold
from engine.fleet import Fleet
from engine.fresh import Drive
from engine.history.writer import SqlHistory
from engine.models import Models
from engine.once import Once
from engine.resilience.local import LocalBreakerStore
from engine.run import Run
from memory.errors import BackendUnavailable

OnStep = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything one engine consists of."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    roster: Roster
    run: Run
    breakers: Breakers
    stores: LocalBreakerStore
    desk: TicketDesk
    fleet: Fleet
    history: SqlHistory | None
    cache: CacheDesk
    tallies: TallySync
    cache_client: Redis | None
    degraded: Mapping[str, str]
    lazy_router: Once[Router]
    lazy_pipeline: Once[Drive]
    model_host: Hold
    models: Models

    async def router(self) -> Router:
        """The router, loading MiniLM if this is the first question."""
        return await self.lazy_router.get()

    def degraded_now(self) -> dict[str, str]:
        """What was missing at the start, the cache while its breaker is open, breakers that are not shared."""
        view = self.stores.of(CACHE).view()
        gone = {} if view.state is BreakerState.CLOSED else {"cache": view.reason}
        alone = {"breakers": self.breakers.degraded} if self.breakers.degraded else {}
        counted = {"cache.bound": self.tallies.degraded} if self.tallies.degraded else {}
        kept = {"history": self.history.degraded} if self.history is not None and self.history.degraded else {}
        return {**self.degraded, **gone, **alone, **self.fleet.degraded, **counted, **kept}

    async def breaker_views(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Breakers by key, wherever they live."""
        own = tuple(subject for subject in subjects if subject.startswith(STORES))
        shared = tuple(subject for subject in subjects if not subject.startswith(STORES))
        views = {**await self.stores.view(own), **(await self.breakers.view(shared) if shared else {})}
        return {subject: views[subject] for subject in subjects}

    async def cache_version(self) -> str:
        """Version of the Redis behind the cache. Raises ``BackendUnavailable``."""
        if self.cache_client is None:
            raise BackendUnavailable("redis.cache", self.degraded.get("cache", "switched off"))
        try:
            info = await self.cache_client.info("server")
        except (RedisError, OSError) as exc:
            raise BackendUnavailable("redis.cache", f"{type(exc).__name__}: it does not answer") from exc
        return str(info["redis_version"])

    def register(self, capability: AgentCapability, handler: AnyHandler | None, replace: bool) -> None:
        """Put an agent into the roster, from any thread. Raises ``AgentNotUsable``."""
        self._on_loop(partial(self._register, capability, handler, replace))

    async def look_for(self, agent: str) -> None:
        """Another replica may have registered it. Raises ``HandlerElsewhere`` if only another one can ask it."""
        if agent not in self.roster.agents:
            await self.fleet.registry.open()
            self.fleet.registry.refuse_elsewhere(agent)

    def unregister(self, name: str) -> bool:
        """Take an agent out of the roster, from any thread; whether there was one."""
        return self._on_loop(partial(self._unregister, name))

    def _on_loop(self, work: Callable[[], T]) -> T:
        """Sharing starts tasks, so it belongs on the engine's own loop."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            return work()

        async def there() -> T:
            return work()

        return asyncio.run_coroutine_threadsafe(there(), self.loop).result()

    def _register(self, capability: AgentCapability, handler: AnyHandler | None, replace: bool) -> None:
        agent = PromptedAgent(capability) if handler is None else HandlerAgent(capability, handler)
        before = self.roster.agents.get(capability.name)
        self.roster.register(agent, replace=replace)
        try:
            self.fleet.registry.registered(capability, own_handler=handler is not None, replace=replace)
        except AgentNotUsable:
            self.roster.unregister(capability.name)
            if before is not None:
                self.roster.register(before)
            raise

    def _unregister(self, name: str) -> bool:
        gone = self.roster.unregister(name)
        if gone:
            self.fleet.registry.unregistered(name)
        return gone

    async def preload(self, on_step: OnStep | None) -> None:
        """Make everything that is made on first use, side by side."""
        say = on_step if on_step is not None else _silent
        say("loading MiniLM, LangGraph and the local model")
        jobs: list[Once[Router] | Once[Drive] | Hold] = [self.lazy_router, self.lazy_pipeline]
        routed = routed_models(self.settings)
        if any(self.settings.providers[self.settings.models[m].provider].embedded for m in routed):
            jobs.append(self.model_host)
        await asyncio.gather(*(job.get() for job in jobs))
        await asyncio.gather(*(self.models.ready(model) for model in sorted(routed)))
        say("ready")


def _silent(step: str) -> None:
    del step
