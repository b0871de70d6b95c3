"""``classify`` and its predicates, as literal tables (docs/rules.md, faults 1-43)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.kernel import Failure, FailureKind, Outcome
from engine.resilience.classify import classify, counts, may_fall_back, may_retry, parks, wants_larger_context

K = FailureKind
FAIL, THROTTLE, QUOTA, AUTH, MISSING = Outcome.FAIL, Outcome.THROTTLE, Outcome.QUOTA, Outcome.AUTH, Outcome.MISSING
CALLER, POLICY, CONFLICT = Outcome.CALLER, Outcome.POLICY, Outcome.CONFLICT

# (fault row or source, status, code, retry_after_s, outcome)
STATUS: list[tuple[str, int | None, str | None, float | None, Outcome]] = [
    ("1 invalid request", 400, "invalid_request_error", None, CALLER),
    ("1 no code", 400, None, None, CALLER),
    ("1 unsupported parameter", 400, "unsupported_parameter", None, CALLER),
    ("1 unsupported value", 400, "unsupported_value", None, CALLER),
    ("1 unknown code", 400, "brand_new_code", None, CALLER),
    ("2 context length", 400, "context_length_exceeded", None, CALLER),
    ("2 llama.cpp", 400, "exceed_context_size_error", None, CALLER),
    ("3 content filter", 400, "content_filter", None, POLICY),
    ("3 content policy", 400, "content_policy_violation", None, POLICY),
    ("3 Azure", 400, "ResponsibleAIPolicyViolation", None, POLICY),
    ("3 moderation", 403, "moderation_blocked", None, POLICY),
    ("3 legal", 451, None, None, POLICY),
    ("4 wrong key", 401, "invalid_api_key", None, AUTH),
    ("4 no code", 401, None, None, AUTH),
    ("4 whatever the code", 401, "insufficient_quota", None, AUTH),
    ("4 Gemini sends 400", 400, "API_KEY_INVALID", None, AUTH),
    ("4 with a Retry-After", 401, None, 5.0, AUTH),
    ("5 no permission", 403, "permission_error", None, AUTH),
    ("5 region", 403, "unsupported_country_region_territory", None, AUTH),
    ("5 no code", 403, None, None, AUTH),
    ("6 payment required", 402, None, None, QUOTA),
    ("6 with a Retry-After", 402, None, 9.0, QUOTA),
    ("6 429 without a time", 429, None, None, QUOTA),
    ("6 Anthropic spend limit", 429, "rate_limit_error", None, QUOTA),
    ("6 OpenAI quota", 429, "insufficient_quota", None, QUOTA),
    ("6 quota beats the time", 429, "insufficient_quota", 20.0, QUOTA),
    ("6 billing limit", 429, "billing_hard_limit_reached", 20.0, QUOTA),
    ("6 400 credit balance", 400, "credit_balance_too_low", None, QUOTA),
    ("6 400 billing", 400, "billing_not_active", None, QUOTA),
    ("6 403 balance", 403, "insufficient_balance", None, QUOTA),
    ("7 model", 404, "model_not_found", None, MISSING),
    ("7 deployment", 404, "DeploymentNotFound", None, MISSING),
    ("7 no code", 404, None, None, MISSING),
    ("7 model behind a 400", 400, "model_not_found", None, MISSING),
    ("7 model behind a 403", 403, "model_not_found", None, MISSING),
    ("7 retired", 410, None, None, MISSING),
    ("8 request timeout", 408, None, None, FAIL),
    ("9 conflict", 409, None, None, CONFLICT),
    ("9 too early", 425, None, None, CONFLICT),
    ("10 too large", 413, None, None, CALLER),
    ("11 unprocessable", 422, "missing", None, CALLER),
    ("12 throttled", 429, None, 7.0, THROTTLE),
    ("12 throttled by rate", 429, "rate_limit_exceeded", 7.0, THROTTLE),
    ("13 a time in the past", 429, None, -3600.0, THROTTLE),
    ("13 at once", 429, None, 0.0, THROTTLE),
    ("13 absurd", 429, None, 1e9, THROTTLE),
    ("13 garbage", 429, None, float("nan"), THROTTLE),
    ("15 internal", 500, None, None, FAIL),
    ("15 whatever the code", 500, "insufficient_quota", None, FAIL),
    ("17 bad gateway", 502, None, None, FAIL),
    ("17 unavailable", 503, None, None, FAIL),
    ("17 unavailable until", 503, None, 30.0, FAIL),
    ("17 gateway timeout", 504, None, None, FAIL),
    ("17 not implemented", 501, None, None, FAIL),
    ("17 edge", 520, None, None, FAIL),
    ("17 edge timeout", 524, None, None, FAIL),
    ("18 overloaded", 529, "overloaded_error", None, FAIL),
    ("39 redirect", 302, None, None, FAIL),
    ("39 permanent redirect", 308, None, None, FAIL),
    ("Bedrock model error", 424, None, None, FAIL),
    ("not found, odd method", 405, None, None, CALLER),
    ("media type", 415, None, None, CALLER),
    ("unknown 4xx", 418, None, None, CALLER),
    ("header too large", 431, None, None, CALLER),
    ("Groq's flex tier is full", 498, "capacity_exceeded", None, THROTTLE),
    ("unknown status beside it", 499, None, None, CALLER),
    ("no content", 204, None, None, FAIL),
    ("no status at all", None, None, None, FAIL),
    ("spaces and capitals", 429, " Insufficient_Quota ", 3.0, QUOTA),
]

# (fault row, kind, code, outcome)
KINDS: list[tuple[str, FailureKind, str | None, Outcome]] = [
    ("19 refused", K.CONNECT, "ECONNREFUSED", FAIL),
    ("20 DNS", K.CONNECT, "ENOTFOUND", FAIL),
    ("20 slow DNS", K.CONNECT_TIMEOUT, None, FAIL),
    ("21 TLS", K.CONNECT, "CERTIFICATE_VERIFY_FAILED", FAIL),
    ("22 reset before headers", K.RESET, None, FAIL),
    ("23 reset mid-stream", K.RESET, None, FAIL),
    ("24 no finish marker", K.TRUNCATED, None, FAIL),
    ("25 error event", K.STREAM_ERROR, "server_error", FAIL),
    ("25 overloaded event", K.STREAM_ERROR, "overloaded_error", FAIL),
    ("25 no code", K.STREAM_ERROR, None, FAIL),
    ("25 filtered in mid-stream", K.STREAM_ERROR, "content_filter", POLICY),
    ("25 quota in mid-stream", K.STREAM_ERROR, "insufficient_quota", QUOTA),
    ("26 first token", K.FIRST_TOKEN_TIMEOUT, None, FAIL),
    ("27 28 silence", K.IDLE_TIMEOUT, None, FAIL),
    ("29 30 malformed", K.MALFORMED, None, FAIL),
    ("31 empty", K.EMPTY, None, FAIL),
    ("33 34 too long", K.OVERSIZE, None, FAIL),
    ("3 refusal after 200", K.POLICY, "refusal", POLICY),
    ("3 filter after 200", K.POLICY, None, POLICY),
    ("77 78 cancelled", K.CANCELLED, None, Outcome.CANCEL),
    ("out of time", K.DEADLINE, None, Outcome.DEADLINE),
    ("schema or judge", K.QUALITY, None, Outcome.QUALITY),
    ("inner refusal", K.REFUSED, None, Outcome.REFUSED),
    ("agent's own code", K.AGENT, None, FAIL),
    ("store or tool: our credential", K.DENIED, "NOAUTH", AUTH),
    ("52 store or tool: not there", K.ABSENT, "-32601", MISSING),
    ("52 store or tool: our request", K.INVALID, "-32602", CALLER),
    ("65 store: lost a race", K.CONFLICT, "Neo.TransientError.Transaction.DeadlockDetected", CONFLICT),
    ("60 store: cannot serve", K.UNABLE, "LOADING", FAIL),
    ("store: no code can overrule", K.UNABLE, "insufficient_quota", FAIL),
]


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(("row", "status", "code", "wait", "outcome"), STATUS, ids=str)
def test_a_status_is_read_as_the_table_says(
    row: str, status: int | None, code: str | None, wait: float | None, outcome: Outcome
) -> None:
    """Status, code and Retry-After together decide."""
    failure = Failure(kind=K.STATUS, detail=row, status=status, code=code, retry_after_s=wait)
    assert classify(failure) is outcome


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(("row", "kind", "code", "outcome"), KINDS, ids=str)
def test_a_kind_is_read_as_the_table_says(row: str, kind: FailureKind, code: str | None, outcome: Outcome) -> None:
    """What broke before or beside a status decides alone."""
    assert classify(Failure(kind=kind, detail=row, code=code)) is outcome


def test_the_tables_are_complete() -> None:
    """Over 80 cases; every kind, every outcome but OK, and every LLM row of the fault list that classifies."""
    assert len(STATUS) + len(KINDS) >= 80
    assert {kind for _, kind, _, _ in KINDS} | {K.STATUS} == set(FailureKind)
    assert {o for *_, o in STATUS} | {o for *_, o in KINDS} == set(Outcome) - {Outcome.OK}
    rows = {
        int(word) for name, *_ in (*STATUS, *KINDS) for word in name.split() if word.isdigit() and len(word) < 3
    }
    decided_elsewhere = {14, 16, 32, 35, 36, 37, 38, 40, 41, 42, 43}
    assert set(range(1, 44)) - decided_elsewhere <= rows


# outcome: counted, parks, retried, retried after text, falls back
TABLE: dict[Outcome, tuple[bool, bool, bool, bool, bool]] = {
    Outcome.OK: (True, False, False, False, False),
    Outcome.FAIL: (True, False, True, False, True),
    Outcome.THROTTLE: (False, True, False, False, True),
    Outcome.QUOTA: (False, True, False, False, True),
    Outcome.AUTH: (False, True, False, False, True),
    Outcome.MISSING: (False, True, False, False, True),
    Outcome.CALLER: (False, False, False, False, False),
    Outcome.POLICY: (False, False, False, False, False),
    Outcome.CONFLICT: (False, False, True, False, True),
    Outcome.CANCEL: (False, False, False, False, False),
    Outcome.DEADLINE: (False, False, False, False, True),
    Outcome.QUALITY: (False, False, False, False, True),
    Outcome.REFUSED: (False, False, False, False, True),
}


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_has_the_consequences_of_the_table(outcome: Outcome) -> None:
    """Breaker, retry and fallback columns of the table."""
    found = (
        counts(outcome),
        parks(outcome),
        may_retry(outcome, False),
        may_retry(outcome, True),
        may_fall_back(outcome),
    )
    assert found == TABLE[outcome]


@pytest.mark.parametrize(
    ("status", "code", "larger"),
    [
        (400, "context_length_exceeded", True),
        (400, "CONTEXT_LENGTH_EXCEEDED", True),
        (400, None, False),
        (413, None, False),
    ],
)
def test_only_a_full_context_asks_for_a_larger_one(status: int, code: str | None, larger: bool) -> None:
    """Fault 2: the one caller error that another route may cure."""
    assert wants_larger_context(Failure(kind=K.STATUS, detail="", status=status, code=code)) is larger


@given(
    kind=st.sampled_from(FailureKind),
    status=st.none() | st.integers(-1, 1000),
    code=st.none() | st.text(max_size=12),
    wait=st.none() | st.floats(),
)
def test_classify_knows_every_failure_there_can_be(
    kind: FailureKind, status: int | None, code: str | None, wait: float | None
) -> None:
    """Total and deterministic, and never OK."""
    failure = Failure(kind=kind, detail="", status=status, code=code, retry_after_s=wait)
    assert classify(failure) is classify(failure) is not Outcome.OK


# As the providers' references spell them: each alone decides a 429 without a time to come back, and a 400.
NAMED: dict[Outcome, tuple[str, ...]] = {
    QUOTA: (
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
    ),
    THROTTLE: (
        "modelnotreadyexception",
        "rate_limit_exceeded",
        "rate_limited",
        "slow_down",
        "throttling_error",
        "throttlingexception",
        "too_many_requests",
    ),
    AUTH: (
        "invalid_api_key",
        "api_key_invalid",
        "incorrect_api_key",
        "authentication_error",
        "permission_error",
        "permission_denied",
        "unauthenticated",
        "unsupported_country_region_territory",
    ),
    MISSING: ("model_not_found", "deploymentnotfound", "deployment_not_found", "model_not_available"),
    POLICY: (
        "content_filter",
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "moderation_blocked",
        "refusal",
        "safety",
    ),
    CALLER: (
        "context_length_exceeded",
        "context_window_exceeded",
        "max_context_length_exceeded",
        "exceed_context_size_error",
    ),
}


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("status", [400, 429])
@pytest.mark.parametrize(("code", "outcome"), [(code, o) for o, codes in NAMED.items() for code in codes])
def test_every_known_code_decides_where_the_status_does_not(code: str, outcome: Outcome, status: int) -> None:
    """Each code of the table by itself, so that none can be lost unseen."""
    assert classify(Failure(kind=K.STATUS, detail="", status=status, code=code)) is outcome


@pytest.mark.parametrize("code", NAMED[CALLER])
def test_every_name_of_a_full_context_asks_for_a_larger_one(code: str) -> None:
    """Fault 2, in each provider's words."""
    assert wants_larger_context(Failure(kind=K.STATUS, detail="", status=400, code=code))
