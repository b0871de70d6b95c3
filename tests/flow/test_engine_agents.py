"""A caller's own agents: registered while the engine runs, routed to by meaning, behind the same breaker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph

from agents.errors import AgentNotUsable
from configs.catalogue import AgentCapability
from configs.kernel import Outcome
from engine.app import Engine
from engine.contract import BreakerState
from engine.events import Token
from engine.sync import SyncEngine
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import ScriptedProvider

TIDES = AgentCapability(
    name="tides",
    description="Tells when high and low tide is at a harbour, and how high the sea will stand.",
    keywords=("tide", "high water", "harbour"),
)
QUESTION = "When is high tide at the harbour of Brest this afternoon?"


@pytest.mark.req("route.discover", "serve.python")
async def test_a_registered_agent_gets_its_own_kind_of_question_at_once_and_only_that(tmp_path: Path):
    """Before: somebody else's. After: its own, while the shipped agents keep theirs. Unregistered: gone."""

    async def handler(prompt: str) -> str:
        return f"18:37, for {prompt[:4]}"

    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        before = await engine.route(QUESTION)
        engine.register_agent(TIDES, handler)
        answer = await engine.execute(QUESTION)
        other = await engine.route("Write a Rust macro for vectors")
        assert engine.unregister_agent("tides") is True
        after = await engine.route(QUESTION)
        assert provider.connections == 0
    assert before.agent != "tides"
    assert (answer.decision.agent, answer.text, answer.model) == ("tides", "18:37, for When", None)
    assert answer.attempts[0].outcome is Outcome.OK
    assert (answer.agent, answer.source) == ("tides", "handler")
    assert other.agent == "rust"
    assert after == before


@pytest.mark.req("serve.python")
async def test_runnables_generators_and_graphs_are_agents_too(tmp_path: Path):
    """The three other shapes a handler may have, the generator streaming piece by piece."""

    def reply(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [AIMessage(f"graph: {state['messages'][-1].text}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("answer", reply)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)

    async def pieces(prompt: str) -> AsyncIterator[str]:
        yield "one "
        yield "two"

    shapes = (
        ("runnable", RunnableLambda(lambda prompt: f"runnable: {prompt}")),
        ("generator", pieces),
        ("graph", graph.compile()),
    )
    settings = await engine_settings(tmp_path, {"m": closed_port()}, cache={"enabled": False})
    async with Engine.open(settings=settings) as engine:
        for name, handler in shapes:
            engine.register_agent(AgentCapability(name=name, description=f"A {name} of ours."), handler)
        runnable = await engine.execute("hello", agent="runnable")
        graphed = await engine.execute("hello", agent="graph")
        tokens = [e.text async for e in engine.stream("hello", agent="generator") if isinstance(e, Token)]
    assert (runnable.text, graphed.text) == ("runnable: hello", "graph: hello")
    assert tokens == ["one ", "two"]


@pytest.mark.req("brk.everywhere")
async def test_a_handler_that_keeps_failing_is_left_alone_and_general_answers(tmp_path: Path):
    """After five failures of its own the agent's breaker is open and its code is not run again."""
    calls = 0

    async def broken(prompt: str) -> str:
        nonlocal calls
        calls += 1
        raise RuntimeError("sk-secret-in-a-users-error")

    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        engine.register_agent(TIDES, broken)
        answers = [await engine.execute(QUESTION, agent="tides", cache="off") for _ in range(8)]
        view = (await engine.breakers(("agent:tides",)))["agent:tides"]
    assert calls == engine.settings.breaker.consecutive_failures
    assert view.state is BreakerState.OPEN
    assert {(a.attempts[-1].agent, a.attempts[-1].outcome) for a in answers} == {("general", Outcome.OK)}
    assert answers[-1].attempts[0].called is False
    assert {(a.agent, a.decision.agent, a.source) for a in answers} == {("general", "tides", "model")}
    assert "sk-secret" not in repr(answers)


@pytest.mark.req("cache.write")
async def test_a_handlers_answer_is_cached_only_when_it_says_so(tmp_path: Path):
    """Nobody knows what a handler does besides answering: it runs each time, unless declared cacheable."""
    calls: list[str] = []

    async def handler(prompt: str) -> str:
        calls.append(prompt)
        return "18:37"

    settings = await engine_settings(tmp_path, {"m": closed_port()})
    async with Engine.open(settings=settings) as engine:
        engine.register_agent(TIDES, handler)
        for _ in range(2):
            await engine.execute("uncached", agent="tides")
        engine.register_agent(TIDES.model_copy(update={"cacheable": True}), handler, replace=True)
        for _ in range(2):
            await engine.execute("cached", agent="tides")
    assert calls == ["uncached", "uncached", "cached"]


@pytest.mark.req("route.discover")
async def test_what_cannot_be_an_agent_is_refused_and_changes_nothing(tmp_path: Path):
    """A taken name, nothing to call, no prompt: typed, and the roster stays as it was."""

    async def handler(prompt: str) -> str:
        return prompt

    async with Engine.open(
        settings=await engine_settings(tmp_path, {"m": closed_port()}, cache={"enabled": False})
    ) as engine:
        before = engine.agents
        for capability, what in (
            (TIDES.model_copy(update={"name": "python"}), handler),
            (TIDES, "not callable"),
            (TIDES, None),
        ):
            with pytest.raises(AgentNotUsable):
                engine.register_agent(capability, what)  # pyright: ignore[reportArgumentType]
        assert engine.agents == before


@pytest.mark.req("serve.python")
async def test_the_synchronous_twin_works_inside_a_running_loop(tmp_path: Path):
    """As in a notebook: its loop is its own, so the caller's may be running."""

    async def handler(prompt: str) -> str:
        return f"sync {prompt}"

    settings = await engine_settings(tmp_path, {"m": closed_port()}, cache={"enabled": False})

    def script() -> tuple[str, int]:
        with SyncEngine.open(settings=settings) as engine:
            engine.engine.register_agent(TIDES, handler)
            batch = engine.execute_batch(["a", "b"], agent="tides")
            return engine.execute("hello", agent="tides").text, len(batch)

    assert await asyncio.to_thread(script) == ("sync hello", 2)
