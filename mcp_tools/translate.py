"""Exceptions of the MCP SDK 2.x and of the transports under it become a ``Failure``, here and nowhere else.

What the failure means is ``engine/resilience/classify.py``'s decision. Libraries are recognised by the names of
their classes and never imported. A result with ``is_error`` is a result and never comes here (fault 51).
Details are sentences of ours: nothing that a server or a caller wrote ever passes (F7). Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from configs.foreign import causes, class_names
from configs.http_failure import failure_of_answer, failure_of_transport
from configs.kernel import Failure, FailureKind

K = FailureKind
Reading = tuple[FailureKind, str]

BY_CODE: Mapping[int, Reading] = {
    -32700: (K.MALFORMED, "its answer is not JSON-RPC"),
    -32600: (K.INVALID, "our request is not valid to it"),
    -32601: (K.ABSENT, "it has no such method"),
    -32602: (K.INVALID, "the arguments are wrong"),
    -32603: (K.UNABLE, "it failed inside"),
    -32000: (K.RESET, "the connection closed before the answer"),
    -32001: (K.IDLE_TIMEOUT, "no answer in time"),
    -32002: (K.INVALID, "it has no such resource"),
    -32020: (K.ABSENT, "it does not accept our protocol headers"),
    -32021: (K.ABSENT, "it needs a capability that we do not offer"),
    -32022: (K.ABSENT, "it speaks another version of the protocol"),
    -32042: (K.INVALID, "somebody must first give consent at an address of its own"),
}
"""JSON-RPC 2.0 §5.1, MCP 2026-07-28 (-32020 to -32042), the SDK's own -32000 and -32001. Any other: it failed."""
SDK_WORDS: tuple[tuple[str, FailureKind, str, str], ...] = (
    ("Session terminated", K.RESET, "the session has expired", "session_expired"),
    ("Unexpected content type", K.MALFORMED, "its answer is neither JSON nor a stream of events", ""),
    ("server answered a request with 202", K.MALFORMED, "it accepted the request and answered nothing", ""),
    ("Redirect to", K.ABSENT, "it has moved, and redirects are not followed", ""),
)
"""What the SDK's own HTTP transport puts behind -32600, by how its message begins."""
BY_CLASS: Mapping[str, Reading] = {
    "ClosedResourceError": (K.RESET, "the connection is closed"),
    "BrokenResourceError": (K.RESET, "the connection broke"),
    "EndOfStream": (K.RESET, "the connection ended"),
    "OAuthFlowError": (K.DENIED, "logging in failed"),
    "StreamableHTTPError": (K.RESET, "the stream of events cannot be resumed"),
    "SubscriptionLost": (K.RESET, "the connection broke"),
    "ListenNotSupportedError": (K.ABSENT, "it has no such method"),
    "UnexpectedClaimedResult": (K.MALFORMED, "its answer is of a kind that was not asked for"),
    "InputRequiredRoundsExceededError": (K.INVALID, "it kept asking for more input"),
    "ValidationError": (K.MALFORMED, "its answer breaks the protocol"),
}
SYSTEM: Mapping[type[OSError], Reading] = {
    FileNotFoundError: (K.ABSENT, "its program is not there"),
    PermissionError: (K.ABSENT, "its program may not be started"),
    ConnectionRefusedError: (K.CONNECT, "no connection: refused"),
    TimeoutError: (K.IDLE_TIMEOUT, "no answer in time"),
    OSError: (K.RESET, "the connection broke"),
}
"""What starting a server, or a pipe to it, raises; the most specific first."""
LIBRARIES = ("mcp", "anyio", "pydantic", "pydantic_core")


def failure_of(exc: BaseException) -> Failure | None:
    """What ``exc`` says about the call, or ``None`` for an exception that is none of MCP's.

    A task group's exceptions and causes are looked through: the SDK hides what broke a transport inside them.
    """
    for cause in causes(exc):
        failure = _of_one(cause)
        if failure is not None:
            return failure
    return None


def _of_one(exc: BaseException) -> Failure | None:
    if any(name == "MCPError" for name in class_names(exc, "mcp")):
        return _of_rpc(exc)
    for name in class_names(exc, *LIBRARIES):
        if name in BY_CLASS:
            kind, said = BY_CLASS[name]
            return Failure(kind=kind, detail=said)
    if "HTTPStatusError" in class_names(exc, "httpx", "httpx2"):
        return _of_status(exc)
    if any(True for _ in class_names(exc, "httpx", "httpx2")):
        return failure_of_transport(exc)
    return _of_system(exc)


def _of_rpc(exc: BaseException) -> Failure:
    code, message = int(getattr(exc, "code", 0)), str(exc)
    if code == -32600:
        for start, kind, said, name in SDK_WORDS:
            if message.startswith(start):
                return Failure(kind=kind, detail=said, code=name or str(code))
    kind, said = BY_CODE.get(code, (K.UNABLE, "it answered with an error"))
    return Failure(kind=kind, detail=f"{said} ({code})", code=str(code))


def _of_status(exc: BaseException) -> Failure | None:
    """From a client whose owner raises for a status; the SDK by itself turns most of them into -32603."""
    response: object = getattr(exc, "response", None)
    status, headers = getattr(response, "status_code", None), getattr(response, "headers", None)
    if not isinstance(status, int):
        return None
    read = failure_of_answer(status, cast("Mapping[str, str]", headers or {}), None)
    return Failure(kind=read.kind, detail=f"it answered {status}", status=status, retry_after_s=read.retry_after_s)


def _of_system(exc: BaseException) -> Failure | None:
    for known, (kind, said) in SYSTEM.items():
        if isinstance(exc, known):
            return Failure(kind=kind, detail=said)
    return None
