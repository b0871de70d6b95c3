"""A user's own code as an ``Agent``: an async function, an async generator, a LangChain Runnable or a graph.

It gets what every agent gets around it (breaker, deadline, trace) and a translation of what it raises. It is not
sandboxed, and it is not given a model: it brings its own. How each kind is asked and read is ``agents.adapt``'s.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from agents.adapt import AnyHandler, adapted
from agents.contract import ChatModel, Chunk, Task
from agents.errors import CallFailed
from agents.parts import encodable
from configs.catalogue import AgentCapability
from configs.errors import SwitchgearError
from configs.kernel import Failure, FailureKind, Usage

__all__ = ["AnyHandler", "HandlerAgent"]

NESTED = {"all_routes_unavailable": FailureKind.REFUSED, "deadline_exceeded": FailureKind.DEADLINE}
"""Errors of an engine that the handler itself has asked: not failures of its code (B17)."""


class HandlerAgent:
    """``Agent`` around a handler. Streams if the handler does."""

    def __init__(self, capability: AgentCapability, handler: AnyHandler) -> None:
        """Raises ``AgentNotUsable`` when ``handler`` is nothing that can be asked without blocking the loop."""
        self._capability = capability
        self._answer = adapted(capability.name, handler)

    @property
    def capability(self) -> AgentCapability:
        """What this agent is for."""
        return self._capability

    async def run(
        self,
        task: Task,
        model: ChatModel | None,  # noqa: ARG002 - part of the Protocol; a handler brings its own
    ) -> AsyncGenerator[Chunk]:
        """Answer ``task``. Raises ``CallFailed``; cancellation and LangGraph's signals pass through."""
        usage = Usage()
        with _UsersCode(self._capability.name) as code:
            async with aclosing(self._answer(task)) as pieces:
                async for piece in pieces:
                    usage += piece.usage if piece.usage is not None else Usage()
                    code.produced_text = code.produced_text or bool(piece.text.strip())
                    if piece.text:
                        yield Chunk(text=encodable(piece.text))
            if not code.produced_text:
                raise CallFailed(Failure(kind=FailureKind.EMPTY, detail="the answer has no text"))
        yield Chunk(usage=usage, finish_reason="stop")


class _UsersCode:
    """Translates what leaves the block: any ``Exception`` may, since the code in it is not ours."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.produced_text = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(exc, Exception) and not isinstance(exc, CallFailed) and not _is_graph_signal(exc):
            raise CallFailed(self._failure(exc)) from exc

    def _failure(self, exc: Exception) -> Failure:
        if isinstance(exc, SwitchgearError) and exc.code in NESTED:
            return Failure(
                kind=NESTED[exc.code],
                detail=f"an engine asked by agent {self._name!r} answered {exc.code}",
                retry_after_s=getattr(exc, "retry_after_s", None),
                produced_text=self.produced_text,
            )
        # The type only: the message is the user's and may hold anything (F7). The cause has it.
        return Failure(
            kind=FailureKind.AGENT,
            detail=f"agent {self._name!r} raised {type(exc).__name__}",
            produced_text=self.produced_text,
        )


def _is_graph_signal(exc: Exception) -> bool:
    # Looked up, not imported: LangGraph takes seconds, and nobody can raise its signals without it.
    errors = sys.modules.get("langgraph.errors")
    return errors is not None and isinstance(exc, errors.GraphBubbleUp)
