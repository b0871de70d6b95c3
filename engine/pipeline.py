"""The parent graph: route, run the strategy's subgraph, settle.

Reads like the sentence in the product's card. Admission and the exact cache happen before it
(``engine.gateway.gateway``), remembering after it (``engine.run``): a hit never pays for a graph, and an answer
never waits for a write. Importing this module imports LangGraph (about 2 s), so ``engine.compose`` does it late.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast, get_args

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StreamWriter
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType] - partial annotations

from configs.kernel import Money
from engine.contract import Estimate, Ledger, LegRunner, Router
from engine.events import Emit, Event, Routed
from engine.state import RunInput, RunState, RunUpdate
from engine.strategies import single

Pipeline = CompiledStateGraph[RunState, None, RunInput, RunState]
EVENTS = get_args(Event)
STEPS_MAX = 64
"""LangGraph's own default would allow 10,007 steps; a chain has one step a leg."""


def build_graph(router: Router, runner: LegRunner, ledger: Ledger, estimate: Estimate) -> Pipeline:
    """Compile the parent graph around the live objects of one engine.

    Static: registrations change what the slots run, never the topology.
    """

    async def route(state: RunState, writer: StreamWriter) -> RunUpdate:
        request = state["request"]
        decision = await router.route(request)
        writer(Routed(decision=decision))
        reservation = await ledger.reserve(request, estimate(request, decision.legs))
        return {"decision": decision, "reservation": reservation}

    async def settle(state: RunState) -> RunUpdate:
        spent = sum((a.cost for a in state["attempts"]), Money())
        await ledger.settle(state["reservation"], spent)
        return {}

    graph = StateGraph(RunState, input_schema=RunInput, output_schema=RunState)
    graph.add_node("route", route)
    graph.add_node("single", single.build(runner))
    graph.add_node("settle", settle)
    graph.add_edge(START, "route")
    graph.add_edge("route", "single")
    graph.add_edge("single", "settle")
    graph.add_edge("settle", END)
    return graph.compile(name="switchgear")


async def drive(graph: Pipeline, start: RunInput, emit: Emit | None) -> RunState:
    """Run ``graph`` to its end, passing our events on as they happen; the state it ended in.

    LangSmith is off in here whatever the environment says: prompts leave by one road only.
    """
    config: RunnableConfig = {"recursion_limit": STEPS_MAX}
    with tracing_context(enabled=False):
        if emit is None:
            return cast("RunState", await graph.ainvoke(start, config))
        last: object = None
        stream = graph.astream(start, config, stream_mode=["custom", "values"], subgraphs=True)
        # Abandoned without aclose() the nodes would keep running; LangGraph declares less than it returns.
        async with aclosing(cast("AsyncGenerator[tuple[tuple[str, ...], str, object]]", stream)) as items:
            async for namespace, mode, payload in items:
                if mode == "custom" and isinstance(payload, EVENTS):  # a graph in a handler may stream its own
                    emit(cast("Event", payload))
                elif mode == "values" and not namespace:
                    last = payload
    return cast("RunState", last)
