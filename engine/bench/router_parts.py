"""A router for ``bench router``: the shipped code and head over agents of its own, with nothing to learn from.

Not how an engine puts its router together (``engine/routers.py``): no roster, no stores, no experiments.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from configs.settings import Settings
from engine.cost.prices import PriceBook
from engine.routing.artifact import Artifact
from engine.routing.chains import Chains
from engine.routing.complexity import ComplexityHead, load_complexity
from engine.routing.contract import AgentSource, TextEncoder
from engine.routing.facts import facts_for_ordering
from engine.routing.limits import LimitBook
from engine.routing.models import Facts
from engine.routing.ordering import ModelOrders
from engine.routing.router import AgentRouter, RouterParts
from engine.routing.shipped import load_head
from engine.routing.spending import NoBudget
from engine.types import Averages, Request


async def warm_router(settings: Settings, encoder: TextEncoder, agents: AgentSource) -> AgentRouter:
    """A router that has the vectors of all its agents."""
    facts, artifact, complexity = await asyncio.to_thread(_read, settings)
    limits = LimitBook(settings.routing.limits_s)
    orders = ModelOrders(settings, facts, limits, clock=time.monotonic, sample=_middle)
    parts = RouterParts(
        encoder=encoder,
        agents=agents,
        health=_healthy,
        learned=_Untaught(),
        chains=Chains(settings, facts, orders, _no_experiment),
        spending=NoBudget(),
        sample=_middle,
        available=frozenset({"single"}),
        artifact=artifact,
        complexity=complexity,
    )
    router = AgentRouter(settings, parts)
    await router.warm()
    return router


def _read(settings: Settings) -> tuple[Facts, Artifact | None, ComplexityHead | None]:
    prices = PriceBook(settings)
    price_of = partial(prices.per_million, now=datetime.now(UTC))
    facts = facts_for_ordering(settings, price_of, prices.context_window, {})
    return facts, load_head(settings), load_complexity()


class _Untaught:
    """No outcomes yet."""

    def models(self, ids: Sequence[str]) -> Mapping[str, Averages]:
        del ids
        return {}

    def in_context(self, agents: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        del agents
        return {}


async def _healthy(names: Sequence[str]) -> Mapping[str, Averages]:
    return dict.fromkeys(names, Averages(success=1.0))


def _no_experiment(request: Request, agent: str, models: Collection[str | None]) -> None:
    del request, agent, models


def _middle() -> float:
    return 0.5
