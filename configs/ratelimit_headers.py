"""How much a provider still takes, read from the headers of its answer. Pure; ``retry_after`` reads the waits.

Dialects, the more telling first: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` (OpenAI, Groq, LiteLLM,
Anthropic's OpenAI endpoint), ``anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-*``,
``x-ratelimit-*`` and ``x-tokenlimit-*`` without a unit (Together, OpenRouter), and the IETF draft
``httpapi-ratelimit-headers``: lists in ``RateLimit`` (from -08), its dictionary (-07), ``RateLimit-*`` (before).
Gemini and local servers say nothing. A count that is negative, huge, no whole number or above its own limit is not
believed, as Azure's -1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from configs.retry_after import date_s, until_s

COUNT = re.compile(r"\d{1,15}(?:\.0+)?")
PARAMETER = re.compile(r";\s*([a-z]{1,16})\s*=\s*(?:\"([^\"]*)\"|([^;,\s]+))")
ITEM = re.compile(r"\s*\"([^\"]*)\"((?:[^\",]|\"[^\"]*\")*)(?:,|$)")
MEMBER = re.compile(r"\b(limit|remaining|reset)\s*=\s*([0-9.]+)")
FIELD_CHARS = 500
"""Of a structured field: a real one is shorter, and a longer one would take time with its square."""
RESET_S_MAX = 86_400.0
"""No provider's window is longer than a day; a later reset is a mistake or another unit."""
REQUESTS, TOKENS = "requests", "tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """What is left of one limit."""

    left: int
    limit: int | None = None
    """What there is when nothing is used."""
    reset_s: float | None = None
    """Seconds until it is full again; ``None``: not said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What one answer said about the limits of its route. ``None``: nothing about that one."""

    requests: Quota | None = None
    tokens: Quota | None = None
    """Of prompt and answer together."""
    input_tokens: Quota | None = None
    output_tokens: Quota | None = None

    @property
    def told(self) -> tuple[Quota, ...]:
        """The limits that are known."""
        quotas = (self.requests, self.tokens, self.input_tokens, self.output_tokens)
        return tuple(quota for quota in quotas if quota is not None)


Dialect = Mapping[str, tuple[str, str, str]]
"""Unit → names of the fields for remaining, limit and reset."""
DIALECTS: tuple[Dialect, ...] = (
    {
        unit: (f"x-ratelimit-remaining-{unit}", f"x-ratelimit-limit-{unit}", f"x-ratelimit-reset-{unit}")
        for unit in (REQUESTS, TOKENS)
    },
    {
        unit.replace("-", "_"): (
            f"anthropic-ratelimit-{unit}-remaining",
            f"anthropic-ratelimit-{unit}-limit",
            f"anthropic-ratelimit-{unit}-reset",
        )
        for unit in (REQUESTS, TOKENS, "input-tokens", "output-tokens")
    },
    {
        REQUESTS: ("x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset"),
        TOKENS: ("x-tokenlimit-remaining", "x-tokenlimit-limit", "x-tokenlimit-reset"),
    },
    {REQUESTS: ("ratelimit-remaining", "ratelimit-limit", "ratelimit-reset")},
)


def rate_limits(headers: Mapping[str, str], now_s: float | None = None) -> RateLimits | None:
    """What ``headers`` (case-insensitive, or by lower-case name) say; ``None`` when that is nothing.

    Moments are taken against the answer's own ``date``, so that a wrong clock here does not matter, else against
    ``now_s``, Unix time. The first dialect that speaks of a unit is believed.
    """
    sent_s = date_s(headers.get("date", ""))
    since_s = now_s if sent_s is None else sent_s
    found: dict[str, Quota] = {}
    for dialect in DIALECTS:
        for unit, (remaining, limit, reset) in dialect.items():
            # Before draft -08 the limit's field may carry the policy behind a comma.
            whole = headers.get(limit, "").partition(",")[0]
            quota = _quota(headers.get(remaining, ""), whole, _reset_s(headers.get(reset, ""), since_s))
            if quota is not None:
                found.setdefault(unit, quota)
    for unit, quota in _draft(headers):
        found.setdefault(unit, quota)
    names = {field.name for field in fields(RateLimits)}
    return RateLimits(**{unit: quota for unit, quota in found.items() if unit in names}) if found else None


def _quota(left: str, limit: str, reset_s: float | None) -> Quota | None:
    """One limit, or ``None`` where its numbers are missing or contradict each other."""
    remaining, whole = _count(left), _count(limit)
    if remaining is None or (whole is None and limit.strip() != "") or whole == 0:
        return None
    if whole is not None and remaining > whole:
        return None
    return Quota(left=remaining, limit=whole, reset_s=reset_s)


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text.partition(".")[0]) if COUNT.fullmatch(text) else None


def _reset_s(text: str, since_s: float | None) -> float | None:
    """Seconds from now: of a duration, of Unix seconds or milliseconds, or of an RFC 3339 moment."""
    text = text.strip()
    value = until_s(text, since_s)
    if value is None and text[:4].isdigit() and since_s is not None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        value = None if moment.tzinfo is None else max(0.0, moment.timestamp() - since_s)
    return None if value is None or value > RESET_S_MAX else value


def _draft(headers: Mapping[str, str]) -> Iterator[tuple[str, Quota]]:
    """The scarcest quota per unit of the draft's ``RateLimit``."""
    field = headers.get("ratelimit", "")[:FIELD_CHARS]
    if '"' not in field:  # draft -07: limit=100, remaining=50, reset=5
        told = dict(MEMBER.findall(field))
        quota = _quota(told.get("remaining", ""), told.get("limit", ""), _reset_s(told.get("reset", ""), None))
        if quota is not None:
            yield REQUESTS, quota
        return
    policies = dict(_items(headers.get("ratelimit-policy", "")[:FIELD_CHARS]))
    quotas: list[tuple[str, Quota]] = []
    for name, given in _items(field):
        policy = policies.get(name, {})
        quota = _quota(given.get("r", ""), policy.get("q", ""), _reset_s(given.get("t", ""), None))
        if quota is not None:
            quotas.append((policy.get("qu", REQUESTS), quota))
    yield from sorted(quotas, key=lambda item: item[1].left)


def _items(field: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The quoted items of a structured field (RFC 9651 §3.1) and their parameters as texts."""
    for item in ITEM.finditer(field):
        yield item[1], {name: quoted or bare for name, quoted, bare in PARAMETER.findall(item[2])}
