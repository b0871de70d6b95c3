"""Nothing that a provider, a store, a tool or a caller wrote leaves an adapter, as detail or as code (F7)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator

import httpx
import neo4j.exceptions as neo4j_errors
import pytest
import redis.exceptions as redis_errors
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.shared.exceptions import MCPError
from pydantic import SecretStr
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

import mcp_tools.translate
import memory.translate
from agents.translate import to_failure
from configs.foreign import UNTRUSTED, causes, why_unconnected
from configs.http_failure import failure_of_response
from configs.kernel import Failure
from tests.support import foreign_errors as foreign

# Letters that start no word of ours, so that a planted text can only be found where it has leaked.
PLANTED = st.text("abcdefghij0123456789", min_size=6, max_size=24).map(lambda text: "Zq9" + text)
REDIS_WORDS = ("ERR", "NOAUTH", "OOM", "MISCONF", "WRONGTYPE", "BUSY", "EXECABORT")
STATUSES = (302, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503)


def from_providers(secret: str) -> Iterator[Failure | None]:
    """Bodies, headers and exception texts that hold the key, wherever a provider could put it."""
    key = SecretStr(secret)
    body = dict.fromkeys(("message", "code", "type", "status", "param", "__type"), secret)
    details = [{"reason": secret, "retryDelay": secret}]
    bodies = ({"error": {**body, "details": details}}, {"error": {"details": {"error_code": secret}}}, secret)
    headers = {"x-amzn-errortype": secret, "retry-after": secret, "location": secret}
    for status in STATUSES:
        for sent in bodies:
            case = {"status": status, "headers": headers, "body": sent}
            yield to_failure(foreign.openai_status(case), False, key)
            yield failure_of_response(status, httpx.Headers(headers), foreign.body_of(case), secret=key)
    yield to_failure(foreign.openai_event({"body": body}), True, key)
    for name in ("ConnectError", "ReadTimeout", "DecodingError"):
        yield to_failure(foreign.httpx_error(httpx, name, secret), False, key)
    yield to_failure(ValueError(secret), False, key)


def from_redis(secret: str) -> Iterator[Failure | None]:
    """Error replies quote commands and keys; connection errors name the host."""
    yield memory.translate.failure_of(foreign.redis_error({"reply": secret}))
    for word in REDIS_WORDS:
        yield memory.translate.failure_of(foreign.redis_error({"reply": f"{word} {secret}"}))
    yield memory.translate.failure_of(foreign.redis_error({"reply": f"MOVED 3999 {secret}:6379"}))
    for name in ("ConnectionError", "TimeoutError", "DataError", "InvalidResponse", "AuthenticationError"):
        yield memory.translate.failure_of(getattr(redis_errors, name)(secret))
    marked = redis_errors.ResponseError(secret)
    marked.status_code = secret
    yield memory.translate.failure_of(marked)
    yield memory.translate.failure_of(OSError(5, secret, secret))


def from_neo4j(secret: str) -> Iterator[Failure | None]:
    """Messages quote the query; an unknown code could be anything."""
    for code in (
        "Neo.ClientError.Statement.SyntaxError",
        f"Neo.ClientError.{secret}.{secret}",
        f"Neo.TransientError.{secret}.{secret}",
        f"{secret}.{secret}.{secret}.{secret}",
        secret,
    ):
        yield memory.translate.failure_of(foreign.neo4j_code(code, secret))
    for name in ("ServiceUnavailable", "SessionExpired", "ConfigurationError", "ResultFailedError"):
        yield memory.translate.failure_of(foreign.neo4j_error({"raises": name, "text": secret}))
    caused = neo4j_errors.ServiceUnavailable(secret)
    caused.__cause__ = ssl.SSLCertVerificationError(1, secret)
    yield memory.translate.failure_of(caused)


def from_qdrant(secret: str) -> Iterator[Failure | None]:
    """Answers quote collection names and payloads."""
    for status in STATUSES:
        body = {"status": {"error": f"Not found: Collection `{secret}` expected dim"}, "code": secret}
        yield memory.translate.failure_of(foreign.qdrant_error({"status": status, "body": body}))
        yield memory.translate.failure_of(foreign.qdrant_error({"status": status, "body": secret}))
    yield memory.translate.failure_of(foreign.qdrant_error({"status": 200, "body": {"result": secret}}))
    yield memory.translate.failure_of(ResourceExhaustedResponse(secret, 3))


def from_tools(secret: str) -> Iterator[Failure | None]:
    """A server writes message and data of an error as it likes, and the SDK puts addresses into its own."""
    for code in (*mcp_tools.translate.BY_CODE, 0, 7):
        yield mcp_tools.translate.failure_of(MCPError(code, secret, {"text": secret}))
    for start, *_ in mcp_tools.translate.SDK_WORDS:
        yield mcp_tools.translate.failure_of(MCPError(-32600, f"{start} {secret}"))
    for name in ("httpx2.ConnectError", "builtins.FileNotFoundError", "anyio.ClosedResourceError"):
        yield mcp_tools.translate.failure_of(foreign.mcp_error({"raises": name, "text": secret}))
    for status in (401, 404, 503):
        case = {"status": status, "text": secret, "headers": {"x-amzn-errortype": secret}}
        yield mcp_tools.translate.failure_of(foreign.mcp_error(case))


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize("adapter", [from_providers, from_redis, from_neo4j, from_qdrant, from_tools])
@settings(max_examples=20)
@given(secret=PLANTED)
def test_what_others_wrote_never_leaves_an_adapter(
    adapter: Callable[[str], Iterator[Failure | None]], secret: str
) -> None:
    """F7, with the secret in every place that the other side can write to."""
    for failure in adapter(secret):
        assert failure is not None
        assert secret not in f"{failure.detail} {failure.code}"


def test_a_certificate_that_is_refused_is_named_without_the_host() -> None:
    """OpenSSL's own sentence for a wrong host name contains the host name."""
    refused = ssl.SSLCertVerificationError(1, "certificate verify failed")
    refused.verify_code = 62
    refused.verify_message = "Hostname mismatch, certificate is not valid for 'inner.example'."
    assert why_unconnected(refused) == ": the certificate is not trusted (for another host)"
    refused.verify_code = 999
    assert why_unconnected(refused) == ": the certificate is not trusted (refused by OpenSSL)"
    assert set(UNTRUSTED) == {9, 10, 18, 19, 20, 62}


def test_each_cause_is_looked_at_once_whatever_circle_they_form() -> None:
    """Exceptions may be linked in circles, also through a group and its members."""
    first, second = ValueError("a"), ValueError("b")
    group = ExceptionGroup("g", [first, second])
    first.__cause__, second.__cause__ = second, group
    assert list(causes(group)) == [group, first, second]
    assert list(causes(second)) == [second, group, first]
