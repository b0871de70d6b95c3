"""A router over a registry, without an engine around it: nothing learned, no experiment, no budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from configs.kernel import Money
from configs.settings import Settings
from engine.routing.chains import Chains
from engine.routing.contract import AgentSource, TextEncoder
from engine.routing.facts import facts_for_ordering
from engine.routing.limits import LimitBook
from engine.routing.ordering import ModelOrders
from engine.routing.router import AgentRouter, RouterParts
from engine.routing.spending import NoBudget
from engine.types import Averages


class NothingLearned:
    """``engine.routing.router.Learned`` of a process in which nobody has answered yet."""

    def models(self, ids: Sequence[str]) -> Mapping[str, Averages]:
        return {}

    def in_context(self, agents: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        return {}


async def unknown(names: Sequence[str]) -> Mapping[str, Averages]:
    """``AgentHealth`` of agents nobody has asked."""
    return {}


def router_of(
    settings: Settings,
    agents: AgentSource,
    encoder: TextEncoder,
    unusable: Mapping[str, str] | None = None,
    **parts: object,
) -> AgentRouter:
    """A router; ``parts`` replaces fields of ``RouterParts``."""

    def free(model: str) -> tuple[Money, Money]:
        return Money(), Money()

    def window(model: str) -> int | None:
        return settings.models[model].context_window

    facts = facts_for_ordering(settings, free, window, unusable or {})
    orders = ModelOrders(
        settings, facts, LimitBook(settings.routing.limits_s), clock=lambda: 0.0, sample=lambda: 0.0
    )
    made = RouterParts(
        encoder=encoder,
        agents=agents,
        health=unknown,
        learned=NothingLearned(),
        chains=Chains(settings, facts, orders, lambda request, agent, models: None),
        spending=NoBudget(),
        sample=lambda: 0.0,
        available=frozenset({"single"}),
    )
    return AgentRouter(settings, replace(made, **parts))
