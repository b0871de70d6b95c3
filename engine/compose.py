"""The composition root: which concrete parts an engine is made of, and in which order they start and stop.

The only module that names adapters. Everything slow is made on first use (``Once``): opening an engine starts the
cache and nothing else, so that an exact hit never waits for MiniLM, LangGraph or a model.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.handler import AnyHandler, HandlerAgent
from agents.model import preload as import_openai_client
from agents.prompted import PromptedAgent
from agents.refs import routed_models
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.keys import usable_models
from configs.settings import Settings
from engine.aftermath import Aftermath
from engine.answer_cache import CACHE, STORES, open_cache
from engine.breakers import Breakers
from engine.contract import (
    BreakerMoved,
    BreakerState,
    BreakerView,
    Estimate,
    Ledger,
    LegRunner,
    Router,
)
from engine.cost.ledger import DenyingLedger
from engine.cost.prices import PriceBook
from engine.desk import TicketDesk
from engine.embedded import Hold
from engine.fleet import Fleet, fleet_of
from engine.gateway.gateway import Gateway
from engine.history.writer import SqlHistory
from engine.legs import Legs
from engine.models import Models
from engine.once import Once
from engine.policy import Policy
from engine.race import Race
from engine.redis_state import StateRedis
from engine.resilience.local import LocalBreakerStore
from engine.resilience.routes import Routes
from engine.resilience.shield import Shield
from engine.resilience.shielded import store_breakers
from engine.routers import RouterNeeds, make_router
from engine.routing.encoder import load_encoder
from engine.routing.limits import LimitBook
from engine.routing.thread import EncoderThread
from engine.run import Drive, Run
from engine.subjects import pools
from engine.telemetry.tracing import open_tracer
from engine.types import Answer
from memory.embedded.attach import attach
from memory.embedded.local_model import local_model
from memory.errors import BackendUnavailable

OnStep = Callable[[str], None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _GraphParts:
    runner: LegRunner
    ledger: Ledger
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A started engine, for ``engine.app`` to put a face on."""

    settings: Settings
    roster: Roster
    run: Run
    breakers: Breakers
    stores: LocalBreakerStore
    desk: TicketDesk
    fleet: Fleet
    history: SqlHistory | None
    cache_client: Redis | None
    degraded: Mapping[str, str]
    _router: Once[Router]
    _pipeline: Once[Drive]
    _model_host: Hold
    _models: Models

    async def router(self) -> Router:
        """The router, loading MiniLM if this is the first question."""
        return await self._router.get()

    def degraded_now(self) -> dict[str, str]:
        """What was missing at the start, the cache while its breaker is open, breakers that are not shared."""
        view = self.stores.of(CACHE).view()
        gone = {} if view.state is BreakerState.CLOSED else {"cache": view.reason}
        alone = {"breakers": self.breakers.degraded} if self.breakers.degraded else {}
        return {**self.degraded, **gone, **alone, **self.fleet.degraded}

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
        """Put an agent into the roster. Raises ``AgentNotUsable``."""
        agent = PromptedAgent(capability) if handler is None else HandlerAgent(capability, handler)
        self.roster.register(agent, replace=replace)
        self.fleet.registry.registered(capability, own_handler=handler is not None, replace=replace)

    def unregister(self, name: str) -> bool:
        """Take an agent out of the roster; whether there was one."""
        gone = self.roster.unregister(name)
        if gone:
            self.fleet.registry.unregistered(name)
        return gone

    async def preload(self, on_step: OnStep | None) -> None:
        """Make everything that is made on first use, side by side."""
        say = on_step if on_step is not None else _silent
        say("loading MiniLM, LangGraph and the local model")
        jobs: list[Once[Router] | Once[Drive] | Hold] = [self._router, self._pipeline]
        routed = routed_models(self.settings)
        if any(self.settings.providers[self.settings.models[m].provider].embedded for m in routed):
            jobs.append(self._model_host)
        await asyncio.gather(*(job.get() for job in jobs))
        await asyncio.gather(*(self._models.ready(model) for model in sorted(routed)))
        say("ready")


def _silent(step: str) -> None:
    del step


@asynccontextmanager
async def open_parts(settings: Settings, environ: Mapping[str, str]) -> AsyncGenerator[Parts]:
    """Start the parts of one engine; stop them in reverse order, whatever happens in between."""
    async with AsyncExitStack() as stack:
        roster = Roster(PromptedAgent(capability) for capability in settings.agents)
        routes = Routes(settings, pools(settings))
        stores = store_breakers(
            settings.breaker, clock=time.monotonic, sample=random.random, listeners=(_log_move,)
        )
        degraded: dict[str, str] = {}
        client, cache = await open_cache(settings, stores, stack, degraded)
        unusable = {model: reason for model, reason in usable_models(settings, environ).items() if reason}
        key_of = Policy(roster, settings, unusable).key_of
        gateway = Gateway(cache, key_of, missing=tuple(degraded))
        stack.push_async_callback(gateway.drain)

        state = StateRedis(settings)
        stack.push_async_callback(state.aclose)
        breakers = Breakers(settings, state, stores, (routes.moved, _log_move))
        stack.push_async_callback(breakers.aclose)
        fleet = fleet_of(settings, state, roster)
        stack.push_async_callback(fleet.aclose)
        history = SqlHistory(settings.history, settings.data_dir, environ) if settings.history.enabled else None
        if history is not None:
            stack.push_async_callback(history.aclose)
        shield = Shield(breakers, settings, clock=time.monotonic, sample=random.random, routes=routes)
        model_host = _model_host(settings, stack)
        limits = LimitBook(settings.routing.limits_s)
        models = Models(
            settings, environ, model_host, lambda model, said: limits.heard(model, said, time.monotonic())
        )
        stack.push_async_callback(models.aclose)
        stack.push_async_callback(shield.aclose)
        prices = PriceBook(settings)
        legs = Legs(roster, models, shield, prices, settings)
        reader = EncoderThread(partial(load_encoder, settings.encoder), settings.encoder)
        stack.push_async_callback(reader.aclose)
        router = Once(
            partial(
                make_router,
                settings,
                RouterNeeds(
                    roster=roster, encoder=reader, fleet=fleet, limits=limits, prices=prices, unusable=unusable
                ),
            )
        )
        ledger = DenyingLedger()
        race = Race(legs, settings, routes, clock=time.monotonic)
        pipeline = _pipeline(router, breakers, _GraphParts(race, ledger, legs.estimate))
        for once in (router, pipeline):
            stack.push_async_callback(once.settle)
        aftermath = Aftermath(fleet=fleet, history=history, reading=reader.peek, key_of=key_of)
        run = Run(
            gateway=gateway,
            pipeline=pipeline.get,
            tracer=open_tracer(),
            may_keep=partial(_may_keep, roster),
            ledger=ledger,
            depth_max=settings.chain.depth_max,
            observers=(aftermath.observe,),
        )
        desk = TicketDesk(settings, state, lambda r: run.answer(r, None), environ)
        stack.push_async_callback(desk.aclose)
        yield Parts(
            settings=settings,
            roster=roster,
            run=run,
            desk=desk,
            fleet=fleet,
            history=history,
            breakers=breakers,
            stores=stores,
            cache_client=client,
            degraded=degraded,
            _router=router,
            _pipeline=pipeline,
            _model_host=model_host,
            _models=models,
        )


def _may_keep(roster: Roster, answer: Answer) -> bool:
    """Whether an answer may be served again: whole, by the agent that was meant, and free of side effects."""
    if answer.degraded:
        return False
    agent = roster.agents.get(answer.decision.agent)
    if agent is None:
        return False
    declared = agent.capability.cacheable
    # What a handler of the caller's own does besides answering is unknown, so it has to say that it may be cached.
    return isinstance(agent, PromptedAgent) if declared is None else declared


def _model_host(settings: Settings, stack: AsyncExitStack) -> Hold:
    hold = Hold(partial(attach, local_model(settings.embedded), settings.data_dir, settings.embedded))
    stack.push_async_callback(hold.leave)
    return hold


def _pipeline(router: Once[Router], breakers: Breakers, parts: _GraphParts) -> Once[Drive]:
    async def build() -> Drive:
        ready, drive_of, *_ = await asyncio.gather(
            router.get(),
            asyncio.to_thread(_import_graph),
            asyncio.to_thread(import_openai_client),
            breakers.open(),
        )
        return drive_of(ready, parts)

    return Once(build)


def _import_graph() -> Callable[[Router, _GraphParts], Drive]:
    # Late and in a thread: LangGraph takes 2 s to import, an exact hit never needs it, and the loop keeps
    # answering others meanwhile.
    from engine.pipeline import build_graph, drive  # noqa: PLC0415 - as above

    return lambda router, parts: partial(drive, build_graph(router, parts.runner, parts.ledger, parts.estimate))


def _log_move(event: BreakerMoved) -> None:
    log.info("breaker %s: %s -> %s: %s", event.subject, event.before, event.after, event.reason)
