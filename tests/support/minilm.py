"""The real encoder, loaded once per test process, and tables of the shipped agents."""

from __future__ import annotations

import functools

from configs.load import load_settings
from configs.settings import EncoderSettings, Settings
from engine.evals.router import agent_table
from engine.routing.artifact import Artifact
from engine.routing.contract import Reading
from engine.routing.decide import match
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.select import Ranking, rank
from engine.routing.shipped import bind_artifact, load_head
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


@functools.cache
def read(question: str) -> Reading:
    """What the encoder makes of a question."""
    return minilm().read(question)


def choose(question: str, table: AgentTable | None = None) -> Ranking:
    """The decision on ``question`` when every agent is healthy."""
    routing = shipped().routing
    agents = ten_agents() if table is None else table
    return rank(match(agents, read(question), question, routing), {}, routing)


@functools.cache
def shipped_head() -> Artifact:
    """The head that users receive."""
    artifact = load_head(shipped())
    assert artifact is not None
    return artifact


def choose_trained(question: str, table: AgentTable | None = None) -> Ranking:
    """The decision as users receive it: ``choose`` with the shipped head."""
    routing = shipped().routing
    agents = ten_agents() if table is None else table
    head = bind_artifact(agents, shipped_head())
    return rank(match(agents, read(question), question, routing, head=head), {}, routing)
