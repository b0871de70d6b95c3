"""Translations that no scripted server can provoke on demand, and the arithmetic of waiting."""

from __future__ import annotations

import ssl

import httpx
import openai
import pytest
from pydantic import SecretStr

from agents.translate import to_failure
from configs.kernel import Failure, FailureKind
from configs.retry_after import retry_after_s

REQUEST = httpx.Request("POST", "https://host/v1/chat/completions", headers={"authorization": "Bearer k"})
NOW_S = 1_792_567_680.0  # Wed, 21 Oct 2026 07:28:00 GMT


@pytest.mark.parametrize("produced", [False, True])
@pytest.mark.parametrize(
    "exc",
    [
        openai.APIConnectionError(request=REQUEST),
        OSError(5, "Input/output error"),
        ssl.SSLError(1, "record layer failure"),
        httpx.WriteError("broken", request=REQUEST),
    ],
)
def test_a_connection_that_breaks_in_any_layer_is_a_reset(exc: Exception, produced: bool) -> None:
    """Named by what happened, not by the layer's own words."""
    assert to_failure(exc, produced, None) == Failure(
        kind=FailureKind.RESET, detail="the connection broke", produced_text=produced
    )


def test_an_answer_that_breaks_http_is_malformed() -> None:
    """What httpx cannot decode is the provider's fault, not the network's."""
    failure = to_failure(httpx.DecodingError("bad", request=REQUEST), True, None)
    assert (failure.kind, failure.produced_text) == (FailureKind.MALFORMED, True)


def test_a_chain_that_bites_its_tail_ends() -> None:
    """Exceptions may be linked in a circle; looking for a cause must not loop."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert to_failure(first, False, None).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        ("k3y", None),
        ("xk3yx", None),
        ("two words", None),
        ("<html>", None),
        ("a" * 65, None),
        (429, None),
        (None, None),
        (["x"], None),
    ],
)
def test_only_a_plain_code_without_the_key_is_passed_on(code: object, kept: str | None) -> None:
    """A provider may echo anything in that field (F7)."""
    response = httpx.Response(429, request=REQUEST)
    exc = openai.RateLimitError("x", response=response, body={"code": code})
    failure = to_failure(exc, False, SecretStr("k3y"))
    assert failure.code == kept
    assert "k3y" not in failure.detail


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": ""}, None),
        # without a date of the server's own, our clock has to do
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "garbage"}, 30.0),
        # with one, a wrong clock here changes nothing
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3.5s"}, 3_723.5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "7"}, 7.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "later"}, None),
        ({"x-ratelimit-remaining-requests": "0"}, None),
        # a limit without a name: a wait, or a moment in Unix seconds or milliseconds
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999999999"}, 999_999_999.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000000000"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1792567690"}, 10.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, 99_999_999_999 - NOW_S),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "100000000000"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1792567681500"}, 1.5),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "5"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6s",
            },
            6.0,
        ),
    ],
)
def test_the_wait_is_read_as_the_provider_wrote_it(headers: dict[str, str], wait: float | None) -> None:
    """Milliseconds, seconds, dates, reset times of a limit; what cannot be read is no wait (fault 13)."""
    assert retry_after_s(httpx.Headers(headers), NOW_S) == wait


def test_a_moment_without_a_clock_is_no_wait() -> None:
    """Stores and tools are read without a clock of ours; only the answer's own ``date`` can help there."""
    moment = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1792567690"}
    assert retry_after_s(moment) is None
    assert retry_after_s({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}) is None
    assert retry_after_s({**moment, "date": "Wed, 21 Oct 2026 07:28:00 GMT"}) == 10.0
