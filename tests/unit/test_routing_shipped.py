"""The router as users receive it: shipped agents, shipped head, the project's own questions."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import yaml

from benchmarks.make_router_artifact import corpus, data_digest
from configs.catalogue import AgentCapability
from configs.settings import EncoderSettings
from engine.errors import ArtifactRefused
from engine.routing.artifact import HEAD, read_arrays
from engine.routing.select import Ranking
from engine.routing.shipped import SHIPPED, bind_artifact, load_head
from engine.routing.table import AgentTable, anchor_texts, digest_of, profile, stack
from tests.support.minilm import choose_trained, minilm, shipped, shipped_head, ten_agents

DATA = Path(__file__).parents[1] / "data"
BINS = 15


@functools.cache
def _questions() -> dict[str, Any]:
    return cast("dict[str, Any]", yaml.safe_load((DATA / "routing_questions.yaml").read_text("utf-8")))


def _pairs(by_agent: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(question, agent) for agent, questions in by_agent.items() for question in questions]


@functools.cache
def _authored() -> tuple[tuple[str, str], ...]:
    """Written by somebody who had not seen the agents' texts; nothing was fitted on it."""
    return tuple(_pairs(yaml.safe_load((DATA / "routing_authored.yaml").read_text("utf-8"))))


def _right(pairs: Sequence[tuple[str, str]]) -> float:
    return sum(choose_trained(question).agent == agent for question, agent in pairs) / len(pairs)


@pytest.mark.req("route.quality")
def test_questions_that_nobody_fitted_to_reach_their_agents() -> None:
    """At least 90 of 100 of the authored set, and 75 of 100 of every agent's."""
    pairs = _authored()
    assert len(pairs) >= 200
    assert _right(pairs) >= 0.90
    for agent in ten_agents().names:
        assert _right([pair for pair in pairs if pair[1] == agent]) >= 0.75, agent


@pytest.mark.req("route.quality")
def test_questions_without_cue_words_reach_their_agents() -> None:
    """At least 85 of 100 of the development questions; by the agents' texts alone it is 75."""
    assert _right(_pairs(_questions()["unseen"])) >= 0.85


@pytest.mark.req("route.quality")
def test_confidence_is_how_often_it_is_right() -> None:
    """Over authored and development questions the two differ by at most .05 on average (15 bins)."""
    pairs = [*_authored(), *_pairs(_questions()["unseen"]), *_pairs(_questions()["seen"])]
    decided: list[tuple[Ranking, str]] = [(choose_trained(question), agent) for question, agent in pairs]
    sure = np.array([ranking.confidence for ranking, _ in decided])
    right = np.array([ranking.agent == agent for ranking, agent in decided])
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(sure[which == i].sum() - right[which == i].sum()) for i in range(BINS)]
    assert sum(gaps) / len(pairs) <= 0.05


def test_everyday_talk_and_unknown_languages_stay_with_the_general_agent() -> None:
    """Ten of twelve homonyms, 95 of 100 questions in other languages."""
    homonyms, foreign = _questions()["homonyms"], _questions()["unknown_language"]
    assert _right([(question, "general") for question in homonyms]) >= 10 / 12
    assert _right([(question, "general") for question in foreign]) >= 0.95


@functools.cache
def _with(*names: str) -> AgentTable:
    routing = shipped().routing
    newcomers = [
        AgentCapability(name=n["name"], description=n["description"], keywords=n["keywords"])
        for n in _questions()["newcomers"]
        if n["name"] in names
    ]
    added = [profile(c, minilm().encode(anchor_texts(c, routing)), routing) for c in newcomers]
    return stack([*ten_agents().profiles, *added], routing.general_agent)


@pytest.mark.req("route.discover")
def test_an_agent_registered_at_run_time_wins_its_questions_from_a_trained_head() -> None:
    """Twenty in turn that the head has never heard of: at least 85 of 100 questions."""
    right = [
        choose_trained(question, _with(newcomer["name"])).agent == newcomer["name"]
        for newcomer in _questions()["newcomers"]
        for question in newcomer["questions"]
    ]
    assert sum(right) / len(right) >= 0.85


def test_the_shipped_head_is_the_one_its_texts_and_agents_make() -> None:
    """Else run benchmarks/make_router_artifact.py: digests of all agents and of all training texts."""
    card = shipped_head().card
    assert card.settings["agents"] == {agent.name: digest_of(agent) for agent in shipped().agents}
    assert card.data_sha256 == data_digest(corpus(shipped()))
    bound = bind_artifact(ten_agents(), shipped_head())
    assert bound is not None
    assert len(bound.agents) == 10


def test_the_shipped_head_holds_no_text_and_no_vector_of_one() -> None:
    """Weights and one mean vector per label, in less than a megabyte; labels are its only words."""
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 1_000_000
    arrays = read_arrays((SHIPPED / HEAD).read_bytes())
    assert [name for name, array in arrays.items() if array.dtype.kind == "U" and array.size] == ["labels"]
    assert len(arrays["examples"]) == len(arrays["centres"]) == len(arrays["labels"]) == 10


def test_no_training_text_is_a_question_it_is_judged_by() -> None:
    """Not even with other signs or capitals; ``seen`` guided the agents' texts and judges nothing here."""
    judged = {_plain(question) for question, _ in [*_pairs(_questions()["unseen"]), *_authored()]}
    learned = {_plain(each.text) for each in corpus(shipped())}
    assert len(learned) > 8_000
    assert not judged & learned


def _plain(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def test_which_head_is_used_follows_from_the_settings(tmp_path: Path) -> None:
    """Off: none. Another encoder: none, its vectors would mean nothing. One's own: that one, or a refusal."""
    settings = shipped()
    off = settings.routing.model_copy(update={"trained": False})
    assert load_head(settings.model_copy(update={"routing": off})) is None
    other = EncoderSettings(tokenizer_sha256="0" * 64)
    assert load_head(settings.model_copy(update={"encoder": other})) is None
    own = tmp_path / "router"
    routing = settings.routing.model_copy(update={"artifact": own})
    with pytest.raises(ArtifactRefused):
        load_head(settings.model_copy(update={"routing": routing}))
    shutil.copytree(SHIPPED, own)
    found = load_head(settings.model_copy(update={"routing": routing}))
    assert found is not None
    assert found.path == own
