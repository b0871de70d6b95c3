"""A user's own code as an agent: what it is given, how its answer is read, and what becomes of its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp, GraphInterrupt
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import interrupt
from typing_extensions import TypedDict

from agents.contract import Chunk, Task
from agents.errors import AgentNotUsable, CallFailed
from agents.handler import HandlerAgent
from agents.scripted import ScriptedModel
from configs.catalogue import AgentCapability
from configs.errors import SwitchgearError
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling, Usage

TASK = Task(
    messages=(Message("system", "be brief"), Message("user", "first"), Message("user", "question")),
    sampling=Sampling(max_tokens=9),
    deadline=Deadline(float("inf")),
    request_id="r1",
)
pytestmark = pytest.mark.req("serve.python")


def agent(handler: Any) -> HandlerAgent:
    """An agent around ``handler``."""
    return HandlerAgent(AgentCapability(name="own", description="mine"), handler)


async def chunks_of(handler: Any) -> list[Chunk]:
    """All chunks of its answer."""
    async with aclosing(agent(handler).run(TASK, None)) as chunks:
        return [chunk async for chunk in chunks]


async def failure_of(handler: Any) -> CallFailed:
    """How its answer failed."""
    with pytest.raises(CallFailed) as caught:
        await chunks_of(handler)
    return caught.value


def text(chunks: list[Chunk]) -> str:
    """The answer."""
    return "".join(chunk.text for chunk in chunks)


async def echo(prompt: str) -> str:
    """A plain handler."""
    return f"you said {prompt}"


async def of_task(task: Task) -> str:
    """By the parameter's name."""
    return f"{len(task.messages)} messages in {task.request_id}"


async def of_annotation(job: Task) -> str:
    """By the annotation, which is a string in this module."""
    return f"{job.messages[0].content}"


async def with_options(prompt: str, style: str = "plain", *, loud: bool = False) -> str:
    """More parameters, all with defaults."""
    return f"{style} {prompt}"


async def words(prompt: str) -> AsyncIterator[str]:
    """An async generator."""
    for word in ("three ", "little ", "words"):
        yield word


class Callee:
    """An object with an async call."""

    async def __call__(self, prompt: str) -> str:
        return f"object {prompt}"

    async def method(self, prompt: str) -> str:
        return f"method {prompt}"


async def two(first: str, prompt: str) -> str:
    """For a partial."""
    return f"{first} {prompt}"


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (echo, "you said question"),
        (of_task, "3 messages in r1"),
        (of_annotation, "be brief"),
        (with_options, "plain question"),
        (words, "three little words"),
        (Callee(), "object question"),
        (Callee().method, "method question"),
        (partial(two, "bound"), "bound question"),
        (RunnableLambda(echo), "you said question"),
        (RunnableLambda(lambda prompt: AIMessage(f"message {prompt}")), "message question"),
        (ChatPromptTemplate.from_messages([("user", "{q}")]) | RunnableLambda(lambda v: v.to_string()), None),
    ],
)
async def test_each_kind_of_handler_answers(handler: Any, answer: str | None) -> None:
    """Given the prompt or the task, its answer is text; the last chunk closes it."""
    chunks = await chunks_of(handler)
    assert text(chunks) == ("Human: question" if answer is None else answer)
    assert (chunks[-1].finish_reason, chunks[-1].usage) == ("stop", Usage())


async def test_a_generator_streams_piece_by_piece() -> None:
    """The second piece is not made before the first one has been taken."""
    made: list[str] = []

    async def pieces(prompt: str) -> AsyncIterator[str]:
        for word in ("a", "b"):
            made.append(word)
            yield word

    async with aclosing(agent(pieces).run(TASK, None)) as chunks:
        assert (await anext(chunks)).text == "a"
        assert made == ["a"]
        assert (await anext(chunks)).text == "b"


async def test_closing_the_answer_closes_the_generator() -> None:
    """Its ``finally`` runs at once, not when it is collected."""
    closed = asyncio.Event()

    async def pieces(prompt: str) -> AsyncIterator[str]:
        try:
            yield "a"
            yield "b"
        finally:
            closed.set()

    chunks = agent(pieces).run(TASK, None)
    await anext(chunks)
    await chunks.aclose()
    assert closed.is_set()


async def test_a_chat_model_gets_the_conversation_and_streams() -> None:
    """Roles and texts; the tokens it reports are counted."""
    seen: list[Any] = []

    class Model(GenericFakeChatModel):
        def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            seen.extend((m.type, m.content) for m in messages)
            return super()._stream(messages, *args, **kwargs)

    chunks = await chunks_of(Model(messages=iter([AIMessage("two words")])))
    assert text(chunks) == "two words"
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert seen == [("system", "be brief"), ("human", "first"), ("human", "question")]


def graph(node: Any, **compile_options: Any) -> Any:
    """A graph of one node."""
    builder = StateGraph(MessagesState)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    builder.add_edge("node", END)
    return builder.compile(**compile_options)


async def reply(state: MessagesState) -> dict[str, Any]:
    """Answers with a count that it claims to have used."""
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "input_token_details": {"cache_read": 3}}
    return {"messages": [AIMessage(f"{len(state['messages'])} came", usage_metadata=usage)]}


@pytest.mark.parametrize("options", [{}, {"checkpointer": InMemorySaver()}])
async def test_a_compiled_graph_answers_with_its_last_message(options: dict[str, Any]) -> None:
    """In one piece, with the usage of its messages; a checkpointer gets the request as its thread."""
    chunks = await chunks_of(graph(reply, **options))
    assert [chunk.text for chunk in chunks] == ["3 came", ""]
    assert chunks[-1].usage == Usage(input_tokens=5, output_tokens=2, cached_tokens=3)


async def test_an_interrupt_inside_another_graph_reaches_it() -> None:
    """A person can be asked from within a handler: the signal is neither counted nor turned into a failure."""

    async def asks(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(f"approved {interrupt('may I?')}")]}

    async def outer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(text(await chunks_of(graph(asks))))]}

    whole = graph(outer, checkpointer=InMemorySaver())
    state = await whole.ainvoke({"messages": [("user", "q")]}, {"configurable": {"thread_id": "t"}})
    assert [pause.value for pause in state["__interrupt__"]] == ["may I?"]


@pytest.mark.parametrize("options", [{}, {"checkpointer": InMemorySaver()}])
async def test_a_graph_answers_inside_a_graph_that_keeps_nothing(options: dict[str, Any]) -> None:
    """As in the engine, whose own graph has no checkpointer and no thread."""

    async def outer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(text(await chunks_of(graph(reply, **options))))]}

    state = await graph(outer, checkpointer=False).ainvoke({"messages": [("user", "q")]})
    assert state["messages"][-1].text == "3 came"


async def test_an_interrupt_that_nobody_can_answer_is_a_failure() -> None:
    """Outside a graph that waits for it, the answer would never come."""

    async def asks(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage(str(interrupt("may I?")))]}

    error = await failure_of(graph(asks, checkpointer=InMemorySaver()))
    assert error.failure.kind is FailureKind.AGENT


class Trouble(Exception):
    """What a user's code may raise."""


@pytest.mark.parametrize("began", [False, True])
async def test_an_exception_of_the_users_code_is_a_failure_with_its_cause(began: bool) -> None:
    """Kind AGENT, named by type only; the original is the cause, for whoever may see it."""
    trouble = Trouble("secret-canary")

    async def breaks(prompt: str) -> AsyncIterator[str]:
        if began:
            yield "some"
        raise trouble

    error = await failure_of(breaks)
    assert error.failure == Failure(
        kind=FailureKind.AGENT, detail="agent 'own' raised Trouble", produced_text=began
    )
    assert error.__cause__ is trouble


@pytest.mark.parametrize("signal", [GraphBubbleUp(), GraphInterrupt()])
async def test_signals_of_langgraph_pass_through(signal: Exception) -> None:
    """The very object: an interrupt must reach the graph that waits for it."""

    async def signals(prompt: str) -> str:
        raise signal

    with pytest.raises(GraphBubbleUp) as caught:
        await chunks_of(signals)
    assert caught.value is signal


async def test_cancellation_passes_through() -> None:
    """And the handler's own clean-up runs."""
    begun, cleaned = asyncio.Event(), asyncio.Event()

    async def waits(prompt: str) -> str:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            cleaned.set()
        return ""

    running = asyncio.create_task(chunks_of(waits))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned.is_set()


async def test_a_typed_failure_of_an_inner_call_is_left_alone() -> None:
    """A handler that asks a model of ours passes on how that failed."""
    inner = CallFailed(Failure(kind=FailureKind.RESET, detail="the connection broke"))

    async def asks(prompt: str) -> str:
        raise inner

    assert await failure_of(asks) is inner


@pytest.mark.req("brk.nested")
@pytest.mark.parametrize(
    ("code", "kind"),
    [("all_routes_unavailable", FailureKind.REFUSED), ("deadline_exceeded", FailureKind.DEADLINE)],
)
async def test_an_engine_asked_by_the_handler_is_not_the_handlers_failure(code: str, kind: FailureKind) -> None:
    """What an inner engine could not do is neutral for the agent's breaker (B17)."""

    async def asks(prompt: str) -> str:
        error = SwitchgearError("no route", code=code)
        error.retry_after_s = 7.0
        raise error

    failure = (await failure_of(asks)).failure
    assert (failure.kind, failure.retry_after_s) == (kind, 7.0)


@pytest.mark.parametrize("answer", ["", "  \n", Chunk()])
async def test_an_answer_without_text_is_a_failure(answer: object) -> None:
    """As it is for a model (fault 31)."""

    async def silent(prompt: str) -> object:
        return answer

    assert (await failure_of(silent)).failure.kind is FailureKind.EMPTY


@pytest.mark.parametrize("answer", [None, 42, {"text": "x"}, b"bytes", ["a"]])
async def test_an_answer_that_is_no_text_is_a_failure(answer: object) -> None:
    """Nothing is guessed: the type is named."""

    async def odd(prompt: str) -> object:
        return answer

    error = await failure_of(odd)
    assert error.failure.kind is FailureKind.AGENT
    assert type(answer).__name__ in str(error.__cause__)


async def test_usage_of_a_message_counts_without_its_details() -> None:
    """A model that reports two numbers and nothing more."""
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}

    async def answers(prompt: str) -> AIMessage:
        return AIMessage("x", usage_metadata=usage)

    assert (await chunks_of(answers))[-1].usage == Usage(input_tokens=5, output_tokens=2)


async def test_usage_in_chunks_is_added_up() -> None:
    """A handler that knows what it used can say so."""

    async def counts(prompt: str) -> AsyncIterator[Chunk]:
        yield Chunk(text="a", usage=Usage(input_tokens=1, output_tokens=2))
        yield Chunk(usage=Usage(input_tokens=3))

    assert (await chunks_of(counts))[-1].usage == Usage(input_tokens=4, output_tokens=2)


def blocking(prompt: str) -> str:
    """Not async."""
    return prompt


async def nothing() -> str:
    """Takes no argument."""
    return ""


async def too_many(a: str, b: str) -> str:
    """Takes two."""
    return a + b


async def keyword_only(*, prompt: str) -> str:
    """Cannot be given one."""
    return prompt


class Other(TypedDict):
    """A state without messages."""

    q: str


def no_messages() -> Any:
    """A graph that could not be asked."""
    builder = StateGraph(Other)
    builder.add_node("node", lambda state: state)
    builder.add_edge(START, "node")
    return builder.compile()


@pytest.mark.parametrize(
    ("handler", "hint"),
    [
        (blocking, "to_thread"),
        (lambda prompt: prompt, "to_thread"),
        (nothing, "prompt"),
        (too_many, "prompt"),
        (keyword_only, "prompt"),
        (object(), "async function"),
        ("text", "async function"),
        (None, "async function"),
        (no_messages(), "async function"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_would_work(handler: Any, hint: str) -> None:
    """At registration, not at the first question."""
    with pytest.raises(AgentNotUsable) as caught:
        agent(handler)
    assert hint in caught.value.hint


def test_the_capability_is_the_one_it_was_registered_with() -> None:
    """The router reads it."""
    capability = AgentCapability(name="own", description="mine", keywords=("x",))
    assert HandlerAgent(capability, echo).capability is capability


async def test_the_model_it_is_offered_is_not_used() -> None:
    """A handler brings its own."""
    model = ScriptedModel()
    async with aclosing(agent(echo).run(TASK, model)) as chunks:
        assert text([chunk async for chunk in chunks]) == "you said question"
    assert model.calls == []
