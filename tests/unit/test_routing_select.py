"""The choice among a shortlist, on numbers small enough to check by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from configs.routing import RoutingSettings
from engine.errors import NoAgentFits
from engine.routing.decide import Match, Shortlist
from engine.routing.select import Ranking, rank
from engine.routing.words import Hits
from engine.types import Averages

FLAT = RoutingSettings(
    weight_success=1.0,
    weight_cost=1.0,
    weight_latency=1.0,
    evidence=10,
    latency_half_ms=1_000.0,
    cost_half_micros=100.0,
    out_of_scope=0.3,
)


def _match(agent: str, intent: float, cost: float = 1.0, latency: float = 1.0) -> Match:
    return Match(agent=agent, similarity=intent, hits=Hits(), intent=intent, cost=cost, latency=latency)


def _rank(*matches: Match, barred: dict[str, str] | None = None, **averages: Averages) -> Ranking:
    return rank(Shortlist(matches=matches, familiar=True), averages, FLAT, barred or {})


@pytest.mark.req("route.score")
@pytest.mark.parametrize(
    ("count", "latency", "cost"),
    [(0, 0.8, 0.9), (10, (0.8 + 0.25) / 2, (0.9 + 0.5) / 2), (90, 0.1 * 0.8 + 0.9 * 0.25, 0.1 * 0.9 + 0.9 * 0.5)],
)
def test_what_was_measured_outweighs_what_was_declared_by_its_evidence(
    count: int, latency: float, cost: float
) -> None:
    """Measured 3 s (factor 1/4) and 100 micro-dollars (1/2): nothing, half and nine tenths of the way to them."""
    seen = Averages(success=0.5, latency_ms=3_000.0, cost_micros=100.0, count=count)
    only = _rank(_match("a", 0.8, cost=0.9, latency=0.8), a=seen).candidates[0]
    assert (only.success, only.latency, only.cost) == pytest.approx((0.5, latency, cost))
    assert only.score == pytest.approx(0.8 * 0.5 * latency * cost)


def test_an_agent_that_measured_only_success_keeps_what_it_declares() -> None:
    """Breakers know no cost: the declaration stands, however often it was used."""
    only = _rank(_match("a", 0.8, cost=0.9, latency=0.8), a=Averages(success=0.25, count=500)).candidates[0]
    assert (only.success, only.latency, only.cost) == (0.25, 0.8, 0.9)


@pytest.mark.req("route.score")
def test_the_record_says_who_dominates_whom() -> None:
    """Worse in intent and cost: dominated by the best of those that are better; cheaper is not dominated."""
    ranking = _rank(_match("best", 0.9, 0.9), _match("cheap", 0.5, 1.0), _match("worse", 0.8, 0.5))
    assert [(c.agent, c.dominated_by) for c in ranking.candidates] == [
        ("best", ""),
        ("cheap", ""),
        ("worse", "best"),
    ]


def test_at_equal_scores_the_better_factor_goes_first_and_then_the_name() -> None:
    """All score nothing: the one with the better cost dominates; of two alike the first name."""
    ranking = _rank(_match("a", 0.0, 0.5), _match("c", 0.0, 0.9), _match("b", 0.0, 0.9))
    assert [(c.agent, c.dominated_by) for c in ranking.candidates] == [("b", ""), ("c", ""), ("a", "b")]


@pytest.mark.req("route.score")
def test_a_better_one_that_may_not_answer_is_named_in_the_reason() -> None:
    """It stands last in the record, with why."""
    ranking = _rank(_match("best", 0.9), _match("next", 0.7), barred={"best": "not local"})
    assert (ranking.agent, ranking.confidence, ranking.margin) == ("next", 1.0, 1.0)
    assert [(c.agent, c.excluded) for c in ranking.candidates] == [("next", ""), ("best", "not local")]
    assert ranking.reason == (
        "next fits best: similarity 0.70, score 0.70. best fits better but may not answer: not local."
    )


@pytest.mark.req("route.score")
def test_when_nobody_may_answer_every_reason_is_named() -> None:
    """A typed error with all agents; its message stays short."""
    barred = {f"agent-{n}": f"reason {n}" for n in range(10)}
    with pytest.raises(NoAgentFits) as refused:
        _rank(_match("agent-0", 0.9), _match("agent-1", 0.7), barred=barred)
    assert refused.value.code == "no_agent_fits"
    assert refused.value.reasons == barred
    assert str(refused.value).startswith("no agent may answer: agent-0: reason 0; agent-1: reason 1;")
    assert "and 2 more" in str(refused.value)


@pytest.mark.req("route.strategy")
def test_the_margin_is_how_much_surer_the_best_is_than_the_second() -> None:
    """Scores one temperature apart: e to 1; equal ones: nothing; of one alone, and of one who may answer: all."""
    apart, share = FLAT.temperature, math.e / (math.e + 1.0)
    two = _rank(_match("a", 0.9 - apart), _match("b", 0.9))
    assert (two.confidence, two.margin) == pytest.approx((share, 2 * share - 1.0))
    assert _rank(_match("a", 0.9), _match("b", 0.9)).margin == pytest.approx(0.0)
    assert _rank(_match("a", 0.6)).margin == 1.0
    assert _rank(_match("a", 0.6), _match("b", 0.9), barred={"b": "closed"}).margin == 1.0


@pytest.mark.req("route.strategy")
def test_a_question_nobody_is_for_is_out_of_scope_when_the_general_agent_gets_it() -> None:
    """Not when somebody else wins by success, and not when the shortlist says that somebody is for it."""
    matches = (_match("general", 0.3), _match("python", 0.29))
    nobodys = Shortlist(matches=matches, familiar=True, out_of_scope=True)
    assert rank(nobodys, {}, FLAT).out_of_scope is True
    assert rank(nobodys, {"general": Averages(success=0.5)}, FLAT).out_of_scope is False
    assert rank(Shortlist(matches=matches, familiar=True), {}, FLAT).out_of_scope is False


def test_what_the_head_says_is_in_the_record() -> None:
    """The probability of an agent that it knows, nothing for another one."""
    known = replace(_match("python", 0.5), probability=0.75)
    assert [c.probability for c in _rank(known, _match("rust", 0.4)).candidates] == [0.75, None]
