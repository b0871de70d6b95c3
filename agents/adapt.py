"""How each kind of handler is asked, and how its answer is read. One function per kind; no error translation.

A function gets the prompt (the last user message), or the whole ``Task`` if its parameter is called ``task`` or
annotated with it. A Runnable gets the prompt, a chat model the conversation, a graph ``{"messages": …}`` and the
request's id as its thread. An answer is text, a ``Chunk``, or a LangChain message; a graph's is its last message.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, Protocol, cast

from agents.contract import Chunk, Task
from agents.errors import AgentNotUsable
from configs.kernel import Usage


class RunnableLike(Protocol):
    """The part of a LangChain Runnable, and of a compiled LangGraph graph, that is used."""

    def astream(self, input: Any, /) -> AsyncIterator[Any]:  # noqa: A002 - LangChain's own name
        """Yield the answer in pieces."""
        ...

    async def ainvoke(self, input: Any, config: Any, /) -> Any:  # noqa: A002 - LangChain's own name
        """Return the answer."""
        ...


AnyHandler = Callable[[Any], Awaitable[Any]] | Callable[[Any], AsyncIterator[Any]] | RunnableLike
Answer = Callable[[Task], AsyncGenerator[Chunk]]


def adapted(name: str, handler: AnyHandler) -> Answer:
    """``handler`` as a function from task to chunks. Raises ``AgentNotUsable``, naming what would work."""
    if _is_a(handler, "langgraph.pregel", "Pregel"):
        if "messages" not in cast("Any", handler).channels:
            raise AgentNotUsable(
                f"the graph of agent {name!r} has no `messages` in its state",
                hint="wrap it in an async function that takes the prompt and returns the text",
            )
        return partial(_ask_graph, cast("RunnableLike", handler))
    if _is_a(handler, "langchain_core.language_models.chat_models", "BaseChatModel"):
        return partial(_ask_runnable, cast("RunnableLike", handler), _lc_messages)
    if _is_a(handler, "langchain_core.runnables.base", "Runnable"):
        return partial(_ask_runnable, cast("RunnableLike", handler), prompt_of)
    return _adapted_function(name, handler)


def _adapted_function(name: str, handler: object) -> Answer:
    given = _what_it_takes(name, handler)
    defined = (handler, getattr(type(handler), "__call__", None))  # noqa: B004 - how it is defined, not whether
    if any(inspect.isasyncgenfunction(one) for one in defined):
        return partial(_ask_generator, cast("Callable[[Any], AsyncIterator[Any]]", handler), given)
    if any(inspect.iscoroutinefunction(one) for one in defined):
        return partial(_ask_function, cast("Callable[[Any], Awaitable[Any]]", handler), given)
    # Not run in a thread: nothing can cancel a thread, so a handler that hangs would leak one per call.
    raise AgentNotUsable(
        f"the handler of agent {name!r} is not async",
        hint="make it `async def`, and call what blocks through asyncio.to_thread",
    )


def prompt_of(task: Task) -> str:
    """The last user message."""
    return next((m.content for m in reversed(task.messages) if m.role == "user"), "")


def _what_it_takes(name: str, handler: object) -> Callable[[Task], object]:
    """Whether a function wants the task or the prompt, by the name or the annotation of its one parameter."""
    try:
        parameters = list(inspect.signature(cast("Callable[..., object]", handler)).parameters.values())
    except (TypeError, ValueError):
        raise AgentNotUsable(
            f"the handler of agent {name!r} cannot be called",
            hint="give an async function, an async generator, a Runnable or a compiled graph",
        ) from None
    needed = [p for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    first = parameters[0] if parameters else None
    if first is None or len(needed) > 1 or first.kind in {first.KEYWORD_ONLY, first.VAR_KEYWORD}:
        raise AgentNotUsable(
            f"the handler of agent {name!r} must take one argument", hint="`prompt` for the text, or `task`"
        )
    wants_task = first.name == "task" or first.annotation is Task or first.annotation in {"Task", "contract.Task"}
    return _whole if wants_task else prompt_of


def _whole(task: Task) -> Task:
    return task


async def _ask_function(
    function: Callable[[Any], Awaitable[Any]], given: Callable[[Task], object], task: Task
) -> AsyncGenerator[Chunk]:
    yield _chunk(await function(given(task)))


async def _ask_generator(
    function: Callable[[Any], AsyncIterator[Any]], given: Callable[[Task], object], task: Task
) -> AsyncGenerator[Chunk]:
    async with aclosing(cast("AsyncGenerator[Any]", function(given(task)))) as pieces:
        async for piece in pieces:
            yield _chunk(piece)


async def _ask_runnable(
    runnable: RunnableLike, given: Callable[[Task], object], task: Task
) -> AsyncGenerator[Chunk]:
    async with aclosing(cast("AsyncGenerator[Any]", runnable.astream(given(task)))) as pieces:
        async for piece in pieces:
            yield _chunk(piece)


async def _ask_graph(graph: RunnableLike, task: Task) -> AsyncGenerator[Chunk]:
    """In one piece: which of the tokens that a graph's nodes produce are the answer is known at the end only."""
    from langchain_core.runnables.config import ensure_config  # noqa: PLC0415 - loaded, since there is a graph

    # Inside another graph its configuration has to stay, or an interrupt would not find its way up.
    around = ensure_config().get("configurable", {})
    thread = {"configurable": {"thread_id": task.request_id, **around}}
    state = cast("Mapping[str, Any]", await graph.ainvoke({"messages": _lc_messages(task)}, thread))
    if "__interrupt__" in state:
        raise TypeError("the graph stopped to ask a person, and nobody here can answer it")
    messages = cast("list[object]", state["messages"])
    # The question carries no usage, so whatever does was used for the answer.
    usage = sum((_usage(message) for message in messages), Usage())
    yield Chunk(text=_text(messages[-1]), usage=usage)


def _lc_messages(task: Task) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in task.messages]


def _chunk(answer: object) -> Chunk:
    return answer if isinstance(answer, Chunk) else Chunk(text=_text(answer), usage=_usage(answer))


def _text(answer: object) -> str:
    if isinstance(answer, str):
        return answer
    if _is_a(answer, "langchain_core.messages.base", "BaseMessage"):
        return str(cast("Any", answer).text)
    raise TypeError(f"the answer is of type {type(answer).__name__}, not text")


def _usage(answer: object) -> Usage:
    counts: Mapping[str, Any] | None = getattr(answer, "usage_metadata", None)
    if counts is None:
        return Usage()
    inputs: Mapping[str, int] = counts.get("input_token_details", {})
    outputs: Mapping[str, int] = counts.get("output_token_details", {})
    return Usage(
        input_tokens=counts["input_tokens"],
        output_tokens=counts["output_tokens"],
        cached_tokens=inputs.get("cache_read", 0),
        cache_write_tokens=inputs.get("cache_creation", 0),
        reasoning_tokens=outputs.get("reasoning", 0),
    )


def _is_a(value: object, module: str, name: str) -> bool:
    """``isinstance`` without importing: an object of a class exists only where its module is loaded already."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, name))
