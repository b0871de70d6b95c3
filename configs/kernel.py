"""Frozen values that every package shares: who asks, by when, what happened, what it cost.

No I/O, no clock reads, standard library only. Decisions about these values live in
``engine``; this module only says what they are and refuses values that cannot exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Literal, Self

MAX_ID_BYTES = 256
DEFAULT_TENANT = "default"
"""Of callers who name none."""
Role = Literal["system", "user", "assistant"]


class Tier(StrEnum):
    """Service level of a principal; ``LOCAL`` is an in-process caller."""

    LOCAL = "local"
    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is asking. Comes from authentication only, never from request content (admit.principal).

    Raises ``ValueError`` for ids that are empty, not UTF-8 encodable or over 256 bytes.
    """

    user_id: str
    tenant_id: str = DEFAULT_TENANT
    tier: Tier = Tier.LOCAL
    scopes: frozenset[str] = frozenset()
    key_id: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("user_id", self.user_id), ("tenant_id", self.tenant_id)):
            try:
                size = len(value.encode())
            except UnicodeEncodeError as exc:
                raise ValueError(f"{name} is not valid UTF-8") from exc
            if not 0 < size <= MAX_ID_BYTES:
                raise ValueError(f"{name} must be 1 to {MAX_ID_BYTES} bytes, got {size}")


@dataclass(frozen=True, slots=True)
class Deadline:
    """An absolute point on the monotonic clock, in seconds, shared by every attempt of one request (F3)."""

    at_s: float

    @classmethod
    def after(cls, seconds: float, *, now_s: float) -> Self:
        """The deadline ``seconds`` from ``now_s``."""
        return cls(now_s + seconds)

    def remaining_s(self, now_s: float) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self.at_s - now_s)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation as text."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What the caller asks of generation; ``None`` leaves it to the provider."""

    max_tokens: int
    temperature: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """Integer micro-dollars (1,000,000 = $1), so that sums are exact (docs/rules.md, L)."""

    micros: int = 0

    @classmethod
    def from_usd(cls, usd: Decimal | int | str) -> Self:
        """Convert dollars, rounding any fraction of a micro-dollar up: a cost is never understated."""
        return cls(int((Decimal(usd) * 1_000_000).to_integral_value(ROUND_CEILING)))

    @property
    def usd(self) -> float:
        """Dollars as a float, for display only."""
        return self.micros / 1_000_000

    def __add__(self, other: Money) -> Money:
        return Money(self.micros + other.micros)

    def __sub__(self, other: Money) -> Money:
        return Money(self.micros - other.micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the provider reported them. ``cached_tokens`` and ``reasoning_tokens`` are parts of
    ``input_tokens`` and ``output_tokens``; ``estimated`` marks counts that we had to derive ourselves.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )


class FailureKind(StrEnum):
    """Where a call broke, before anyone decides what that means."""

    STATUS = "status"  # the provider answered with an error status
    CONNECT = "connect"  # refused, DNS, TLS: nothing was sent
    CONNECT_TIMEOUT = "connect_timeout"
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"  # noqa: S105 - a name, not a secret
    IDLE_TIMEOUT = "idle_timeout"
    RESET = "reset"  # the connection broke after the request was sent
    TRUNCATED = "truncated"  # the stream ended without a finish marker
    STREAM_ERROR = "stream_error"  # an in-band error event after HTTP 200
    MALFORMED = "malformed"  # a body that cannot be decoded
    EMPTY = "empty"  # no choices, or no text
    OVERSIZE = "oversize"  # an answer over the byte or token cap
    POLICY = "policy"  # content filter or refusal
    QUALITY = "quality"  # well formed, judged not good enough
    CANCELLED = "cancelled"
    DEADLINE = "deadline"  # our own time ran out, not theirs
    REFUSED = "refused"  # an inner shield said no without a call (B17)
    AGENT = "agent"  # an agent's own code raised
    # What a store or a tool answers, where no HTTP status says it:
    DENIED = "denied"  # not with this credential, or not for this user of the store
    ABSENT = "absent"  # no such collection, database or method: somebody must change the configuration
    INVALID = "invalid"  # our request is wrong
    CONFLICT = "conflict"  # lost against somebody else just now; the same again may succeed
    UNABLE = "unable"  # it cannot serve now: loading, full, read-only, no leader


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What an adapter saw, translated from a foreign exception exactly once.

    ``code`` is the provider's own error code; ``detail`` is safe to show (no body, no secret, no URL).
    """

    kind: FailureKind
    detail: str
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None
    produced_text: bool = False


class Outcome(StrEnum):
    """What a finished call means for breaker, retry and fallback (``engine.resilience.classify``)."""

    OK = "ok"
    FAIL = "fail"
    THROTTLE = "throttle"
    QUOTA = "quota"
    AUTH = "auth"
    MISSING = "missing"
    CALLER = "caller"
    POLICY = "policy"
    CONFLICT = "conflict"
    CANCEL = "cancel"
    DEADLINE = "deadline"
    QUALITY = "quality"
    REFUSED = "refused"  # an inner refusal, neutral for every outer breaker (B17)
