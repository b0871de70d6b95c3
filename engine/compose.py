"""The composition root: which concrete parts an engine is made of, and in which order they start and stop.

The only module that names adapters. Everything slow is made on first use (``Once``): opening an engine starts the
cache and nothing else, so that an exact hit never waits for MiniLM, LangGraph or a model.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from agents.model import preload as import_openai_client
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.keys import usable_models
from configs.settings import Settings
from engine.aftermath import Aftermath
from engine.answer_cache import open_cache
from engine.breakers import Breakers
from engine.cache.paraphrase import Ask
from engine.contract import (
    BreakerMoved,
    Estimate,
    Ledger,
    LegRunner,
    Router,
)
from engine.cost.ledger import DenyingLedger
from engine.cost.prices import PriceBook
from engine.desk import TicketDesk
from engine.embedded import Hold
from engine.errors import ArtifactRefused
from engine.fleet import Fleet, fleet_of
from engine.fresh import Drive
from engine.grey import GreyZone
from engine.history.observe import observer_of
from engine.history.writer import SqlHistory
from engine.legs import Legs
from engine.models import Models
from engine.once import Once
from engine.parts import Parts
from engine.policy import Policy
from engine.race import Race
from engine.redis_state import StateRedis
from engine.request_path import PathNeeds, make_path
from engine.resilience.local import LocalBreakerStore
from engine.resilience.routes import Routes
from engine.resilience.shield import Shield
from engine.resilience.shielded import store_breakers
from engine.routers import RouterNeeds, make_router
from engine.routing.artifact import CARD, Artifact
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.limits import LimitBook
from engine.routing.shipped import load_head
from engine.routing.thread import EncoderThread
from engine.subjects import pools
from memory.embedded.attach import attach
from memory.embedded.local_model import local_model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _GraphParts:
    runner: LegRunner
    ledger: Ledger
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What this engine has in common with other replicas, and what it keeps."""

    state: StateRedis
    breakers: Breakers
    fleet: Fleet
    history: SqlHistory | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Called:
    """Everything behind a leg."""

    models: Models
    host: Hold
    legs: Legs
    race: Race
    prices: PriceBook
    limits: LimitBook
    grey: Ask | None


@asynccontextmanager
async def open_parts(settings: Settings, environ: Mapping[str, str]) -> AsyncGenerator[Parts]:
    """Start the parts of one engine; stop them in reverse order, whatever happens in between."""
    async with AsyncExitStack() as stack:
        roster = Roster(PromptedAgent(capability) for capability in settings.agents)
        routes = Routes(settings, pools(settings))
        stores = _stores(settings)
        degraded: dict[str, str] = {}
        opened = await open_cache(settings, stores, stack, degraded)
        unusable = {model: reason for model, reason in usable_models(settings, environ).items() if reason}
        policy = Policy(roster, settings, unusable, await asyncio.to_thread(_stamp, settings))
        shared = _share(settings, environ, (roster, stores, routes), stack)
        called = _call(settings, environ, shared.breakers, (roster, routes), stack)
        head, reader = _reader(settings, degraded, stack)
        needs = RouterNeeds(
            roster=roster,
            encoder=reader,
            fleet=shared.fleet,
            limits=called.limits,
            prices=called.prices,
            unusable=unusable,
            head=head,
        )
        router = Once(partial(make_router, settings, needs))
        graph = _GraphParts(called.race, DenyingLedger(), called.legs.estimate)
        pipeline = _pipeline(router, shared.breakers, graph)
        stack.push_async_callback(router.settle)
        stack.push_async_callback(pipeline.settle)
        path = PathNeeds(
            roster=roster,
            policy=policy,
            reader=reader,
            state=shared.state,
            grey=called.grey,
            pipeline=pipeline.get,
            ledger=graph.ledger,
            observer=_aftermath(settings, shared, policy, reader).observe,
            degraded=degraded,
        )
        run, cache = make_path(settings, opened, path, stack)
        desk = TicketDesk(settings, shared.state, lambda r: run.answer(r, None), environ)
        stack.push_async_callback(desk.aclose)
        yield Parts(
            settings=settings,
            loop=asyncio.get_running_loop(),
            roster=roster,
            run=run,
            desk=desk,
            fleet=shared.fleet,
            history=shared.history,
            breakers=shared.breakers,
            stores=stores,
            cache=cache.desk,
            tallies=cache.tallies,
            cache_client=None if opened is None else opened.client,
            degraded=degraded,
            lazy_router=router,
            lazy_pipeline=pipeline,
            model_host=called.host,
            models=called.models,
        )


def _stores(settings: Settings) -> LocalBreakerStore:
    return store_breakers(settings.breaker, clock=time.monotonic, sample=random.random, listeners=(_log_move,))


def _share(
    settings: Settings,
    environ: Mapping[str, str],
    parts: tuple[Roster, LocalBreakerStore, Routes],
    stack: AsyncExitStack,
) -> _Shared:
    roster, stores, routes = parts
    state = StateRedis(settings)
    stack.push_async_callback(state.aclose)
    breakers = Breakers(settings, state, stores, (routes.moved, _log_move))
    stack.push_async_callback(breakers.aclose)
    fleet = fleet_of(settings, state, roster)
    stack.push_async_callback(fleet.aclose)
    history = SqlHistory(settings.history, settings.data_dir, environ) if settings.history.enabled else None
    if history is not None:
        stack.push_async_callback(history.aclose)
    return _Shared(state=state, breakers=breakers, fleet=fleet, history=history)


def _call(
    settings: Settings,
    environ: Mapping[str, str],
    breakers: Breakers,
    parts: tuple[Roster, Routes],
    stack: AsyncExitStack,
) -> _Called:
    roster, routes = parts
    host = Hold(partial(attach, local_model(settings.embedded), settings.data_dir, settings.embedded))
    stack.push_async_callback(host.leave)
    limits = LimitBook(settings.routing.limits_s)
    models = Models(settings, environ, host, lambda model, said: limits.heard(model, said, time.monotonic()))
    stack.push_async_callback(models.aclose)
    shield = Shield(breakers, settings, clock=time.monotonic, sample=random.random, routes=routes)
    stack.push_async_callback(shield.aclose)
    prices = PriceBook(settings)
    legs = Legs(roster, models, shield, prices, settings)
    race = Race(legs, settings, routes, clock=time.monotonic)
    role = settings.cache.semantic.grey_role
    grey = None if role is None else GreyZone(role, models, shield, prices, settings).ask
    return _Called(models=models, host=host, legs=legs, race=race, prices=prices, limits=limits, grey=grey)


def _reader(
    settings: Settings, degraded: dict[str, str], stack: AsyncExitStack
) -> tuple[Callable[[], Artifact | None], EncoderThread]:
    """The trained head, loaded once, and the encoder that goes with it."""
    head = functools.cache(partial(_load_head, settings, degraded))
    reader = EncoderThread(partial(_load_encoder, settings, head), settings.encoder)
    stack.push_async_callback(reader.aclose)
    return head, reader


def _aftermath(settings: Settings, shared: _Shared, policy: Policy, reader: EncoderThread) -> Aftermath:
    keep = None
    if shared.history is not None:
        keep = observer_of(shared.history, now_s=time.time, fingerprint=policy.key_of, vector=reader.peek)
    return Aftermath(shared.fleet, keep, settings.learn.explore == "linucb")


def _stamp(settings: Settings) -> str:
    """What tells one trained head of the user's from the next in the same folder."""
    own = settings.routing.artifact
    if own is None:
        return ""
    try:
        return hashlib.sha256((own / CARD).read_bytes()).hexdigest()
    except OSError:
        return "missing"


def _load_head(settings: Settings, degraded: dict[str, str]) -> Artifact | None:
    """The user's own head, else the shipped one: a bad artifact costs its skill, not the service."""
    try:
        return load_head(settings)
    except ArtifactRefused as refused:
        log.warning("the trained router is not used: %s", refused)
        degraded["router"] = f"the shipped head routes: {refused.message}"
    shipped = settings.routing.model_copy(update={"artifact": None})
    return load_head(settings.model_copy(update={"routing": shipped}))


def _load_encoder(settings: Settings, head: Callable[[], Artifact | None]) -> MiniLm:
    """The encoder of the settings, or the fine-tuned one that belongs to the trained head."""
    artifact = head()
    own = None if artifact is None else artifact.encoder
    return load_encoder(settings.encoder if own is None else own)


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
