"""Which agents cannot answer a request, and why: tier, data class, region, context length, tools (route.score).

Pure. Not how well an agent fits (``engine/routing/select.py``). What is asked of models comes as ``ModelFacts``,
made once per generation of the registry; agents that reach the same share one verdict per request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from configs.catalogue import ModelSettings, ProviderSettings
from configs.kernel import Tier
from engine.errors import NoAgentFits
from engine.routing.contract import Registered
from engine.types import PERSONAL, DataClass


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """What one request demands of whoever answers it."""

    tier: Tier
    data_class: DataClass = "internal"
    local_only: bool = False
    """No data may leave this machine or network, whatever its class."""
    region: str | None = None
    tokens: int = 0
    """Of the question, and of the answer if there must be room for it."""

    @property
    def stays_here(self) -> bool:
        """Whether only local models and handlers may be asked (admit.data)."""
        return self.local_only or self.data_class in PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What one model can be used for."""

    local: bool
    region: str | None
    context: int | None
    """Tokens; ``None``: nobody said, so it is not refused for its length."""
    tools: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What one agent can be used for, by itself or through the models of its chain."""

    own_handler: bool
    tiers: tuple[Tier, ...]
    needs_tools: bool
    local: bool
    regions: tuple[str, ...]
    context_max: int | None
    models: tuple[ModelFacts, ...]
    """Of its chain; empty for its own handler."""


@dataclass(frozen=True, slots=True)
class Reaches:
    """All agents of one generation, those with the same reach together."""

    groups: tuple[tuple[Reach, tuple[str, ...]], ...]


def model_facts(model: ModelSettings, provider: ProviderSettings, context: int | None) -> ModelFacts:
    """Facts of a configured model. ``context``: its window, from the configuration or the price data."""
    local = provider.local or provider.embedded
    return ModelFacts(local=local, region=provider.region, context=context, tools=model.tools)


def reach_of(registered: Registered, chain: Iterable[str], facts: Mapping[str, ModelFacts]) -> Reach:
    """What an agent can be used for when the models of ``chain``, instances included, answer for it."""
    capability = registered.capability
    models = () if registered.own_handler else tuple(facts[model] for model in chain if model in facts)
    return Reach(
        own_handler=registered.own_handler,
        tiers=capability.tiers,
        needs_tools=capability.needs_tools,
        local=capability.local,
        regions=capability.regions,
        context_max=capability.context_max,
        models=tuple(dict.fromkeys(models)),
    )


def grouped(reaches: Mapping[str, Reach]) -> Reaches:
    """Agents by reach, for ``barred``."""
    groups: dict[Reach, list[str]] = {}
    for name, reach in reaches.items():
        groups.setdefault(reach, []).append(name)
    return Reaches(tuple((reach, tuple(names)) for reach, names in groups.items()))


def barred(reaches: Reaches, constraints: Constraints) -> dict[str, str]:
    """Agents that cannot answer, by name, with the reason. Takes no longer with more agents of the same reach."""
    found: dict[str, str] = {}
    for reach, names in reaches.groups:
        why = excluded(reach, constraints)
        if why:
            found |= dict.fromkeys(names, why)
    return found


def refuse_barred(name: str, reach: Reach, constraints: Constraints) -> None:
    """For an agent that was asked for by name. Raises ``NoAgentFits`` when it cannot answer."""
    why = excluded(reach, constraints)
    if why:
        raise NoAgentFits({name: why})


def excluded(reach: Reach, constraints: Constraints) -> str:
    """Why an agent of this reach cannot answer; empty when it can.

    Through models it can when one of them meets every constraint at once. Which of them are asked is the chain's
    part, by the same ``unfit``.
    """
    if reach.tiers and constraints.tier not in reach.tiers:
        return f"tier {constraints.tier} may not use it, only {', '.join(reach.tiers)}"
    if reach.own_handler:
        return _handler_unfit(reach, constraints)
    reasons = dict.fromkeys(unfit(model, constraints, needs_tools=reach.needs_tools) for model in reach.models)
    # An agent without any model is a mistake in the configuration, which the chain reports as that.
    return "" if not reasons or "" in reasons else f"no model of its chain fits: {'; '.join(reasons)}"


def unfit(model: ModelFacts, constraints: Constraints, *, needs_tools: bool) -> str:
    """Why a model may not be asked; empty when it may."""
    if constraints.stays_here and not model.local:
        return f"not local, and {_must_stay(constraints)}"
    if constraints.region is not None and model.region != constraints.region:
        return f"in region {model.region or 'unknown'}, not {constraints.region}"
    if model.context is not None and constraints.tokens > model.context:
        return f"holds {model.context} tokens of {constraints.tokens}"
    return "calls no tools" if needs_tools and not model.tools else ""


def _handler_unfit(reach: Reach, constraints: Constraints) -> str:
    if constraints.stays_here and not reach.local:
        return f"its handler is not declared local, and {_must_stay(constraints)}"
    if constraints.region is not None and reach.regions and constraints.region not in reach.regions:
        return f"its handler is in region {', '.join(reach.regions)}, not {constraints.region}"
    if reach.context_max is not None and constraints.tokens > reach.context_max:
        return f"its handler takes {reach.context_max} tokens of {constraints.tokens}"
    return ""


def _must_stay(constraints: Constraints) -> str:
    sensitive = constraints.data_class in PERSONAL
    return f"{constraints.data_class} data stays here" if sensitive else "the data stays here"
