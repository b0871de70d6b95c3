"""What goes into the engine, what comes out, and the record of why. Frozen data, no behaviour beyond views."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from configs.kernel import Deadline, Message, Money, Outcome, Principal, Usage

CacheMode = Literal["default", "off", "refresh"]
Source = Literal["model", "handler", "exact_cache", "semantic_cache", "flight"]
"""``flight``: of somebody else's identical request, which was under way."""
Strategy = Literal["single", "parallel", "cascade"]
Complexity = Literal["simple", "medium", "complex"]
DataClass = Literal["public", "internal", "pii", "phi"]
STRICTNESS: tuple[DataClass, ...] = get_args(DataClass)
"""From what anybody may read to what hurts most."""
PERSONAL: frozenset[DataClass] = frozenset({"pii", "phi"})
"""Classes that stay on local models, fallbacks included (admit.data)."""
Touch = Literal["guard_flag", "memory", "side_effect", "live_data"]
"""What an answer has to do with beside its question and its model; it decides what may be stored (cache.write)."""
SHADOW = "switchgear.shadow"
"""Tag of a request that only checks what the semantic cache served; its value is the checked one's id."""
Priority = Literal["high", "normal", "low"]
OnUnavailable = Literal["error", "queue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One validated request. Built by ``engine.gateway.admit.build_request`` and nowhere else."""

    id: str
    principal: Principal
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    """``None``: what the agent is configured for, else ``request.max_tokens`` of the settings."""
    temperature: float | None = None
    deadline: Deadline
    deadline_s: float | None = None
    """What the caller allowed, as a length: a queued request gets it again. ``None``: the settings' own."""
    agent: str | None = None
    models: tuple[str, ...] = ()
    cache: CacheMode = "default"
    ttl_s: int
    tags: dict[str, str] = field(default_factory=dict[str, str])
    data_class: DataClass = "internal"
    """The stricter of what the caller said and what was found in the text (admit.data)."""
    region: str | None = None
    """Only models and handlers of this region may be asked."""
    priority: Priority = "normal"
    on_unavailable: OnUnavailable = "error"
    webhook: str | None = None
    """Where the result is posted when the request was queued."""
    idempotency_key: str | None = None
    """The caller's own: queued twice under it, the request is answered once."""

    @property
    def question(self) -> str:
        """The text that is routed: the last user message."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """How an agent or a model has been doing lately, over all replicas (route.learn)."""

    success: float
    """Moving average in [0, 1]; 1 before the first outcome."""
    latency_ms: float | None = None
    cost_micros: float | None = None
    """Of a request in micro-dollars."""
    count: int = 0
    """Outcomes that went into it."""
    quality: float | None = None
    """Of its answers, in [0, 1], by whoever judged them."""
    held: bool = False
    """On probation: it has failed so often that it gets probes only (engine/learning/averages.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One agent as the router scored it; every factor that entered ``score`` (route.score)."""

    agent: str
    score: float
    similarity: float
    keyword_hits: tuple[str, ...]
    intent: float
    success: float
    cost: float
    latency: float
    probability: float | None = None
    """What the trained head says, calibrated; ``None`` for an agent it does not know."""
    excluded: str = ""
    """The constraint that rules it out; empty: it could have answered."""
    dominated_by: str = ""
    """An agent that is at least as good in every factor and better in one."""
    propensity: float = 0.0
    """Probability with which this agent was chosen here; above 0 for what exploration may choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One step of the fallback chain: an agent, and the model id that answers for it (``None``: own handler)."""

    agent: str
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Why this agent, in this way, with these legs to fall back on."""

    agent: str
    strategy: Strategy
    confidence: float
    reason: str
    candidates: tuple[Candidate, ...] = ()
    legs: tuple[Leg, ...] = ()
    skipped: tuple[str, ...] = ()
    """Models of the chain that cannot be asked here, as in ``gpt-6-luna: OPENAI_API_KEY is not set``."""
    degraded: tuple[str, ...] = ()
    """What routing had to do without."""
    wanted: Strategy = "single"
    """What the strategy policy asks for; ``strategy`` is what runs."""
    strategy_why: str = ""
    complexity: Complexity | None = None
    out_of_scope: bool = False
    """No specialist is for this; the general agent answers."""
    explored: bool = False
    """Chosen to learn, not for its score."""
    head: str = ""
    """Version of the trained head that took part; empty: the agents' texts alone."""
    arm: str = ""
    """``experiment/arm`` or ``experiment/control`` that this request belongs to."""
    models_why: tuple[str, ...] = ()
    """Why the models stand in this order, a line each (route.models)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One leg as it was tried, or skipped without a call. ``error`` is safe to show."""

    agent: str
    model: str | None
    outcome: Outcome
    called: bool
    latency_ms: float
    first_token_ms: float | None = None
    usage: Usage = Usage()
    cost: Money = Money()
    tries: int = 0
    breaker: str = "closed"
    finish_reason: str | None = None
    """Why the model stopped, in OpenAI's words: ``stop``, ``length``, …"""
    error: str | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Why a stored question may answer the one asked, or may not (cache.verify)."""

    accepted: bool
    rule: str
    """``accepted``, or what refused: ``similarity``, ``number``, ``question``, …, ``verifier``, ``bound``."""
    detail: str
    similarity: float
    """Cosine."""
    probability: float | None
    """That both ask the same; ``None`` when a rule refused before it was worked out."""
    threshold: float
    """What the probability had to reach."""
    grey: bool = False
    """Close enough to ask a model about, where one is configured."""
    question: str = ""
    """The stored one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the caller gets. ``attempts`` is empty when no model ran."""

    text: str
    source: Source
    agent: str
    """Who answered; another one than ``decision.agent`` after a fallback."""
    decision: Decision
    attempts: tuple[Attempt, ...]
    usage: Usage
    cost: Money
    latency_ms: float
    request_id: str
    trace_id: str
    model: str | None = None
    thread_id: str | None = None
    degraded: tuple[str, ...] = ()
    truncated: bool = False
    """The text ends where ``max_tokens`` cut it, not where the model would have."""
    touched: frozenset[Touch] = frozenset()
    """What went into it besides, as far as memory, tools and guard say."""
    verdict: Verdict | None = None
    """Of the semantic cache, on the nearest stored question; ``None``: nothing was near, or it was not asked."""

    @property
    def cost_usd(self) -> float:
        """Dollars, for display; ``cost`` is exact."""
        return self.cost.usd
