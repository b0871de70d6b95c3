"""The shipped agents get the questions they are for, and share the field with agents registered at run time."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml

from configs.catalogue import AgentCapability
from configs.settings import EncoderSettings
from engine.routing.encoder import load_encoder
from engine.routing.known import key_of, load_known
from engine.routing.table import AgentTable, anchor_texts, profile, stack
from tests.support.minilm import choose, minilm, shipped, ten_agents

ROOT = Path(__file__).parents[2]
NINE = {"python", "javascript", "rust", "web_search", "pdf_reader", "summarizer", "sql", "analytics", "viz"}


@functools.cache
def _questions() -> dict[str, Any]:
    return cast(
        "dict[str, Any]", yaml.safe_load((ROOT / "tests" / "data" / "routing_questions.yaml").read_text("utf-8"))
    )


def _pairs(name: str) -> list[tuple[str, str]]:
    return [(question, agent) for agent, questions in _questions()[name].items() for question in questions]


def _accuracy(pairs: list[tuple[str, str]], table: AgentTable | None = None) -> float:
    return sum(choose(question, table).agent == agent for question, agent in pairs) / len(pairs)


@functools.cache
def _newcomers() -> tuple[AgentCapability, ...]:
    return tuple(
        AgentCapability(name=n["name"], description=n["description"], keywords=n["keywords"])
        for n in _questions()["newcomers"]
    )


@functools.cache
def _with(*names: str) -> AgentTable:
    """The ten agents and the newcomers of these names, each of which has a description and keywords only."""
    routing = shipped().routing
    added = [
        profile(c, minilm().encode(anchor_texts(c, routing)), routing) for c in _newcomers() if c.name in names
    ]
    return stack([*ten_agents().profiles, *added], routing.general_agent)


@pytest.mark.req("run.teams")
def test_nine_specialists_in_three_teams_and_a_general_agent_are_shipped() -> None:
    """Each with a prompt, examples and a role; team members exist."""
    agents = {agent.name: agent for agent in shipped().agents}
    assert set(agents) == {*NINE, "general"}
    assert {team.name: set(team.agents) for team in shipped().teams} == {
        "code": {"python", "javascript", "rust"},
        "research": {"web_search", "pdf_reader", "summarizer"},
        "data": {"sql", "analytics", "viz"},
    }
    assert all((ROOT / "agents" / "prompts" / agent.prompt).is_file() for agent in agents.values())
    assert {agent.role for agent in agents.values()} == {"code", "research", "data", "general"}
    assert all(len(agent.examples) >= shipped().routing.examples_min for agent in agents.values())


def test_tools_of_agents_are_capabilities_that_exist() -> None:
    """An agent may only name what ``tools.yaml`` has."""
    named = {tool for agent in shipped().agents for tool in agent.tools}
    assert named <= {tool.name for tool in shipped().tools}
    assert named


@pytest.mark.parametrize(
    ("question", "agent"),
    [
        ("plot monthly revenue as a bar chart", "viz"),
        ("Write a Python function that sorts people by age", "python"),
        ("Hello there!", "general"),
        ("Write a poem about the first snow", "general"),
        ("Do you think cats are better than dogs?", "general"),
        ("Summarize the PDF I attached", "summarizer"),
        ("What does the PDF say about the notice period?", "pdf_reader"),
        ("Write a Python script that runs a SQL query", "python"),
        ("select the five newest rows of the invoices table", "sql"),
    ],
)
def test_plain_cases_go_where_anyone_would_send_them(question: str, agent: str) -> None:
    """Named languages win over what the code is about, summaries over files, charts over data."""
    assert choose(question).agent == agent


def test_our_own_questions_reach_their_agents() -> None:
    """At least 93 of 100 of those that guided the texts of the agents."""
    assert _accuracy(_pairs("seen")) >= 0.93


def test_questions_that_guided_nothing_reach_their_agents() -> None:
    """At least 70 of 100 of those written afterwards without cue words; chance would be 10."""
    assert _accuracy(_pairs("unseen")) >= 0.70


@pytest.mark.req("serve.python")
def test_languages_the_encoder_does_not_know_abstain() -> None:
    """At least 95 of 100 go to the general agent, in scripts and in languages with Latin letters."""
    questions = cast("list[str]", _questions()["unknown_language"])
    assert _accuracy([(question, "general") for question in questions]) >= 0.95


def test_a_cue_names_its_agent_in_any_language() -> None:
    """«Python» is Python in Spanish too."""
    assert _accuracy(_pairs("unknown_language_with_cue")) == 1.0


def test_homonyms_are_everyday_talk() -> None:
    """Rust on a bicycle, the plot of a film: at least 10 of 12 go to the general agent."""
    questions = cast("list[str]", _questions()["homonyms"])
    assert sum(choose(question).agent == "general" for question in questions) >= 10


@pytest.mark.req("route.discover")
def test_an_agent_registered_at_run_time_is_chosen_for_its_own_questions() -> None:
    """Twenty in turn, each known by a description and keywords only: at least 80 of 100 questions."""
    right = [
        choose(question, _with(newcomer["name"])).agent == newcomer["name"]
        for newcomer in _questions()["newcomers"]
        for question in newcomer["questions"]
    ]
    assert sum(right) / len(right) >= 0.80


@pytest.mark.req("route.discover")
def test_twenty_newcomers_leave_the_specialists_their_questions() -> None:
    """The nine lose at most 2 of 100 questions to all twenty together."""
    everybody = _with(*(newcomer.name for newcomer in _newcomers()))
    pairs = [(question, agent) for question, agent in _pairs("seen") if agent in NINE]
    assert _accuracy(pairs, everybody) >= _accuracy(pairs) - 0.02


def test_every_shipped_text_has_a_shipped_vector_that_is_right() -> None:
    """No text is missing, and a sample computed again is the same; else run benchmarks/make_agent_vectors.py."""
    known = load_known(EncoderSettings())
    texts = sorted({text for agent in shipped().agents for text in anchor_texts(agent, shipped().routing)})
    assert {key_of(text) for text in texts} == set(known)
    sample = texts[::8]
    again = minilm().encode(sample)
    cosines = (again * np.array([known[key_of(text)] for text in sample])).sum(axis=1)
    assert cosines.min() > 0.99999


def test_shipped_vectors_are_only_taken_for_the_model_that_made_them() -> None:
    """Another model or tokenizer digest, and every vector is computed."""
    assert load_known(EncoderSettings(model_sha256="0" * 64)) == {}
    assert load_known(EncoderSettings(tokenizer_sha256="0" * 64)) == {}


def test_a_loaded_encoder_answers_shipped_texts_without_running() -> None:
    """What the vectors are for: the same text gives the stored vector."""
    text = shipped().agents[0].examples[0]
    stored = load_known(EncoderSettings())[key_of(text)]
    assert np.array_equal(load_encoder(EncoderSettings()).encode([text])[0], stored)
