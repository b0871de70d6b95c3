"""What happens during a request, as small frozen records. Streaming, tracing and the decision record listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from engine.types import Answer, Attempt, Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """The router has chosen."""

    decision: Decision
    type: Literal["routed"] = "routed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """One leg has ended, well or not, or was skipped."""

    attempt: Attempt
    type: Literal["attempt"] = "attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A piece of the answer. After the first one there is no silent switch (F4)."""

    text: str
    type: Literal["token"] = "token"


@dataclass(frozen=True, slots=True, kw_only=True)
class FellBack:
    """The next leg takes over, before anything was shown."""

    from_agent: str
    from_model: str | None
    to_agent: str
    to_model: str | None
    reason: str
    type: Literal["fallback"] = "fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Degraded:
    """Something optional is missing for this request."""

    what: str
    reason: str
    type: Literal["degraded"] = "degraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainExhausted:
    """No route of the chain could answer (F5); the request fails or is queued."""

    request_id: str
    reasons: tuple[str, ...]
    """One per leg, in order, as in ``code/gpt-6-luna: breaker is open``."""
    retry_after_s: float | None
    type: Literal["chain_exhausted"] = "chain_exhausted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Final:
    """The whole answer; always the last event of a stream that did not raise."""

    answer: Answer
    type: Literal["final"] = "final"


Event = Routed | Attempted | Token | FellBack | Degraded | ChainExhausted | Final
Emit = Callable[[Event], None]
