"""A finished request as a row, and rows as training reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from configs.history import HistorySettings
from engine.errors import HistoryRefused
from engine.history.contract import HistoryQuery, HistoryRow, tenant_of, user_of
from engine.history.inmemory import InMemoryHistory
from engine.history.labelled import Labelled, labelled
from engine.history.record import row_of
from engine.types import SHADOW
from tests.support.finished import ANSWER, DECISION, FINISHED, QUESTION, REQUEST, candidate
from tests.support.history import NOW_S, SETTINGS, row


@pytest.mark.req("route.history")
def test_an_answered_request_becomes_a_row_with_everything_that_was_decided():
    """Money and tokens are those of all calls that were made, the lost ones too."""
    made = row_of(FINISHED, row_id="x", now_s=NOW_S, fingerprint="f", embedding=b"e")
    assert (made.id, made.request_id, made.at_s) == ("x", "r1", NOW_S)
    assert (made.tenant, made.user) == (tenant_of("acme"), user_of("acme", "ada"))
    assert (made.ok, made.outcome, made.agent, made.answered_by) == (True, "ok", "sql", "general")
    assert (made.source, made.model, made.degraded, made.cache) == ("model", "b", ("fallback",), "miss")
    assert (made.strategy, made.wanted, made.complexity) == ("single", "parallel", "simple")
    assert (made.confidence, made.propensity, made.explored, made.out_of_scope) == (0.75, 0.9, True, True)
    assert (made.head, made.arm, made.data_class) == ("h1", "trial/new", "public")
    assert (made.cost_micros, made.input_tokens, made.output_tokens) == (43, 12, 20)
    assert (made.latency_ms, made.fingerprint, made.embedding) == (9.5, "f", b"e")
    assert (made.prompt, made.question, made.answer) == (REQUEST.messages, QUESTION, "seven")


@pytest.mark.req("route.history")
def test_a_request_that_ended_before_anybody_was_chosen_is_a_row_too():
    """With its error's code, and no agent."""
    ended = replace(FINISHED, decision=None, attempts=(), answer=None, error="deadline_exceeded")
    made = row_of(ended, row_id="x", now_s=NOW_S)
    assert (made.ok, made.outcome, made.agent, made.answered_by) == (False, "deadline_exceeded", "", "")
    assert (made.source, made.model, made.answer, made.cost_micros) == (None, "", None, 0)
    assert (json.loads(made.decision), json.loads(made.attempts)) == ({}, [])


@pytest.mark.req("obs.privacy")
def test_what_is_kept_of_a_decision_holds_nothing_of_question_or_answer():
    """Every policy keeps it, so it must be free of texts; twin: it does hold the candidates."""
    made = row_of(FINISHED, row_id="x", now_s=NOW_S)
    assert "zebras" not in made.decision + made.attempts
    assert "seven" not in made.decision + made.attempts
    assert [c["agent"] for c in json.loads(made.decision)["candidates"]] == ["viz", "sql"]
    assert [a["model"] for a in json.loads(made.attempts)] == ["a", "a", "b"]


@pytest.mark.req("route.history")
@pytest.mark.parametrize(("mode", "verdict"), [("default", "miss"), ("off", "off"), ("refresh", "off")])
def test_the_cache_verdict_says_whether_it_was_asked(mode: str, verdict: str):
    """A hit is a hit; a cache that was not asked has missed nothing."""
    asked = replace(FINISHED, request=replace(REQUEST, cache=mode))
    assert row_of(asked, row_id="x", now_s=NOW_S).cache == verdict
    hit = replace(FINISHED, answer=replace(ANSWER, source="exact_cache"))
    assert row_of(hit, row_id="x", now_s=NOW_S).cache == "hit"


@pytest.mark.req("cache.bound", "route.history")
def test_a_check_of_a_cached_answer_is_told_from_what_users_asked():
    """Also one that failed; a caller who writes that tag and has the cache asked is no check."""
    tags = {"team": "red", SHADOW: "r0"}
    check = replace(FINISHED, request=replace(REQUEST, cache="off", tags=tags))
    assert row_of(check, row_id="x", now_s=NOW_S).cache == "check"
    failed = replace(check, answer=None, error="all_routes_unavailable")
    assert row_of(failed, row_id="x", now_s=NOW_S).cache == "check"
    forged = replace(FINISHED, request=replace(REQUEST, tags=tags))
    assert row_of(forged, row_id="x", now_s=NOW_S).cache == "miss"


@pytest.mark.req("obs.privacy")
def test_people_are_named_by_digests_that_no_two_share():
    """A border between tenant and user that moves is somebody else."""
    names = [user_of("a", "bc"), user_of("ab", "c"), user_of("abc", ""), tenant_of("a"), tenant_of("abc")]
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 for name in names)


def own(number: int, **fields: Any) -> HistoryRow:
    """A row of the router's own choice, by fit."""
    return row(number, **({"explored": False, "arm": "", "out_of_scope": False} | fields))


def decided(*intents: float, excluded: str = "") -> str:
    """JSON of a decision for ``sql`` with these intents, its own first."""
    names = ("sql", "viz")[: len(intents)]
    candidates = tuple(
        replace(candidate(name, 0.5), intent=intent, excluded=excluded if name == "viz" else "")
        for name, intent in zip(names, intents, strict=True)
    )
    decision = replace(DECISION, agent="sql", candidates=candidates)
    return row_of(replace(FINISHED, decision=decision), row_id="x", now_s=NOW_S).decision


@pytest.mark.req("route.history", "route.train")
@pytest.mark.parametrize(
    ("fields", "teaches"),
    [
        ({"decision": decided(0.8, 0.3)}, True),
        ({"decision": decided(0.8, 0.8)}, True),
        ({"decision": decided()}, True),
        ({"decision": "{}"}, True),
        ({"arm": "trial/control"}, True),
        ({"decision": decided(0.2, 0.3), "out_of_scope": True}, True),
        ({"decision": decided(0.3, 0.8)}, False),
        ({"decision": decided(0.3, 0.8, excluded="region")}, False),
        ({"explored": True}, False),
        ({"arm": "trial/new"}, False),
        ({"arm": "control/new"}, False),
    ],
)
def test_only_a_choice_by_fit_teaches_whose_question_it_was(fields: dict[str, Any], teaches: bool):
    """Not one made to learn, in an arm of an experiment, or instead of a better one that was on probation."""
    history = InMemoryHistory(SETTINGS)
    history.put(own(1, agent="sql", answered_by="sql", **fields))
    assert len(list(labelled(history, SETTINGS))) == (1 if teaches else 0)


@pytest.mark.req("route.history")
def test_training_reads_questions_with_who_answered_and_whether():
    """In time order; a fallback is a failure of the agent that was chosen, and the cache teaches nothing."""
    history = InMemoryHistory(SETTINGS)
    for one in (
        own(2, agent="sql", answered_by="sql"),
        own(1, agent="viz", answered_by="general"),
        own(3, agent="rust", outcome="all_routes_unavailable", answered_by=""),
        own(4, source="exact_cache"),
        own(5, agent="", answered_by=""),
        own(6, prompt=None),
        own(7, cache="check"),
    ):
        history.put(one)
    found = list(labelled(history, SETTINGS))
    assert [(one.text, one.agent, one.ok) for one in found] == [
        ("question 1", "viz", False),
        ("question 2", "sql", True),
        ("question 3", "rust", False),
    ]
    assert found[0] == Labelled(text="question 1", agent="viz", ok=False, at_s=NOW_S + 1, propensity=0.25)
    assert [one.agent for one in labelled(history, SETTINGS, HistoryQuery(agent="rust"))] == ["rust"]


@pytest.mark.req("obs.privacy")
def test_training_refuses_a_history_without_texts_and_says_why():
    """At once under ``none``, at the end when no text can be read; an empty history is only empty."""
    none = HistorySettings(content="none")
    with pytest.raises(HistoryRefused, match=r"history\.content is none") as caught:
        labelled(InMemoryHistory(none), none)
    assert caught.value.code == "history_content"
    history = InMemoryHistory(SETTINGS)
    assert list(labelled(history, SETTINGS)) == []
    history.put(own(1, prompt=None))
    with pytest.raises(HistoryRefused, match="none of 1 rows") as caught:
        list(labelled(history, SETTINGS))
    assert caught.value.code == "history_content"
