"""Exceptions of the OpenAI SDK, LangChain and httpx become a ``Failure``, here and nowhere else.

What the failure means for breaker, retry and fallback is ``engine/resilience/classify.py``'s decision. Details are
sentences of ours: no body, no URL and no message of a provider ever passes (F7).
"""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import cast

import httpx
import openai
from langchain_core.exceptions import ContextOverflowError
from pydantic import SecretStr

from configs.kernel import Failure, FailureKind

FOREIGN = (
    openai.OpenAIError,
    httpx.HTTPError,
    OSError,
    # How the SDK and LangChain stumble over a body that is not what they expect.
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
)
"""Everything that a call through ``ChatOpenAI`` was seen to raise; cancellation is not among it."""

CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
POLICY_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
TRANSPORT: tuple[tuple[type[httpx.HTTPError], FailureKind, str], ...] = (
    (httpx.ConnectTimeout, FailureKind.CONNECT_TIMEOUT, "no connection within the connect timeout"),
    (httpx.PoolTimeout, FailureKind.REFUSED, "all connections of this route are in use"),
    (httpx.TimeoutException, FailureKind.IDLE_TIMEOUT, "the provider fell silent"),
    (httpx.ConnectError, FailureKind.CONNECT, "no connection"),
    (httpx.UnsupportedProtocol, FailureKind.CONNECT, "no connection: unsupported protocol"),
    (httpx.TransportError, FailureKind.RESET, "the connection broke"),
)


def to_failure(exc: BaseException, produced: bool, secret: SecretStr | None) -> Failure:
    """What ``exc`` says about the call. ``produced``: whether any text had come; ``secret``: must not appear."""
    if isinstance(exc, openai.APIStatusError):
        return _from_status(exc, secret)
    for cause in _chain(exc):
        if isinstance(cause, httpx.HTTPError):
            return _from_transport(cause, produced)
    if isinstance(exc, openai.APIError) and not isinstance(exc, openai.APIConnectionError):
        return _from_event(exc, produced, secret)
    if isinstance(exc, OSError | openai.APIConnectionError):
        return Failure(kind=FailureKind.RESET, detail="the connection broke", produced_text=produced)
    return Failure(
        kind=FailureKind.MALFORMED,
        detail=f"the answer cannot be decoded ({type(exc).__name__})",
        produced_text=produced,
    )


def _from_status(exc: openai.APIStatusError, secret: SecretStr | None) -> Failure:
    code = _code(exc, secret)
    filtered = code is not None and code.lower() in POLICY_CODES
    return Failure(
        kind=FailureKind.POLICY if filtered else FailureKind.STATUS,
        detail=f"the provider answered {exc.status_code}" + (f" ({code})" if code else ""),
        status=exc.status_code,
        code=code,
        retry_after_s=retry_after_s(exc.response.headers, time.time()),
    )


def _from_event(exc: openai.APIError, produced: bool, secret: SecretStr | None) -> Failure:
    """An error inside a stream, after HTTP 200 (fault 25)."""
    code = _code(exc, secret)
    filtered = code is not None and code.lower() in POLICY_CODES
    return Failure(
        kind=FailureKind.POLICY if filtered else FailureKind.STREAM_ERROR,
        detail="the provider broke off with an error" + (f" ({code})" if code else ""),
        code=code,
        produced_text=produced,
    )


def _from_transport(exc: httpx.HTTPError, produced: bool) -> Failure:
    kind, detail = next(
        ((kind, detail) for known, kind, detail in TRANSPORT if isinstance(exc, known)),
        (FailureKind.MALFORMED, "the answer breaks HTTP"),
    )
    if kind is FailureKind.IDLE_TIMEOUT and not produced:
        kind = FailureKind.FIRST_TOKEN_TIMEOUT
    why = _why_unconnected(exc) if kind is FailureKind.CONNECT else ""
    return Failure(kind=kind, detail=detail + why, produced_text=produced)


def _why_unconnected(exc: BaseException) -> str:
    for cause in _chain(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f": the certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return ": the TLS handshake failed"
        if isinstance(cause, socket.gaierror):
            return ": the host name cannot be resolved"
        if isinstance(cause, ConnectionRefusedError):
            return ": refused"
    return ""


def _chain(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = exc
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _code(exc: openai.APIError, secret: SecretStr | None) -> str | None:
    """The provider's code, or its error type where the code is missing or a bare number."""
    if isinstance(exc, ContextOverflowError):
        return "context_length_exceeded"
    body = _error_object(exc.body)
    for name in ("code", "type", "status"):
        value = body.get(name)
        if not isinstance(value, str) or not CODE.fullmatch(value):
            continue
        if secret is not None and secret.get_secret_value() in value:
            continue
        return "context_length_exceeded" if value.lower() in CONTEXT_CODES else value
    return None


def _error_object(body: object) -> Mapping[str, object]:
    """The object that holds code and type: the SDK has unwrapped ``error``, except from Google's list."""
    if isinstance(body, list):
        items = cast("list[object]", body)
        body = items[0] if items else None
    found = _object(body)
    return _object(found["error"]) if "error" in found else found


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def retry_after_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """How long the provider asks to be left alone, in seconds as it says so; the breaker clamps (fault 13).

    ``retry-after-ms``, ``retry-after`` in seconds or as an HTTP date (RFC 9110 §10.2.3; against the answer's own
    ``date``, so that a wrong clock here does not matter), else the reset time of an exhausted
    ``x-ratelimit-remaining-*``. ``None`` when there is nothing, or nothing that can be read.
    """
    millis = _seconds(headers.get("retry-after-ms"))
    if millis is not None:
        return millis / 1_000
    asked = headers.get("retry-after")
    if asked is None:
        return _limit_reset_s(headers)
    seconds = _seconds(asked)
    if seconds is not None:
        return seconds
    at_s = _date_s(asked)
    if at_s is None:
        return None
    sent_s = _date_s(headers.get("date", ""))
    return max(0.0, at_s - (sent_s if sent_s is not None else now_s))


def _limit_reset_s(headers: Mapping[str, str]) -> float | None:
    waits = [
        _duration_s(headers.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if headers.get(f"x-ratelimit-remaining-{what}") == "0"
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _duration_s(text: str) -> float | None:
    """``6m0s``, ``1.5s``, ``120ms``, or plain seconds."""
    plain = _seconds(text)
    if plain is not None:
        return plain
    match = DURATION.fullmatch(text)
    if match is None or not text:
        return None
    hours, minutes, seconds, millis = (float(group or 0) for group in match.groups())
    return hours * 3_600 + minutes * 60 + seconds + millis / 1_000


def _seconds(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _date_s(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
