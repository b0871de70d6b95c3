"""Settings of what is routed to: providers, models, agents, teams and tools, each one record of a file.

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.kernel import Tier
from configs.section import Name, Section, Share

CostTier = Literal["free", "low", "medium", "high"]
Dollars = Annotated[float, Field(ge=0.0)]
EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")]
_BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")


class ProviderSettings(Section):
    """An OpenAI-compatible endpoint (serve.providers)."""

    base_url: str = ""
    """Everything before ``/chat/completions``; credentials and queries do not belong in it."""
    api_key_env: EnvName | None = None
    """Name of the variable that holds the key; the key itself never stands in a file."""
    prices: str | None = None
    """Provider id in genai-prices' data; ``None`` means its models are free or priced by hand."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = None
    """Name of the output limit in its API. ``None``: OpenAI's newer name for OpenAI, the older one elsewhere,
    because servers that do not know the newer one ignore it and write without a limit (decision 0009)."""
    local: bool = False
    """Runs on this machine or network: no data leaves it, and it needs no key."""
    region: Name | None = None
    """Where it computes, as in ``eu`` or ``us-east``; requests may be bound to a region (route.models)."""
    embedded: bool = False
    """Served by the embedded model host of the data folder; ``base_url`` is then found at start."""

    @model_validator(mode="after")
    def _reachable(self) -> ProviderSettings:
        if not self.base_url and not self.embedded:
            raise ValueError("base_url is required unless the provider is embedded")
        if self.base_url and not _BASE_URL.fullmatch(self.base_url):
            raise ValueError("base_url must be http(s)://host[:port][/path], without user, password or query")
        return self


class ModelPrice(Section):
    """Dollars per million tokens, where genai-prices does not know the model or a contract says otherwise."""

    input: Dollars
    output: Dollars
    cached: Dollars | None = None
    """Input read from the provider's prompt cache; ``None`` charges ``input``."""
    cache_write: Dollars | None = None
    """Input written to that cache; ``None`` charges ``input``."""


class ModelSettings(Section):
    """One model as a route: provider, its name there, and what it can hold."""

    provider: Name
    model: str
    context_window: PositiveInt | None = None
    """Tokens; ``None`` takes it from genai-prices' data."""
    price: ModelPrice | None = None
    first_token_s: PositiveFloat | None = None
    """Overrides ``shield.first_token_s`` for a model that is known to be slow."""
    same_as: Name | None = None
    """Id of the model that this is another instance of: another key, server or region. A chain that names one of
    them may ask any, and its load is balanced over them (route.models)."""
    renamed: bool = False
    """Its server has another name for the model of ``same_as``, as Azure's deployments do."""
    weight: PositiveFloat = 1.0
    """Share of the traffic among instances and under the policy ``weighted``, relative to the others."""
    quality: Share | None = None
    """How good its answers are, 0 to 1, for the policy ``cheapest``; ``None``: unknown, taken as too low."""
    tools: bool = True
    """It can call tools."""
    concurrency_max: PositiveInt | None = None
    """Calls at once that its server takes. ``None``: ``limiter.most``; for the embedded model its slots."""


class AgentCapability(Section):
    """One agent: what it is for, how to find it, and which role of model answers.

    The same record whether it comes from ``agents/*.yaml`` or from ``engine.register_agent``.
    """

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=2_000)]
    cues: tuple[str, ...] = ()
    """Words that name this agent's job outright: its language, its file type. They outrank similarity."""
    keywords: tuple[str, ...] = ()
    """Words that point to this agent and may also occur elsewhere."""
    examples: tuple[str, ...] = ()
    """Questions in our own words that this agent should get."""
    prompt: str = ""
    """File under ``agents/prompts``; empty for agents with a Python handler."""
    instructions: Annotated[str, Field(max_length=32_768)] = ""
    """The system prompt itself, for agents of your own; wins over ``prompt``."""
    role: Name = "default"
    """Which list of ``roles`` answers for it."""
    tools: tuple[Name, ...] = ()
    """Capabilities of ``tools.yaml`` that it may use."""
    needs_tools: bool = False
    """Its job cannot be done without them: only models that call tools are asked."""
    tiers: tuple[Tier, ...] = ()
    """Who may use it; empty: everybody."""
    regions: tuple[Name, ...] = ()
    """Where a Python handler computes; empty: anywhere. Agents that answer through models are where those are."""
    local: bool = False
    """A Python handler of which its author says that no data leaves this machine or network (admit.data)."""
    context_max: PositiveInt | None = None
    """Longest question in tokens that a Python handler takes; ``None``: any."""
    version: Annotated[str, Field(max_length=64)] = ""
    """Of a Python handler whose answers are cached: a new one forgets the old answers. Empty: each registration
    does."""
    cacheable: bool | None = None
    """Whether its answers may be served again. ``None``: yes through a model, no for a Python handler, whose side
    effects nobody knows."""
    context_free: bool = False
    """Its answers depend on nothing but the question, so another user of the tenant may be given one."""
    live: bool = False
    """Its answers come from live data: never shared between users, and kept for ``cache.live_ttl_s`` only."""
    cache_ttl_s: PositiveInt | None = None
    """How long its answers are kept; ``None``: ``cache.ttl_s``."""
    cost_tier: CostTier = "free"
    avg_latency_ms: PositiveFloat = 1_000.0
    max_tokens: PositiveInt | None = None
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None


class TeamSettings(Section):
    """A named group of agents. Run order and hand-over arrive with the strategies."""

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=2_000)]
    agents: Annotated[tuple[Name, ...], Field(min_length=1)]


class ToolSettings(Section):
    """One capability and its ordered providers, as data; the sessions arrive with MCP."""

    name: Name
    description: Annotated[str, Field(min_length=1, max_length=2_000)]
    providers: Annotated[tuple[Name, ...], Field(min_length=1)]
    read_only: bool = True
