"""Exceptions of the OpenAI SDK, LangChain and httpx become a ``Failure``, here and nowhere else.

What the failure means for breaker, retry and fallback is ``engine/resilience/classify.py``'s decision; how an HTTP
answer or its absence is read is ``configs/http_failure.py``'s. Details are sentences of ours: no body, no URL and
no message of a provider ever passes (F7).
"""

from __future__ import annotations

import time
from dataclasses import replace

import httpx
import openai
from langchain_core.exceptions import ContextOverflowError
from pydantic import SecretStr

from configs.http_failure import (
    CONTEXT_CODE,
    POLICY_CODES,
    error_code,
    failure_of_answer,
    failure_of_transport,
)
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


def to_failure(exc: BaseException, produced: bool, secret: SecretStr | None) -> Failure:
    """What ``exc`` says about the call. ``produced``: whether any text had come; ``secret``: must not appear."""
    if isinstance(exc, openai.APIStatusError):
        return _from_status(exc, secret)
    transport = failure_of_transport(exc, produced=produced)
    if transport is not None:
        fresh = transport.kind is FailureKind.IDLE_TIMEOUT and not produced
        return replace(transport, kind=FailureKind.FIRST_TOKEN_TIMEOUT) if fresh else transport
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
    body = {"code": CONTEXT_CODE} if isinstance(exc, ContextOverflowError) else exc.body
    return failure_of_answer(exc.status_code, exc.response.headers, body, now_s=time.time(), secret=secret)


def _from_event(exc: openai.APIError, produced: bool, secret: SecretStr | None) -> Failure:
    """An error inside a stream, after HTTP 200 (fault 25)."""
    code = CONTEXT_CODE if isinstance(exc, ContextOverflowError) else error_code(exc.body, secret)
    filtered = code is not None and code.lower() in POLICY_CODES
    return Failure(
        kind=FailureKind.POLICY if filtered else FailureKind.STREAM_ERROR,
        detail="the provider broke off with an error" + (f" ({code})" if code else ""),
        code=code,
        produced_text=produced,
    )
