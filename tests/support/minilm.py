"""The real encoder, loaded once per test process, and tables of the shipped agents."""

from __future__ import annotations

import functools
from collections.abc import Iterable

from configs.load import load_settings
from configs.settings import AgentCapability, EncoderSettings, RoutingSettings, Settings
from engine.evals.router import agent_table
from engine.routing.decide import Ranking, match, rank
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.table import AgentTable


@functools.cache
def minilm() -> MiniLm:
    """The shipped model without shipped vectors, so that every vector is computed."""
    return load_encoder(EncoderSettings(), known={})


@functools.cache
def shipped() -> Settings:
    """What a user gets without a file of their own."""
    return load_settings("local", environ={})


@functools.cache
def ten_agents() -> AgentTable:
    """The shipped agents."""
    return agent_table(shipped(), load_encoder(EncoderSettings()))


def table_with(newcomers: Iterable[AgentCapability]) -> AgentTable:
    """The shipped agents and ``newcomers``."""
    settings = shipped().model_copy(update={"agents": (*shipped().agents, *newcomers)})
    return agent_table(settings, load_encoder(EncoderSettings()))


def choose(question: str, table: AgentTable | None = None, routing: RoutingSettings | None = None) -> Ranking:
    """The decision on ``question`` when every agent is healthy."""
    settings = shipped().routing if routing is None else routing
    agents = ten_agents() if table is None else table
    return rank(match(agents, minilm().read(question), question, settings), {}, settings)
