"""Exploration: the best answers, agents on probation get probes within a bound, propensities are probabilities."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.routing import LearnSettings
from configs.settings import Settings
from engine.learning.averages import learned
from engine.routing.explore import (
    Situation,
    choose,
    context_of,
    probe_hazard,
    thompson,
    upper_bound,
)
from engine.routing.turns import Turns
from engine.types import Averages, Candidate

SETTINGS = Settings()
HELD = Averages(success=0.4, count=10, held=True)
Explore = Literal["ema", "thompson", "linucb"]


def candidate(agent: str, intent: float, success: float = 1.0, **more: str) -> Candidate:
    """One with no difference in cost or latency."""
    score = intent * success**SETTINGS.routing.weight_success
    return Candidate(
        agent=agent,
        score=score,
        similarity=intent,
        keyword_hits=(),
        intent=intent,
        success=success,
        cost=1.0,
        latency=1.0,
        excluded=more.get("excluded", ""),
        dominated_by=more.get("dominated_by", ""),
    )


def exploring(name: Explore) -> Settings:
    """Settings that explore so."""
    return SETTINGS.model_copy(update={"learn": LearnSettings(explore=name)})


PYTHON, RUST, GENERAL = candidate("python", 0.8, 0.4), candidate("rust", 0.5), candidate("general", 0.28)
THREE = (PYTHON, RUST, GENERAL)


@pytest.mark.req("route.learn")
def test_without_anybody_on_probation_the_best_always_answers():
    """The default tries nobody else: probability 1 for the highest score."""
    chosen = choose(THREE, {}, SETTINGS, Situation(waited={"python": 99}), 0.999)
    assert (chosen.index, chosen.explored, chosen.propensities, chosen.held) == (0, False, (1.0, 0.0, 0.0), "")


@pytest.mark.req("route.learn")
def test_an_agent_on_probation_gives_its_question_to_the_next_one_and_gets_probes():
    """Just asked: no probe; after waiting: the sample decides, with the probability that is recorded."""
    averages = {"python": HELD}
    assert choose(THREE, averages, SETTINGS, Situation(), 0.0).index == 1
    waited = Situation(waited={"python": 12})
    probe, other = (choose(THREE, averages, SETTINGS, waited, sample) for sample in (0.0, 0.999))
    assert (probe.index, probe.explored, other.index, other.explored) == (0, True, 1, False)
    assert probe.propensities == other.propensities
    assert probe.propensities[0] == probe_hazard(12, SETTINGS.learn) > 0
    assert probe.held == other.held == "python"


@pytest.mark.req("route.learn")
def test_a_request_that_must_not_be_tried_out_on_is_not():
    """Priority high: the next best, with certainty."""
    situation = Situation(may_explore=False, waited={"python": 99})
    assert choose(THREE, {"python": HELD}, SETTINGS, situation, 0.0).propensities == (0.0, 1.0, 0.0)


@pytest.mark.req("route.learn")
def test_whose_question_it_is_not_gets_no_probe_of_it():
    """Probes are of an agent's own questions, so that they say something about it."""
    chosen = choose(THREE, {"rust": HELD}, SETTINGS, Situation(waited={"rust": 99}), 0.0)
    assert (chosen.index, chosen.held) == (0, "")


@pytest.mark.req("route.learn")
def test_excluded_and_dominated_candidates_are_chosen_by_nobody():
    """Not by a probe either; but whoever is dominated by an agent on probation only may stand in for it."""
    barred = (candidate("python", 0.8, excluded="no tools"), candidate("rust", 0.5, dominated_by="go"), GENERAL)
    assert choose(barred, {"python": HELD}, SETTINGS, Situation(waited={"python": 99}), 0.0).index == 2
    second = (PYTHON, candidate("rust", 0.5, dominated_by="python"), GENERAL)
    assert choose(second, {"python": HELD}, SETTINGS, Situation(), 0.0).index == 1


@pytest.mark.req("route.learn")
def test_when_all_are_on_probation_the_best_of_them_answers():
    """Somebody has to."""
    averages = {c.agent: HELD for c in THREE}
    assert choose(THREE, averages, SETTINGS, Situation(), 0.5).propensities == (1.0, 0.0, 0.0)


@pytest.mark.req("route.learn")
def test_probes_take_their_share_of_an_agents_questions_and_never_more_than_the_bound():
    """10,000 questions of an agent on probation: 8 % of them, and never two within ten."""
    chance, turns, probes = random.Random(7), Turns(100), list[int]()
    for n in range(10_000):
        chosen = choose(THREE, {"python": HELD}, SETTINGS, Situation(waited=turns.waited), chance.random())
        turns.note(chosen, THREE[chosen.index].agent)
        if chosen.explored:
            probes.append(n)
    assert len(probes) / 10_000 == pytest.approx(SETTINGS.learn.probe_share, rel=0.05)
    gaps = [later - earlier for earlier, later in pairwise(probes)]
    assert min(gaps) == 1 / SETTINGS.learn.explore_max
    assert max(gaps) < 30


@pytest.mark.req("route.learn")
def test_an_agent_that_is_asked_again_starts_to_wait_anew():
    """What was counted before its recovery does not speed up a later probe; the count is bounded."""
    turns = Turns(1)
    held = choose(THREE, {"python": HELD}, SETTINGS, Situation(), 0.5)
    turns.note(held, "rust")
    turns.note(held, "rust")
    assert turns.waited == {"python": 2}
    turns.note(choose(THREE, {}, SETTINGS, Situation(), 0.5), "python")
    assert turns.waited == {}


names = st.sampled_from(["a", "b", "c", "d", "e"])
some = st.lists(
    st.builds(candidate, names, st.floats(0.01, 1.0), st.floats(0.0, 1.0)), min_size=1, unique_by=lambda c: c.agent
)
known = st.dictionaries(
    names, st.builds(Averages, success=st.floats(0, 1), count=st.integers(0, 500), held=st.booleans())
)


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("explore", ["ema", "thompson", "linucb"])
@settings(max_examples=50)
@given(candidates=some, averages=known, waited=st.integers(0, 50), sample=st.floats(0, 1, exclude_max=True))
def test_propensities_are_probabilities_and_exploration_is_bounded(
    explore: Explore, candidates: list[Candidate], averages: dict[str, Averages], waited: int, sample: float
):
    """They add up to 1, the chosen one had a chance, and but for probes ``explore_max`` holds."""
    situation = Situation(waited=dict.fromkeys("abcde", waited), contexts=dict.fromkeys("abcde", (1.0, 0.5)))
    chosen = choose(candidates, averages, exploring(explore), situation, sample)
    shares = chosen.propensities
    assert sum(shares) == pytest.approx(1.0, abs=1e-9)
    assert min(shares) >= 0.0
    assert shares[chosen.index] > 0.0
    most = SETTINGS.learn.hazard_max if chosen.held else SETTINGS.learn.explore_max
    assert max(shares) >= 1.0 - most - 1e-9
    assert chosen.explored <= (shares[chosen.index] <= most + 1e-9)


@pytest.mark.req("route.learn")
def test_thompson_chooses_as_often_as_drawing_from_the_posteriors_would():
    """The integral agrees with 20,000 draws within a hundredth."""
    averages = [Averages(success=0.7, count=10), Averages(success=0.9, count=4), Averages(success=0.5, count=0)]
    worth, chance, wins = (0.8, 0.6, 0.7), random.Random(1), Counter[int]()
    for _ in range(20_000):
        draws = [
            w * chance.betavariate(1 + a.success * a.count, 1 + (1 - a.success) * a.count)
            for w, a in zip(worth, averages, strict=True)
        ]
        wins[draws.index(max(draws))] += 1
    exact = thompson(worth, averages, SETTINGS.learn)
    assert exact == pytest.approx([wins[i] / 20_000 for i in range(3)], abs=0.012)


@pytest.mark.req("route.learn")
def test_linucb_learns_in_which_context_an_agent_fails():
    """Good at short questions, bad at long ones; unknown contexts are given the benefit of the doubt."""
    chance, moments, rules = random.Random(3), (), LearnSettings(context_width=0.1)
    assert upper_bound((), (1.0, 0.0), rules) == 1.0
    for _ in range(400):
        long = float(chance.random() < 0.5)
        moments = learned(moments, (1.0, long), 0.1 if long else 0.9, rules)
    assert upper_bound(moments, (1.0, 0.0), rules) > 0.8
    assert upper_bound(moments, (1.0, 1.0), rules) < 0.3


@pytest.mark.req("route.learn")
def test_a_context_is_small_and_within_bounds():
    """Five features, each in [0, 1]."""
    assert context_of(PYTHON, "complex", 10**9) == (1.0, 0.8, 1.0, 1.0, 0.0)
    assert context_of(PYTHON, None, 0) == (1.0, 0.8, 0.0, 0.0, 0.0)
