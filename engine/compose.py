"""The composition root: which concrete parts an engine is made of, and in which order they start and stop.

The only module that names adapters. Everything slow is made on first use (``Once``): opening an engine starts the
cache and nothing else, so that an exact hit never waits for MiniLM, LangGraph or a model.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from agents.endpoint import Endpoint
from agents.handler import AnyHandler, HandlerAgent
from agents.model import preload as import_openai_client
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.settings import AgentCapability, Settings
from engine.cache.exact import RedisExactCache
from engine.contract import AnswerCache, Ledger, Router
from engine.cost.ledger import DenyingLedger
from engine.cost.prices import PriceBook
from engine.gateway.gateway import Gateway
from engine.legs import Legs
from engine.models import Models
from engine.once import Once
from engine.policy import Policy
from engine.redis_client import connect
from engine.resilience.local import LocalBreakerStore
from engine.resilience.shield import Shield
from engine.resilience.shielded import ShieldedCache, StoreGuard, agent_subject
from engine.routing.contract import AgentSnapshot, AgentSource, Registered
from engine.routing.encoder import load_encoder
from engine.routing.router import ZeroShotRouter
from engine.routing.thread import EncoderThread
from engine.run import Drive, Run
from engine.telemetry.tracing import open_tracer
from engine.types import Answer
from memory.embedded.attach import Attachment, attach
from memory.embedded.local_model import local_model
from memory.embedded.redis_server import redis_cache
from memory.errors import BackendUnavailable

OnStep = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A started engine, for ``engine.app`` to put a face on."""

    settings: Settings
    roster: Roster
    run: Run
    breakers: LocalBreakerStore
    cache_client: Redis | None
    degraded: Mapping[str, str]
    _router: Once[Router]
    _pipeline: Once[Drive]
    _model_host: Once[Attachment]

    async def router(self) -> Router:
        """The router, loading MiniLM if this is the first question."""
        return await self._router.get()

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

    async def preload(self, on_step: OnStep | None) -> None:
        """Make everything that is made on first use, side by side."""
        say = on_step if on_step is not None else _silent
        say("loading MiniLM, LangGraph and the local model")
        jobs: list[Once[Router] | Once[Drive] | Once[Attachment]] = [self._router, self._pipeline]
        if any(self.settings.providers[m.provider].embedded for m in self.settings.models.values()):
            jobs.append(self._model_host)
        await asyncio.gather(*(job.get() for job in jobs))
        say("ready")


def _silent(step: str) -> None:
    del step


@asynccontextmanager
async def open_parts(settings: Settings, environ: Mapping[str, str]) -> AsyncGenerator[Parts]:
    """Start the parts of one engine; stop them in reverse order, whatever happens in between."""
    async with AsyncExitStack() as stack:
        roster = Roster(PromptedAgent(capability) for capability in settings.agents)
        breakers = LocalBreakerStore(settings.breaker, clock=time.monotonic, sample=random.random)
        degraded: dict[str, str] = {}
        client = await _open_cache(settings, stack, degraded)
        gateway = Gateway(_guarded(client, settings, breakers), Policy(roster, settings).key_of)
        stack.push_async_callback(gateway.drain)

        shield = Shield(breakers, settings, clock=time.monotonic, sample=random.random)
        model_host = _model_host(settings, stack)
        models = Models(settings, environ, lambda: _embedded_endpoint(model_host))
        stack.push_async_callback(models.aclose)
        stack.push_async_callback(shield.aclose)
        legs = Legs(roster, models, shield, PriceBook(settings), settings)
        router = _router(settings, roster, breakers, stack)
        ledger = DenyingLedger()
        pipeline = _pipeline(router, legs, ledger)
        for once in (router, pipeline):
            stack.push_async_callback(once.settle)
        yield Parts(
            settings=settings,
            roster=roster,
            run=Run(
                gateway=gateway,
                pipeline=pipeline.get,
                tracer=open_tracer(),
                may_keep=partial(_may_keep, roster),
                ledger=ledger,
            ),
            breakers=breakers,
            cache_client=client,
            degraded=degraded,
            _router=router,
            _pipeline=pipeline,
            _model_host=model_host,
        )


async def _open_cache(settings: Settings, stack: AsyncExitStack, degraded: dict[str, str]) -> Redis | None:
    """The cache's client, or ``None`` with the reason in ``degraded``."""
    if not settings.cache.enabled:
        return None
    redis = settings.redis
    if redis.cache_url is not None:
        client = connect(redis.cache_url.get_secret_value(), None, redis)
    else:
        try:
            spec = redis_cache(redis.cache_max_mb)
            attachment = await attach(spec, settings.data_dir, settings.embedded)
        except BackendUnavailable as exc:
            degraded["cache"] = str(exc)
            return None
        stack.push_async_callback(attachment.leave)
        client = connect(attachment.address, attachment.secret, redis)
    stack.push_async_callback(client.aclose)
    return client


def _guarded(client: Redis | None, settings: Settings, breakers: LocalBreakerStore) -> AnswerCache | None:
    if client is None:
        return None
    return ShieldedCache(
        RedisExactCache(client, entry_bytes_max=settings.cache.entry_bytes_max),
        StoreGuard(breakers),
        subject="store:redis.cache",
        timeout_s=settings.redis.timeout_s,
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


def _model_host(settings: Settings, stack: AsyncExitStack) -> Once[Attachment]:
    async def start() -> Attachment:
        return await attach(local_model(settings.embedded), settings.data_dir, settings.embedded)

    async def stop() -> None:
        await host.settle()
        attachment = host.peek()
        if attachment is not None:
            await attachment.leave()

    host = Once(start)
    stack.push_async_callback(stop)
    return host


async def _embedded_endpoint(host: Once[Attachment]) -> Endpoint:
    attachment = await host.get()
    return Endpoint(base_url=attachment.address, api_key=attachment.secret)


def _router(
    settings: Settings, roster: Roster, breakers: LocalBreakerStore, stack: AsyncExitStack
) -> Once[Router]:
    encoder = EncoderThread(partial(load_encoder, settings.encoder))
    stack.push_async_callback(encoder.aclose)

    async def health(names: Sequence[str]) -> dict[str, float]:
        subjects = {agent_subject(name): name for name in names}
        views = await breakers.view(tuple(subjects))
        return {subjects[subject]: view.ema_success for subject, view in views.items()}

    async def make() -> Router:
        router = ZeroShotRouter(settings, encoder, _agent_source(roster), health)
        await router.warm()
        return router

    return Once(make)


def _agent_source(roster: Roster) -> AgentSource:
    """The roster as the router reads it, made once per generation: routing asks for it at every request."""
    last = AgentSnapshot(generation=-1, agents={})

    def source() -> AgentSnapshot:
        nonlocal last
        view = roster.view
        if view.generation != last.generation:
            agents = {
                name: Registered(capability=agent.capability, own_handler=isinstance(agent, HandlerAgent))
                for name, agent in view.agents.items()
            }
            last = AgentSnapshot(generation=view.generation, agents=agents)
        return last

    return source


def _pipeline(router: Once[Router], legs: Legs, ledger: Ledger) -> Once[Drive]:
    async def build() -> Drive:
        ready, drive_of, _ = await asyncio.gather(
            router.get(), asyncio.to_thread(_import_graph), asyncio.to_thread(import_openai_client)
        )
        return drive_of(ready, legs, ledger)

    return Once(build)


def _import_graph() -> Callable[[Router, Legs, Ledger], Drive]:
    # Late and in a thread: LangGraph takes 2 s to import, an exact hit never needs it, and the loop keeps
    # answering others meanwhile.
    from engine.pipeline import build_graph, drive  # noqa: PLC0415 - as above

    return lambda router, legs, ledger: partial(drive, build_graph(router, legs, ledger, legs.estimate))
