"""What an HTTP answer, or the lack of one, says about a call: the one reading that models, stores and tools share.

Status, headers and body become a ``Failure``; exceptions of httpx and httpx2 too. What that means is decided by
``engine/resilience/classify.py``. Details are sentences of ours: no body, no URL and no message of the other side
ever passes (F7); a body is read for its error code only. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

from pydantic import SecretStr

from configs.foreign import causes, class_names, why_unconnected
from configs.kernel import Failure, FailureKind
from configs.retry_after import delay_s, retry_after_s

CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
CONTEXT_CODE = "context_length_exceeded"
CONTEXT_CODES = frozenset({CONTEXT_CODE, "exceed_context_size_error"})
POLICY_CODES = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
TOO_LONG = re.compile(
    r"context (?:length|window|size)|(?:prompt|input) is too long|token count.{0,80}exceeds",
    re.IGNORECASE | re.DOTALL,
)
"""vLLM, Anthropic, Gemini, Bedrock and Together have no code for it. Whoever makes a server echo these words gains
a ``CALLER`` outcome, which costs nobody anything."""
EMPTY_ACCOUNT = re.compile(
    r"your credit balance is too low|you have reached your specified (?:workspace )?api usage limits",
    re.IGNORECASE,
)
"""Anthropic's, which have no code either. Only at the very start, where no server echoes a prompt: a key is parked
for it."""
SAYS_WHY = frozenset({400, 403, 413, 422})
HTTPX = ("httpx", "httpx2")
TRANSPORT: Mapping[str, tuple[FailureKind, str]] = {
    "ConnectTimeout": (FailureKind.CONNECT_TIMEOUT, "no connection within the connect timeout"),
    "PoolTimeout": (FailureKind.REFUSED, "all connections of this route are in use"),
    "TimeoutException": (FailureKind.IDLE_TIMEOUT, "the other side fell silent"),
    "ConnectError": (FailureKind.CONNECT, "no connection"),
    "UnsupportedProtocol": (FailureKind.CONNECT, "no connection: unsupported protocol"),
    "DecodingError": (FailureKind.MALFORMED, "the answer breaks HTTP"),
    "TransportError": (FailureKind.RESET, "the connection broke"),
    "HTTPError": (FailureKind.MALFORMED, "the answer breaks HTTP"),
}
"""By class, the most specific first; httpx and httpx2 name theirs alike."""


def failure_of_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float | None = None,
    secret: SecretStr | None = None,
) -> Failure:
    """What an error answer says. ``headers`` by lower-case name or case-insensitively; ``body`` may be anything.

    ``now_s``: Unix time, for a ``Retry-After`` date in an answer that has no ``date``. ``secret`` must not appear.
    """
    return failure_of_answer(status, headers, _decoded(body), now_s=now_s, secret=secret)


def failure_of_answer(
    status: int,
    headers: Mapping[str, str],
    body: object,
    *,
    now_s: float | None = None,
    secret: SecretStr | None = None,
) -> Failure:
    """The same for a body that somebody has decoded already; what is no object says nothing."""
    code = error_code(body, secret, status) or _aws_code(headers, secret)
    filtered = code is not None and code.lower() in POLICY_CODES
    wait_s = retry_after_s(headers, now_s)
    return Failure(
        kind=FailureKind.POLICY if filtered else FailureKind.STATUS,
        detail=f"the provider answered {status}" + (f" ({code})" if code else ""),
        status=status,
        code=code,
        retry_after_s=_delay_in_body_s(body) if wait_s is None else wait_s,
    )


def failure_of_transport(exc: BaseException, *, produced: bool = False) -> Failure | None:
    """What an exception of httpx or httpx2 in the chain of ``exc`` says, or ``None`` when there is none.

    ``produced``: whether any of the answer had come.
    """
    for cause in causes(exc):
        for name in class_names(cause, *HTTPX):
            if name not in TRANSPORT:
                continue
            kind, detail = TRANSPORT[name]
            why = why_unconnected(cause) if kind is FailureKind.CONNECT else ""
            return Failure(kind=kind, detail=detail + why, produced_text=produced)
    return None


def error_code(body: object, secret: SecretStr | None, status: int | None = None) -> str | None:
    """The error code in ``body``, else its error type; for some errors that have none, what its words imply.

    Only what looks like a code passes, and nothing that holds ``secret``.
    """
    found = _error_object(body)
    code = next((code for code in _codes(found) if CODE.fullmatch(code) and not _holds(code, secret)), None)
    if code is not None and code.lower() in CONTEXT_CODES:
        return CONTEXT_CODE
    message = found.get("message")
    if status in SAYS_WHY and isinstance(message, str):
        if EMPTY_ACCOUNT.match(message):
            return "spend_limit_reached"
        if TOO_LONG.search(message):
            return CONTEXT_CODE
        if status == 403 and "reasons" in _object(found.get("metadata")):
            return "moderation_blocked"  # OpenRouter: the prompt was flagged, the key is fine
    return code


def _codes(found: Mapping[str, object]) -> Iterator[str]:
    """Candidates, the most telling first: Anthropic's and Google's details, then code, type and status."""
    details = found.get("details")
    first = _object(details).get("error_code")
    reasons = (_object(item).get("reason") for item in cast("list[object]", details)) if _is_list(details) else ()
    for value in (first, *reasons, *(found.get(name) for name in ("code", "type", "status", "__type"))):
        if isinstance(value, str):
            yield value.rpartition("#")[2]  # AWS puts a namespace in front


def _aws_code(headers: Mapping[str, str], secret: SecretStr | None) -> str | None:
    """Bedrock names the error in a header, with a link behind it."""
    code = headers.get("x-amzn-errortype", "").partition(":")[0]
    return code if CODE.fullmatch(code) and not _holds(code, secret) else None


def _delay_in_body_s(body: object) -> float | None:
    """Google's ``RetryInfo``, seconds; it sends no header."""
    details = _error_object(body).get("details")
    waits = [
        delay_s(delay)
        for item in (cast("list[object]", details) if _is_list(details) else ())
        if isinstance(delay := _object(item).get("retryDelay"), str)
    ]
    return max((wait for wait in waits if wait is not None), default=None)


def _error_object(body: object) -> Mapping[str, object]:
    """The object that holds code and type: wrapped in ``error``, bare, or in Google's list of one."""
    if _is_list(body):
        items = cast("list[object]", body)
        body = items[0] if items else None
    found = _object(body)
    return _object(found["error"]) if "error" in found else found


def _decoded(body: bytes) -> object:
    try:
        return cast("object", json.loads(body))
    except (ValueError, RecursionError):
        return None


def _holds(code: str, secret: SecretStr | None) -> bool:
    return secret is not None and secret.get_secret_value() in code


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
