"""``single``: one agent answers; while it cannot, the next leg of its chain does (run.single, F1-F5).

The picture is one slot with a loop. Which agent ran stands in the attempt, not in the topology, so agents can
come and go while the graph stays.
"""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StreamWriter

from engine.contract import LegRunner
from engine.events import Attempted, FellBack, Token
from engine.state import RunState, RunUpdate

SingleGraph = CompiledStateGraph[RunState, None, RunState, RunState]


def build(runner: LegRunner) -> SingleGraph:
    """The compiled subgraph; ``runner`` is the only live thing in it."""

    async def attempt(state: RunState, writer: StreamWriter) -> RunUpdate:
        legs = state["decision"].legs
        tried = len(state["attempts"])
        leg = legs[tried]

        def show(text: str) -> None:
            writer(Token(text=text))

        result = await runner.run(leg, state["request"], show if state["streaming"] else None)
        writer(Attempted(attempt=result.attempt))
        answered = result.attempt.outcome == "ok"
        more = tried + 1 < len(legs) and result.may_fall_back and not result.shown
        if more and not answered:
            following = legs[tried + 1]
            writer(
                FellBack(
                    from_agent=leg.agent,
                    from_model=leg.model,
                    to_agent=following.agent,
                    to_model=following.model,
                    reason=result.attempt.error or result.attempt.outcome.value,
                )
            )
        return {
            "attempts": [result.attempt],
            "text": result.text,
            "shown": result.shown,
            "done": answered or not more,
        }

    def after(state: RunState) -> str:
        return END if state["done"] else "attempt"

    graph = StateGraph(RunState)
    graph.add_node("attempt", attempt)
    graph.add_edge(START, "attempt")
    graph.add_conditional_edges("attempt", after, ["attempt", END])
    return graph.compile(checkpointer=False, name="single")
