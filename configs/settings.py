"""Every setting; with `configs.{caching,catalogue,history,policies,resilience,routing,splits}`, every default.

Frozen pydantic models, one per concern, one docstring per field group. Nothing here reads a file or the
environment: ``configs.load`` does, once, and returns a ``Settings``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    model_validator,
)

from configs.caching import CacheSettings
from configs.catalogue import (
    AgentCapability,
    ModelPrice,
    ModelSettings,
    ProviderSettings,
    TeamSettings,
    ToolSettings,
)
from configs.history import DataSettings, HistorySettings
from configs.policies import RolePolicy
from configs.redis_url import check_redis_url
from configs.resilience import BreakerSettings, ChainSettings, LimiterSettings, QueueSettings, ShieldSettings
from configs.routing import (
    LearnSettings,
    RegistrySettings,
    RoutingSettings,
    StrategySettings,
    TrainSettings,
)
from configs.section import File, Name, Section, at_most
from configs.splits import Experiment, SplitSettings

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _redis_url(url: SecretStr) -> SecretStr:
    check_redis_url(url.get_secret_value())
    return url


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
    """Of one run of the model."""
    workers: PositiveInt = 2
    """Runs at once."""
    remembered: PositiveInt = 512
    """Readings of the latest questions that are kept, so that no part of the engine reads one a second time."""
    max_tokens: Annotated[int, Field(ge=8, le=512)] = 256
    """Longer texts are cut; the model was trained on 256 word pieces and has 512 positions."""
    max_chars: PositiveInt = 16_384
    """Only this much of a text is read, so that a huge one cannot hold the thread."""


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
    strategies: StrategySettings = StrategySettings()
    learn: LearnSettings = LearnSettings()
    registry: RegistrySettings = RegistrySettings()
    train: TrainSettings = TrainSettings()
    history: HistorySettings = HistorySettings()
    data: DataSettings = DataSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    providers: dict[Name, ProviderSettings] = Field(default={})
    models: dict[Name, ModelSettings] = Field(default={})
    roles: dict[Name, Annotated[tuple[Name, ...], Field(min_length=1)]] = Field(default={})
    """Ordered model chain per role. Every role that an agent names stands here, and ``default`` for the others."""
    policies: dict[Name, RolePolicy] = Field(default={})
    """How the models of a role are ordered (route.models); a role that is not here keeps its own order."""
    experiments: tuple[Experiment, ...] = ()
    """Shares of traffic that try something else (route.split); the first one that applies to a request counts."""
    splits: SplitSettings = SplitSettings()
    agents: tuple[AgentCapability, ...] = ()
    teams: tuple[TeamSettings, ...] = ()
    tools: tuple[ToolSettings, ...] = ()
    ceiling_price: ModelPrice = ModelPrice(input=100.0, output=500.0)
    """Charged for a model nobody has a price for: unknown is never $0 (L6)."""
