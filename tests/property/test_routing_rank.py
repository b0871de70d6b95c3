"""Laws of the choice, for any shortlist: nobody dominated wins, order is nothing, weights do what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from configs.routing import RoutingSettings
from engine.errors import NoAgentFits
from engine.routing.decide import Match, Shortlist
from engine.routing.select import Ranking, rank
from engine.routing.words import Hits
from engine.types import Averages, Candidate

# Few distinct values, so that ties and dominance are the rule.
SHARES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0.0, 1.0)
FACTORS = st.sampled_from([0.25, 0.5, 1.0]) | st.floats(0.01, 1.0)
NAMES = [f"agent-{n}" for n in range(6)]
MATCHES = st.lists(
    st.builds(
        Match,
        agent=st.sampled_from(NAMES),
        similarity=st.just(0.5),
        hits=st.just(Hits()),
        intent=SHARES | st.floats(0.0, 1.6),
        cost=FACTORS,
        latency=FACTORS,
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda m: m.agent,
)
AVERAGES = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        Averages,
        success=SHARES,
        latency_ms=st.none() | st.floats(0.0, 1e6),
        cost_micros=st.none() | st.floats(0.0, 1e7),
        count=st.integers(0, 1_000),
    ),
)
SETTINGS = st.builds(RoutingSettings, weight_success=SHARES, weight_cost=SHARES, weight_latency=SHARES)
BARRED = st.dictionaries(st.sampled_from(NAMES), st.just("closed today"), max_size=4)


def _list(matches: list[Match]) -> Shortlist:
    return Shortlist(matches=tuple(matches), familiar=True)


def _ranked(matches: list[Match], averages: Mapping[str, Averages], settings: RoutingSettings) -> Ranking:
    return rank(_list(matches), averages, settings)


def _factors(c: Candidate) -> tuple[float, ...]:
    return (c.intent, c.success, c.cost, c.latency)


def _dominates(one: Candidate, other: Candidate) -> bool:
    pairs = list(zip(_factors(one), _factors(other), strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@pytest.mark.req("route.score")
@given(matches=MATCHES, averages=AVERAGES, settings=SETTINGS, barred=BARRED)
def test_a_dominated_candidate_never_wins_and_names_who_dominates_it(
    matches: list[Match], averages: dict[str, Averages], settings: RoutingSettings, barred: dict[str, str]
) -> None:
    """Against a pairwise comparison of everybody who may answer, whatever the weights."""
    assume(any(m.agent not in barred for m in matches))
    ranking = rank(_list(matches), averages, settings, barred)
    free = {c.agent: c for c in ranking.candidates if not c.excluded}
    beaten = {c.agent for c, d in product(free.values(), free.values()) if _dominates(d, c)}
    assert ranking.agent not in beaten
    assert {c.agent for c in ranking.candidates if c.dominated_by} == beaten
    assert all(_dominates(free[c.dominated_by], c) for c in free.values() if c.dominated_by)
    assert ranking.agent == ranking.candidates[0].agent


@pytest.mark.req("route.score")
@given(matches=MATCHES, averages=AVERAGES, settings=SETTINGS, data=st.data())
def test_the_order_of_the_shortlist_is_nothing(
    matches: list[Match], averages: dict[str, Averages], settings: RoutingSettings, data: st.DataObject
) -> None:
    """Any permutation gives the same record."""
    turned = data.draw(st.permutations(matches))
    assert _ranked(turned, averages, settings) == _ranked(matches, averages, settings)


@pytest.mark.req("route.score")
@given(matches=MATCHES, averages=AVERAGES, settings=SETTINGS, success=SHARES, data=st.data())
def test_more_success_never_lowers_a_rank(
    matches: list[Match],
    averages: dict[str, Averages],
    settings: RoutingSettings,
    success: float,
    data: st.DataObject,
) -> None:
    """With everything else as it was, an agent that succeeds more often stands at least as high."""
    agent = data.draw(st.sampled_from(matches)).agent
    before = averages.get(agent, Averages(success=0.5))
    assume(success >= before.success)
    lower = _ranked(matches, {**averages, agent: before}, settings)
    higher = _ranked(matches, {**averages, agent: replace(before, success=success)}, settings)
    assert _place(higher, agent) <= _place(lower, agent)


def _place(ranking: Ranking, agent: str) -> int:
    return [c.agent for c in ranking.candidates].index(agent)


@pytest.mark.req("route.score")
@given(matches=MATCHES, averages=AVERAGES, others=AVERAGES, costs=st.lists(FACTORS, min_size=6, max_size=6))
def test_factors_of_weight_zero_change_no_score(
    matches: list[Match], averages: dict[str, Averages], others: dict[str, Averages], costs: list[float]
) -> None:
    """Other successes, costs and latencies, weighed with nothing: the same scores, which are then the intents."""
    settings = RoutingSettings(weight_success=0.0, weight_cost=0.0, weight_latency=0.0)
    changed = [replace(m, cost=costs[i], latency=costs[-i]) for i, m in enumerate(matches)]
    ranking = _ranked(matches, averages, settings)
    again = _ranked(changed, others, settings)
    assert {c.agent: c.score for c in again.candidates} == {c.agent: c.score for c in ranking.candidates}
    assert all(c.score == c.intent for c in ranking.candidates)
    assert ranking.candidates[0].score == max(m.intent for m in matches)


@pytest.mark.req("route.score")
@given(matches=MATCHES, averages=AVERAGES, settings=SETTINGS, barred=BARRED)
def test_excluded_candidates_stay_in_the_record_and_change_nothing_else(
    matches: list[Match], averages: dict[str, Averages], settings: RoutingSettings, barred: dict[str, str]
) -> None:
    """The choice, its confidence and its margin are those without them; with nobody left there is an error."""
    left = [m for m in matches if m.agent not in barred]
    if not left:
        with pytest.raises(NoAgentFits) as refused:
            rank(_list(matches), averages, settings, barred)
        assert {m.agent for m in matches} <= set(refused.value.reasons)
        return
    ranking = rank(_list(matches), averages, settings, barred)
    without = _ranked(left, averages, settings)
    assert ranking.candidates[: len(left)] == without.candidates
    assert {c.agent: c.excluded for c in ranking.candidates[len(left) :]} == {
        m.agent: barred[m.agent] for m in matches if m.agent in barred
    }
    assert (ranking.agent, ranking.margin) == (without.agent, without.margin)
    assert ranking.confidence == without.confidence
