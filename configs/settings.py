"""Every setting and, with ``configs.resilience``, the only home of every default.

Frozen pydantic models, one per concern, one docstring per field group. Nothing here reads a file or the
environment: ``configs.load`` does, once, and returns a ``Settings``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

from configs.redis_url import check_redis_url
from configs.resilience import BreakerSettings, ChainSettings, LimiterSettings, QueueSettings, ShieldSettings
from configs.section import Name, Section, Share, at_most

CostTier = Literal["free", "low", "medium", "high"]
Dollars = Annotated[float, Field(ge=0.0)]
EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,127}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_BASE_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")


def _expand(path: Path) -> Path:
    """Let ``~`` stand for the home folder, also where no shell expands it (YAML, ``.env``)."""
    try:
        return path.expanduser()
    except RuntimeError as exc:
        raise ValueError(f"no home folder for {path.parts[0]}") from exc


def _redis_url(url: SecretStr) -> SecretStr:
    check_redis_url(url.get_secret_value())
    return url


File = Annotated[Path, AfterValidator(_expand)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]


class RequestSettings(Section):
    """Limits and defaults of one request (admit.limits)."""

    deadline_s: PositiveFloat = 120.0
    """Wall time of a request when the caller names none."""
    deadline_s_max: PositiveFloat = 3600.0
    prompt_bytes_max: PositiveInt = 262_144
    """UTF-8 bytes over all messages of one request."""
    messages_max: PositiveInt = 1_000
    tags_max: PositiveInt = 32
    batch_max: PositiveInt = 10_000
    batch_concurrency: PositiveInt = 8
    check_s: PositiveFloat = 15.0
    """Wall time of the question ``doctor`` asks a model; ``embedded.start_s`` on top where one has to start."""
    max_tokens: PositiveInt = 512
    """Output tokens asked for when the caller names none; always sent, so that a cost has an upper bound (L1)."""
    max_tokens_max: PositiveInt = 32_768
    answer_bytes_max: PositiveInt = 4_194_304
    """An answer longer than this is cut and counted as a failure (fault 33)."""

    @model_validator(mode="after")
    def _ordered(self) -> RequestSettings:
        at_most(self, "deadline_s", "deadline_s_max")
        at_most(self, "max_tokens", "max_tokens_max")
        return self


class RedisSettings(Section):
    """The two Redis roles (X0). ``None`` means the embedded server of the data folder."""

    state_url: RedisUrl | None = None
    cache_url: RedisUrl | None = None
    """``redis://``, ``rediss://`` (TLS) or ``unix://``; a password in it is percent-encoded."""
    timeout_s: PositiveFloat = 0.25
    """Socket, connect and pool-wait bound of every call (X7)."""
    pool_max: PositiveInt = 64
    cache_max_mb: PositiveInt = 256


class CacheSettings(Section):
    """Exact tier (cache.exact)."""

    enabled: bool = True
    ttl_s: PositiveInt = 86_400
    ttl_s_max: PositiveInt = 2_592_000
    entry_bytes_max: PositiveInt = 1_048_576

    @model_validator(mode="after")
    def _ordered(self) -> CacheSettings:
        at_most(self, "ttl_s", "ttl_s_max")
        return self


class HttpSettings(Section):
    """The connections behind model routes. Timeouts stand in ``shield``; each route has a pool of its own."""

    connections_max: PositiveInt = 64
    keepalive_s: PositiveFloat = 30.0
    response_bytes_max: PositiveInt = 67_108_864
    """Bytes of one streamed response after decompression, events and all (faults 33 and 34)."""
    error_bytes_max: PositiveInt = 65_536
    """An error's body is read up to here and no further."""


class EncoderSettings(Section):
    """MiniLM on ONNX Runtime (route.embed). ``None`` paths mean the shipped files."""

    model_path: File | None = None
    model_sha256: Sha256 | None = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
    """Digest the model file must have; change it together with ``model_path``. ``None`` trusts any file."""
    tokenizer_path: File | None = None
    tokenizer_sha256: Sha256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
    """Digest the tokenizer file must have; change it together with ``tokenizer_path``."""
    threads: PositiveInt = 1
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 256
    """Longer texts are cut; the model was trained on 256 word pieces and has 512 positions."""
    max_chars: PositiveInt = 16_384
    """Only this much of a text is read, so that a huge one cannot hold the thread."""


class RoutingSettings(Section):
    """Zero-shot router (route.discover, route.score). Intent = similarity + what cues and keywords add."""

    example_weight: Share = 0.6
    """Share of an agent's similarity that comes from its nearest text; the rest from the centre of its texts."""
    examples_min: Annotated[int, Field(ge=0)] = 3
    """An agent with fewer examples is also known by its keywords and the phrases of its description."""
    cue_bonus: Share = 0.35
    """Added once when a question contains one of the agent's cues; at least ``out_of_scope`` to outrank it."""
    cue_margin: Share = 0.2
    """A cue does not count when a text of the general agent is nearer to the question by more than this."""
    keyword_bonus: Share = 0.08
    keyword_hits_max: PositiveInt = 3
    keyword_chars: PositiveInt = 4_000
    """Cues and keywords are looked for in this much of a question, half at its start and half at its end."""
    familiarity_min: Share = 0.68
    """Below this share of known words the encoder does not know the language, and only cues count."""
    out_of_scope: Share = 0.28
    """Below this intent match the question goes to ``general_agent``."""
    shortlist: PositiveInt = 16
    """Agents that are compared in full and listed in the decision."""
    temperature: PositiveFloat = 0.04
    """Softmax temperature that turns scores into confidence."""
    general_agent: Name = "general"
    weight_success: Share = 0.2
    weight_cost: Share = 0.02
    weight_latency: Share = 0.02
    """Exponents: score = intent × success^w × cost^w × latency^w."""
    cost_factors: dict[CostTier, Share] = Field(default={"free": 1.0, "low": 0.9, "medium": 0.7, "high": 0.5})
    latency_half_ms: PositiveFloat = 10_000.0
    """An agent this slow has latency factor one half."""
    fallback_agents: tuple[Name, ...] = ("general",)


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
    version: Annotated[str, Field(max_length=64)] = ""
    """Of a Python handler whose answers are cached: a new one forgets the old answers. Empty: each registration
    does."""
    cacheable: bool | None = None
    """Whether its answers may be served again. ``None``: yes through a model, no for a Python handler, whose side
    effects nobody knows."""
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


class EmbeddedSettings(Section):
    """Supervised child processes of the data folder."""

    start_s: PositiveFloat = 20.0
    """How long a start may take before it is an error."""
    stop_s: PositiveFloat = 5.0
    restart_backoff_s: PositiveFloat = 0.2
    restart_backoff_s_max: PositiveFloat = 5.0
    probe_s: PositiveFloat = 1.0
    """How long one health question may take."""
    hung_s: PositiveFloat = 30.0
    """A Redis that answers nothing for this long is killed and restarted."""
    model_threads: PositiveInt = 1
    """More than one collapses when the cores are shared (docs/decisions/0004)."""
    model_context: PositiveInt = 4_096
    model_slots: PositiveInt = 2
    """Requests the local model decodes at once; others wait in its queue."""
    model_connections: PositiveInt = 32
    """HTTP threads of the local model; a waiting or streaming request holds one."""
    model_cache_mb: PositiveInt = 64
    """Memory for prompts that were seen before; llama.cpp's own default is 8 GiB."""


class Settings(Section):
    """The whole configuration of one engine."""

    profile: Name = "local"
    data_dir: File = Path(".switchgear")
    """Embedded backends, cache and journal; ``SWITCHGEAR_HOME`` sets it too."""
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    request: RequestSettings = RequestSettings()
    breaker: BreakerSettings = BreakerSettings()
    shield: ShieldSettings = ShieldSettings()
    limiter: LimiterSettings = LimiterSettings()
    chain: ChainSettings = ChainSettings()
    queue: QueueSettings = QueueSettings()
    http: HttpSettings = HttpSettings()
    encoder: EncoderSettings = EncoderSettings()
    routing: RoutingSettings = RoutingSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    providers: dict[Name, ProviderSettings] = Field(default={})
    models: dict[Name, ModelSettings] = Field(default={})
    roles: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(default={})
    """Ordered model chain per role. Every role that an agent names stands here, and ``default`` for the others."""
    agents: tuple[AgentCapability, ...] = ()
    teams: tuple[TeamSettings, ...] = ()
    tools: tuple[ToolSettings, ...] = ()
    ceiling_price: ModelPrice = ModelPrice(input=100.0, output=500.0)
    """Charged for a model nobody has a price for: unknown is never $0 (L6)."""
