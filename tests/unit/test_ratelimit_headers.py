"""Rate limits in response headers: every provider's dialect by literal tables; what cannot be is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.ratelimit_headers import RESET_S_MAX, Quota, RateLimits, rate_limits

SENT = "Thu, 21 Aug 2025 12:41:00 GMT"
SENT_S = 1_755_780_060.0
REMAINING, LIMIT, RESET = (
    "x-ratelimit-remaining-requests",
    "x-ratelimit-limit-requests",
    "x-ratelimit-reset-requests",
)


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param(
            {
                LIMIT: "60",
                REMAINING: "59",
                RESET: "1s",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "149984",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            RateLimits(
                requests=Quota(left=59, limit=60, reset_s=1.0),
                tokens=Quota(left=149_984, limit=150_000, reset_s=360.0),
            ),
            id="OpenAI",
        ),
        pytest.param(
            {LIMIT: "14400", REMAINING: "14370", RESET: "2m59.56s", "x-ratelimit-remaining-tokens": "17997"},
            RateLimits(requests=Quota(left=14_370, limit=14_400, reset_s=179.56), tokens=Quota(left=17_997)),
            id="Groq",
        ),
        pytest.param(
            {REMAINING: "499", RESET: "120ms"}, RateLimits(requests=Quota(left=499, reset_s=0.12)), id="ms"
        ),
        pytest.param(
            {
                "date": SENT,
                "anthropic-ratelimit-requests-limit": "1000",
                "anthropic-ratelimit-requests-remaining": "999",
                "anthropic-ratelimit-requests-reset": "2025-08-21T12:41:30Z",
                "anthropic-ratelimit-input-tokens-limit": "80000",
                "anthropic-ratelimit-input-tokens-remaining": "79000",
                "anthropic-ratelimit-input-tokens-reset": "2025-08-21T14:42:00+02:00",
                "anthropic-ratelimit-output-tokens-remaining": "16000",
                "anthropic-ratelimit-output-tokens-reset": "2025-08-21T12:40:00Z",
            },
            RateLimits(
                requests=Quota(left=999, limit=1_000, reset_s=30.0),
                input_tokens=Quota(left=79_000, limit=80_000, reset_s=60.0),
                output_tokens=Quota(left=16_000, reset_s=0.0),
            ),
            id="Anthropic",
        ),
        pytest.param(
            {
                "x-ratelimit-limit": "10",
                "x-ratelimit-remaining": "9",
                "x-ratelimit-reset": "1",
                "x-tokenlimit-limit": "3000",
                "x-tokenlimit-remaining": "2500",
            },
            RateLimits(requests=Quota(left=9, limit=10, reset_s=1.0), tokens=Quota(left=2_500, limit=3_000)),
            id="Together",
        ),
        pytest.param(
            {"x-ratelimit-limit": "16", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1755780120000"},
            RateLimits(requests=Quota(left=0, limit=16, reset_s=60.0)),
            id="OpenRouter, Unix milliseconds",
        ),
        pytest.param(
            {
                "ratelimit": '"day";r=1000;t=36000, "burst, second";r=5;t=30,"bytes";r=1',
                "ratelimit-policy": (
                    '"burst, second";q=100;w=60,"day";q=5000;qu="requests","bytes";q=9;qu="content-bytes"'
                ),
            },
            RateLimits(requests=Quota(left=5, limit=100, reset_s=30.0)),
            id="IETF draft, the scarcest of one unit",
        ),
        pytest.param(
            {"ratelimit": '"t";r=700;t=9', "ratelimit-policy": '"t";q=1000;w=10;qu="tokens"'},
            RateLimits(tokens=Quota(left=700, limit=1_000, reset_s=9.0)),
            id="IETF draft, tokens",
        ),
        pytest.param(
            {"ratelimit": "limit=100, remaining=50, reset=5"},
            RateLimits(requests=Quota(left=50, limit=100, reset_s=5.0)),
            id="IETF draft -07",
        ),
        pytest.param(
            {"ratelimit-limit": "10, 10;w=1", "ratelimit-remaining": "3", "ratelimit-reset": "50"},
            RateLimits(requests=Quota(left=3, limit=10, reset_s=50.0)),
            id="IETF drafts before",
        ),
        pytest.param(
            {REMAINING: "7", "x-ratelimit-remaining": "3"}, RateLimits(requests=Quota(left=7)), id="two dialects"
        ),
    ],
)
def test_every_dialect_is_read(headers: dict[str, str], expected: RateLimits) -> None:
    """Names, units and times as the providers document them; a moment counts from when the answer was sent."""
    assert rate_limits(headers, SENT_S) == expected


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream", "retry-after": "5"},
        {LIMIT: "60", RESET: "1s"},
        {REMAINING: ""},
        {REMAINING: "-1", LIMIT: "-1", RESET: "0"},
        {REMAINING: "many"},
        {REMAINING: "1.5"},
        {REMAINING: "NaN"},
        {REMAINING: "5, 7"},
        {REMAINING: "9" * 400},
        {REMAINING: "61", LIMIT: "60"},
        {REMAINING: "0", LIMIT: "0"},
        {REMAINING: "5", LIMIT: "-1"},
        {"ratelimit": '"x"'},
        {"ratelimit": '"x;r=5'},
        {"ratelimit": '"x";r=5', "ratelimit-policy": '"x";q=3'},
        {"ratelimit": '"' * 100_000},
    ],
)
def test_what_cannot_be_is_not_believed(headers: dict[str, str]) -> None:
    """Garbage, negative, huge and contradictory values say nothing (Azure sends -1)."""
    assert rate_limits(headers, SENT_S) is None


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    "reset", ["", "soon", "-5", "1e400", "2025-08-21T12:41:30", "99999-01-01T00:00:00Z", "86401"]
)
def test_an_unreadable_reset_leaves_the_count(reset: str) -> None:
    """The count is still worth knowing; how long it holds is then ours to decide."""
    assert rate_limits({REMAINING: "3", RESET: reset}, SENT_S) == RateLimits(requests=Quota(left=3))


TEXT = st.text(max_size=60) | st.from_regex(r"[-0-9.:TZmsh;=\"qrtw, +]{0,60}", fullmatch=True)


@pytest.mark.req("route.adapt")
@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                REMAINING,
                LIMIT,
                RESET,
                "ratelimit",
                "ratelimit-policy",
                "x-ratelimit-reset",
                "x-ratelimit-remaining",
            ]
            + [f"anthropic-ratelimit-tokens-{what}" for what in ("remaining", "limit", "reset")]
            + ["date"]
        ),
        TEXT,
    ),
    now_s=st.none() | st.floats(min_value=0, max_value=4e9),
)
def test_no_header_breaks_the_reading(headers: dict[str, str], now_s: float | None) -> None:
    """Whatever a server sends: no exception, and every number that comes out is one that can be."""
    limits = rate_limits(headers, now_s)
    for quota in () if limits is None else limits.told:
        assert 0 <= quota.left <= (quota.limit if quota.limit is not None else quota.left)
        assert quota.reset_s is None or 0.0 <= quota.reset_s <= RESET_S_MAX
