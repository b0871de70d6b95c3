"""The roster as router and legs read it: capabilities, and who answers by code of its own."""

from __future__ import annotations

from agents.handler import HandlerAgent
from agents.roster import Roster
from engine.routing.contract import AgentSnapshot, AgentSource, Registered


def agent_source(roster: Roster) -> AgentSource:
    """``roster`` as snapshots, one made per generation: every request asks for it."""
    last = AgentSnapshot(generation=-1, agents={})

    def source() -> AgentSnapshot:
        nonlocal last
        view = roster.view
        if view.generation != last.generation:
            agents = {
                name: Registered(capability=agent.capability, own_handler=isinstance(agent, HandlerAgent))
                for name, agent in view.agents.items()
            }
            last = AgentSnapshot(generation=view.generation, agents=agents)
        return last

    return source
