"""How the router of one engine is put together, when somebody first needs it. No rule of routing is here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from agents.roster import Roster
from configs.settings import Settings
from engine.agent_source import agent_source
from engine.contract import Router
from engine.cost.prices import PriceBook
from engine.fleet import Fleet
from engine.routing.artifact import Artifact
from engine.routing.chains import Chains
from engine.routing.complexity import ComplexityHead, load_complexity
from engine.routing.facts import facts_for_ordering
from engine.routing.limits import LimitBook
from engine.routing.models import Facts
from engine.routing.ordering import ModelOrders
from engine.routing.router import AgentRouter, RouterParts
from engine.routing.spending import NoBudget
from engine.routing.thread import EncoderThread
from engine.types import Strategy

BUILT: frozenset[Strategy] = frozenset({"single"})
"""Strategies that have a subgraph in ``engine/strategies``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterNeeds:
    """The live parts of an engine that its router asks."""

    roster: Roster
    encoder: EncoderThread
    fleet: Fleet
    limits: LimitBook
    prices: PriceBook
    unusable: Mapping[str, str]
    head: Callable[[], Artifact | None]
    """Loads the trained head, once."""


async def make_router(settings: Settings, needs: RouterNeeds) -> Router:
    """A router that is warm and knows the agents of the other replicas.

    Raises ``ArtifactRefused``, ``ModelFileError``.
    """
    (facts, artifact, complexity), _ = await asyncio.gather(
        asyncio.to_thread(_read, settings, needs), needs.fleet.registry.open()
    )
    orders = ModelOrders(settings, facts, needs.limits, clock=time.monotonic, sample=random.random)
    parts = RouterParts(
        encoder=needs.encoder,
        agents=agent_source(needs.roster),
        health=needs.fleet.learned.health,
        learned=needs.fleet.learned,
        chains=Chains(settings, facts, orders, needs.fleet.splits.place),
        spending=NoBudget(),
        sample=random.random,
        available=BUILT,
        artifact=artifact,
        complexity=complexity,
    )
    router = AgentRouter(settings, parts)
    await router.warm()
    return router


def _read(settings: Settings, needs: RouterNeeds) -> tuple[Facts, Artifact | None, ComplexityHead | None]:
    """What stands in files and price lists. Blocks."""
    prices_of = partial(needs.prices.per_million, now=datetime.now(UTC))
    facts = facts_for_ordering(settings, prices_of, needs.prices.context_window, needs.unusable)
    return facts, needs.head(), load_complexity()
