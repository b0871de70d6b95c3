"""What an exception means to a breaker: nothing (control flow), somebody else's failure, or a ``Failure``.

Pure. Foreign exceptions are translated by the adapter that owns the library; what arrives here untranslated is a
programming error of the code behind the shield and is named by its type only, since its text may hold anything.
"""

from __future__ import annotations

import sys
from typing import cast

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded, RejectedByModel, TooDeep
from engine.resilience.errors import CallRefused, LeafCallFailed
from memory.errors import BackendUnavailable

INNER = (
    CallRefused,
    LeafCallFailed,
    AllRoutesUnavailable,
    AnswerInterrupted,
    RejectedByModel,
    BackendUnavailable,
    TooDeep,
)
"""Raised only after an inner breaker, chain or store has had its say."""
CAUSES_MAX = 16


def passes_through(exc: BaseException) -> bool:
    """Whether ``exc`` is control flow: cancellation, interpreter exit, or LangGraph's interrupts and commands."""
    if not isinstance(exc, Exception):
        return True
    # Looked up, not imported: LangGraph costs seconds, and its signals exist only where it is loaded already.
    graph_errors = sys.modules.get("langgraph.errors")
    if graph_errors is not None and isinstance(exc, graph_errors.GraphBubbleUp):
        return True
    if not isinstance(exc, ExceptionGroup):
        return False
    return any(passes_through(inner) for inner in cast("ExceptionGroup[Exception]", exc).exceptions)


def failure_of(exc: Exception) -> Failure:
    """The failure that ``exc`` stands for."""
    if isinstance(exc, CallFailed | BackendUnavailable) and exc.failure is not None:
        return exc.failure
    if isinstance(exc, DeadlineExceeded):
        return Failure(kind=FailureKind.DEADLINE, detail=exc.message)
    if isinstance(exc, AllRoutesUnavailable):
        return Failure(kind=FailureKind.REFUSED, detail=exc.code, retry_after_s=exc.retry_after_s)
    return Failure(kind=FailureKind.AGENT, detail=f"{type(exc).__name__} was raised")


def is_inner(exc: BaseException | None) -> bool:
    """Whether something behind an inner shield is at the root of ``exc``, also after a re-raise (B17)."""
    for _ in range(CAUSES_MAX):
        if exc is None or isinstance(exc, INNER):
            break
        hidden = exc.__cause__ is None and exc.__suppress_context__
        exc = None if hidden else exc.__cause__ if exc.__cause__ is not None else exc.__context__
    return isinstance(exc, INNER)
