"""The parent graph: route, run the strategy's subgraph, settle.

Reads like the sentence in the product's card. Admission and the exact cache happen before it
(``engine.gateway.gateway``), remembering after it (``engine.app``): a hit never pays for a graph, and an answer
never waits for a write. Importing this module imports LangGraph (about 2 s), so ``engine.app`` does it late.
"""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StreamWriter

from configs.kernel import Money
from engine.contract import Estimate, Ledger, LegRunner, Router
from engine.events import Routed
from engine.state import RunInput, RunState, RunUpdate
from engine.strategies import single

Pipeline = CompiledStateGraph[RunState, None, RunInput, RunState]


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
