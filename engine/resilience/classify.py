"""What a failure means: one pure table for breaker, retry and fallback (brk.classify).

Adapters say what they saw (``Failure``); nothing here knows a provider, an exception or a clock. The breaker asks
``counts`` and ``parks``, the shield ``may_retry``, the chain ``may_fall_back``.
"""

from __future__ import annotations

from configs.kernel import Failure, FailureKind, Outcome

# Error codes as the references of OpenAI, Anthropic, Azure, Bedrock, Gemini, Mistral, OpenRouter and LiteLLM spell
# them, lower case.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",
        "budget_exceeded",
        "credit_balance_exhausted",
        "credit_balance_too_low",
        "enforced_spend_limit_reached",
        "insufficient_credits",
        "insufficient_balance",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        "quota_exceeded",
        "servicequotaexceededexception",
        "spend_limit_exceeded",
        "spend_limit_reached",
    }
)
RATE_CODES = frozenset(
    {
        "modelnotreadyexception",
        "rate_limit_exceeded",
        "rate_limited",
        "slow_down",
        "throttling_error",
        "throttlingexception",
        "too_many_requests",
    }
)
"""Plainly a rate and not an empty account, even where nobody says how long to wait. Anthropic's
``rate_limit_error`` is not among them: it names both."""
AUTH_CODES = frozenset(
    {
        "invalid_api_key",
        "api_key_invalid",
        "incorrect_api_key",
        "authentication_error",
        "permission_error",
        "permission_denied",
        "unauthenticated",
        "unsupported_country_region_territory",
    }
)
MISSING_CODES = frozenset({"model_not_found", "deploymentnotfound", "deployment_not_found", "model_not_available"})
POLICY_CODES = frozenset(
    {
        "content_filter",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "moderation_blocked",
        "refusal",
        "safety",
    }
)
CONTEXT_CODES = frozenset(
    {
        "context_length_exceeded",
        "context_window_exceeded",
        "max_context_length_exceeded",
        "exceed_context_size_error",
    }
)

_BY_CODE: dict[str, Outcome] = {
    **dict.fromkeys(QUOTA_CODES, Outcome.QUOTA),
    **dict.fromkeys(RATE_CODES, Outcome.THROTTLE),
    **dict.fromkeys(AUTH_CODES, Outcome.AUTH),
    **dict.fromkeys(MISSING_CODES, Outcome.MISSING),
    **dict.fromkeys(POLICY_CODES, Outcome.POLICY),
    **dict.fromkeys(CONTEXT_CODES, Outcome.CALLER),
}
_BY_KIND: dict[FailureKind, Outcome] = {
    FailureKind.CONNECT: Outcome.FAIL,
    FailureKind.CONNECT_TIMEOUT: Outcome.FAIL,
    FailureKind.FIRST_TOKEN_TIMEOUT: Outcome.FAIL,
    FailureKind.IDLE_TIMEOUT: Outcome.FAIL,
    FailureKind.RESET: Outcome.FAIL,
    FailureKind.TRUNCATED: Outcome.FAIL,
    FailureKind.MALFORMED: Outcome.FAIL,
    FailureKind.EMPTY: Outcome.FAIL,
    FailureKind.OVERSIZE: Outcome.FAIL,
    FailureKind.AGENT: Outcome.FAIL,
    FailureKind.POLICY: Outcome.POLICY,
    FailureKind.QUALITY: Outcome.QUALITY,
    FailureKind.CANCELLED: Outcome.CANCEL,
    FailureKind.DEADLINE: Outcome.DEADLINE,
    FailureKind.REFUSED: Outcome.REFUSED,
    FailureKind.DENIED: Outcome.AUTH,
    FailureKind.ABSENT: Outcome.MISSING,
    FailureKind.INVALID: Outcome.CALLER,
    FailureKind.CONFLICT: Outcome.CONFLICT,
    FailureKind.UNABLE: Outcome.FAIL,
}
"""Every kind but ``STATUS`` and ``STREAM_ERROR``, which say more by their status and code."""
_BY_STATUS: dict[int, Outcome] = {
    401: Outcome.AUTH,
    402: Outcome.QUOTA,
    403: Outcome.AUTH,
    404: Outcome.MISSING,
    408: Outcome.FAIL,
    409: Outcome.CONFLICT,
    410: Outcome.MISSING,
    424: Outcome.FAIL,  # Bedrock: the model behind the gateway failed
    425: Outcome.CONFLICT,
    451: Outcome.POLICY,
    498: Outcome.THROTTLE,  # Groq: the flex tier is full
}
_CODE_DECIDES = frozenset({400, 403, 429})
"""Statuses that providers share between quota, key, model and policy; elsewhere the status is the plainer word."""

PARKING = frozenset({Outcome.THROTTLE, Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING})
RETRIED = frozenset({Outcome.FAIL, Outcome.CONFLICT})
FALLS_BACK = frozenset(
    {
        Outcome.FAIL,
        Outcome.THROTTLE,
        Outcome.QUOTA,
        Outcome.AUTH,
        Outcome.MISSING,
        Outcome.CONFLICT,
        Outcome.DEADLINE,
        Outcome.QUALITY,
        Outcome.REFUSED,
    }
)


def classify(failure: Failure) -> Outcome:
    """The outcome a failure amounts to. Total: every kind, any status, any code."""
    if failure.kind is FailureKind.STATUS:
        return _by_status(failure)
    if failure.kind is FailureKind.STREAM_ERROR:
        return _BY_CODE.get(_code(failure), Outcome.FAIL)
    return _BY_KIND[failure.kind]


def counts(outcome: Outcome) -> bool:
    """Whether the breaker's rules see this outcome at all (B7)."""
    return outcome is Outcome.OK or outcome is Outcome.FAIL


def parks(outcome: Outcome) -> bool:
    """Whether it sends the key away for a while without being a failure."""
    return outcome in PARKING


def may_retry(outcome: Outcome, produced: bool) -> bool:
    """Whether the same route may be tried again now. Never after text was shown (F4)."""
    return not produced and outcome in RETRIED


def may_fall_back(outcome: Outcome) -> bool:
    """Whether another route could do better. ``CALLER`` and ``POLICY`` would meet the same answer."""
    return outcome in FALLS_BACK


def wants_larger_context(failure: Failure) -> bool:
    """Whether a route with a bigger context window could answer what this one refused (fault 2)."""
    return _code(failure) in CONTEXT_CODES


def _by_status(failure: Failure) -> Outcome:
    status = failure.status
    if status is None:
        return Outcome.FAIL
    if status in _CODE_DECIDES and (named := _BY_CODE.get(_code(failure))) is not None:
        return named
    if status == 429:
        # Without a time to come back it is a spend limit, which waiting does not lift (fault 6).
        return Outcome.QUOTA if failure.retry_after_s is None else Outcome.THROTTLE
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.CALLER if 400 <= status < 500 else Outcome.FAIL


def _code(failure: Failure) -> str:
    return (failure.code or "").strip().lower()
