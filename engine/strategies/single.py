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
        untried = legs[len(state["attempts"]) :]

        def show(text: str) -> None:
            writer(Token(text=text))

        results = await runner.run(untried, state["request"], show if state["streaming"] else None)
        for each in results:
            writer(Attempted(attempt=each.attempt))
        last = results[-1]
        answered = last.attempt.outcome == "ok"
        following = untried[len(results) :]
        more = bool(following) and last.may_fall_back and not last.shown
        if more and not answered:
            writer(
                FellBack(
                    from_agent=last.attempt.agent,
                    from_model=last.attempt.model,
                    to_agent=following[0].agent,
                    to_model=following[0].model,
                    reason=last.attempt.error or last.attempt.outcome.value,
                )
            )
        return {
            "attempts": [each.attempt for each in results],
            "text": last.text,
            "shown": last.shown,
            "done": answered or not more,
        }

    def after(state: RunState) -> str:
        return END if state["done"] else "attempt"

    graph = StateGraph(RunState)
    graph.add_node("attempt", attempt)
    graph.add_edge(START, "attempt")
    graph.add_conditional_edges("attempt", after, ["attempt", END])
    return graph.compile(checkpointer=False, name="single")
