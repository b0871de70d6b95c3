"""One entry's threshold: the bound holds in made-up worlds, and hits are served all the same."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import pytest

from configs.caching import DELTA, BoundSettings
from engine.cache.bound import begun, decide, is_firm, raised, tells
from engine.cache.bound_region import region_at
from engine.cached import Observation
from tests.support.bound_worlds import Curve, World, observation, sigmoid

PRIOR = BoundSettings(delta=0.05, shadow_share=0.1)
STRICT = BoundSettings(delta=0.05, shadow_share=0.1, mode="strict")
START = math.log(0.9 / 0.1)


def served(odds: float, observations: Sequence[Observation], rules: BoundSettings = PRIOR) -> bool:
    """With the luckiest sample."""
    return decide(sigmoid(odds), observations, rules, sample=0.999999).serve


def noise(rate: float, count: int) -> float:
    """Three standard deviations of a share."""
    return 3 * math.sqrt(rate * (1 - rate) / max(1, count))


def calibrated(_: random.Random) -> Curve:
    """The verifier says what is."""
    return sigmoid


def shifted(chance: random.Random) -> Curve:
    """Right on average, but each entry is easier or harder than the verifier thinks."""
    shift = chance.gauss(0.0, 1.5)
    return lambda odds: sigmoid(odds + shift)


def over_confident(_: random.Random) -> Curve:
    """What it calls 95 % is 72 %."""
    return lambda odds: sigmoid(odds - 2.0)


def steep(chance: random.Random) -> Curve:
    """All or nothing, somewhere else for every entry."""
    at = chance.uniform(0.0, 4.0)
    return lambda odds: sigmoid(3.0 * (odds - at))


def useless(_: random.Random) -> Curve:
    """The score says nothing, and one in five is wrong."""
    return lambda _odds: 0.8


# by observations alone


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize("curve", [calibrated, shifted, over_confident, steep, useless])
def test_strict_keeps_wrong_answers_below_delta_whatever_the_verifier_is_worth(
    curve: Callable[[random.Random], Curve],
):
    """The paper's promise, of all candidates, in worlds that are logistic per entry."""
    came = World(curve=curve, entries=12, asks=100).run(STRICT, seed=7)
    assert came.wrong_of_asked <= STRICT.delta + noise(STRICT.delta, came.asked)


@pytest.mark.req("cache.bound")
def test_strict_earns_its_hits_where_there_are_any():
    """A fresh entry hits never, one with a hundred observations often; of those few are wrong."""
    late = World(curve=steep, entries=12, asks=150).run(STRICT, seed=8, from_ask=75)
    assert late.hit_rate > 0.25
    assert late.wrong_of_hits <= STRICT.delta
    assert decide(0.9999, (), STRICT, sample=0.999999).serve is False
    assert World(curve=useless, entries=12, asks=100).run(STRICT, seed=8).hit_rate < 0.02


@pytest.mark.req("cache.bound")
def test_strict_explores_by_the_paper():
    """With n right ones at a score, α is the best of (1 - ε) ε^(1/n), and τ = 1 - δ / (1 - α)."""
    for count in (5, 20, 60):
        best = max((1 - e / 1000) * (e / 1000) ** (1 / count) for e in range(1, 1000))
        found = region_at(2.0, [(2.0, True)] * count)
        assert best - 0.02 <= found.surely <= best
        tau = decide(sigmoid(2.0), [observation(2.0, True)] * count, STRICT, sample=0.5).explore_probability
        assert tau == pytest.approx(1 - STRICT.delta / (1 - found.surely))
    assert not decide(sigmoid(2.0), [observation(2.0, True)] * 20, STRICT, sample=0.6).serve
    assert decide(sigmoid(2.0), [observation(2.0, True)] * 20, STRICT, sample=0.99).serve


@pytest.mark.req("cache.bound")
def test_strict_draws_no_lots_over_what_it_believes_to_be_wrong():
    """The paper would serve one such candidate in twenty; a lower score is not vouched for by higher ones."""
    mixed = [observation(2.0, n % 4 > 0) for n in range(40)]
    assert served(2.0, mixed, STRICT) is False
    high = [observation(4.0, True)] * 40 + [observation(0.0, False)] * 10
    assert served(4.0, high, STRICT) is True
    assert served(0.5, high, STRICT) is False
    assert decide(sigmoid(4.0), high, STRICT, sample=0.999).threshold <= sigmoid(4.0)


# the verifier's word as a prior


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize("curve", [calibrated, shifted])
def test_prior_keeps_delta_from_the_first_hit_on_when_the_verifier_is_calibrated(
    curve: Callable[[random.Random], Curve],
):
    """Of hits, not of candidates; and three or more in ten candidates are hits."""
    came = World(curve=curve, entries=40, asks=100).run(PRIOR, seed=9)
    assert came.wrong_of_hits <= PRIOR.delta + noise(PRIOR.delta, came.hits)
    assert came.hit_rate > 0.3


@pytest.mark.req("cache.bound")
def test_prior_comes_down_below_delta_when_the_verifier_is_over_confident():
    """Well above δ in the first ten questions of an entry; below it once it has been observed."""
    world = World(curve=over_confident, entries=100, asks=10, spread=1.0)
    assert world.run(PRIOR, seed=10).wrong_of_hits > 1.5 * PRIOR.delta
    late = World(curve=over_confident, entries=8, asks=250).run(PRIOR, seed=10, from_ask=125)
    assert late.wrong_of_hits <= PRIOR.delta
    assert late.hit_rate > 0.1


@pytest.mark.req("cache.bound")
def test_a_fresh_entry_hits_at_once_where_the_verifier_is_sure_enough():
    """From 1 - 2δ on, or from where the settings say."""
    assert served(START + 0.01, ())
    assert not served(START - 0.01, ())
    lower = PRIOR.model_copy(update={"start": 0.8})
    assert served(math.log(4) + 0.01, (), lower)
    assert not served(math.log(4) - 0.01, (), lower)


@pytest.mark.req("cache.bound")
def test_a_verifiers_own_threshold_is_where_entries_begin_and_delta_moves_it():
    """As it is under the bound it was chosen for, higher under a stricter one, and never where one is set."""
    own = begun(BoundSettings(), 0.85)
    strict, loose = (begun(BoundSettings(delta=delta), 0.85) for delta in (DELTA / 3, 2 * DELTA))
    assert own.start == pytest.approx(0.85)
    assert loose.start is not None
    assert strict.start is not None
    assert loose.start < 0.85
    assert strict.start > 0.94
    assert begun(BoundSettings(start=0.5), 0.85).start == 0.5


@pytest.mark.req("cache.bound")
def test_right_observations_lower_the_threshold_down_to_a_floor():
    """By ``loosen`` in the odds, however many there are; pairs that were doubted anyway do not help."""
    few = decide(0.9, [observation(START, True)] * 10, PRIOR, sample=0.5).threshold
    many = decide(0.9, [observation(START, True)] * 1_000, PRIOR, sample=0.5).threshold
    assert sigmoid(START - math.log(PRIOR.loosen)) == pytest.approx(many)
    assert many < few < 0.9
    doubted = [observation(0.0, True)] * 1_000
    assert decide(0.9, doubted, PRIOR, sample=0.5).threshold == pytest.approx(0.9)
    assert not tells(sigmoid(0.0), PRIOR)
    assert tells(sigmoid(0.0), STRICT)


@pytest.mark.req("cache.bound")
def test_observations_are_read_to_the_disadvantage_of_their_entry():
    """As many wrong ones as the verifier foretold leave the threshold where it was, but for caution."""
    foretold = [observation(START, n % 10 > 0) for n in range(60)]
    bold = PRIOR.model_copy(update={"caution": 0.0, "margin": 1e-9})
    careful = bold.model_copy(update={"caution": 1.0})
    assert decide(0.9, foretold, bold, sample=0.5).threshold == pytest.approx(0.9, abs=1e-3)
    assert decide(0.9, foretold, careful, sample=0.5).threshold > 0.92


@pytest.mark.req("cache.bound")
def test_a_wrong_one_blocks_scores_like_its_own_until_it_is_outweighed():
    """And not those far above it; 19 right ones later, one in twenty was wrong."""
    wrong = [observation(START + 1.0, False)]
    assert not served(START + 1.4, wrong)
    assert served(START + 3.0, wrong)
    assert "wrong" in decide(sigmoid(START + 1.4), wrong, PRIOR, sample=0.5).why
    near = [observation(START + 0.9, True)]
    assert not served(START + 1.4, wrong + near * 18)
    assert served(START + 1.4, wrong + near * 19)
    assert not served(START + 1.4, near * 19 + wrong), "right ones before it"
    assert not served(START + 1.4, wrong + [observation(START - 0.5, True)] * 19), "right ones elsewhere"


@pytest.mark.req("cache.bound")
def test_an_entry_that_was_wrong_at_the_highest_score_serves_nothing():
    """Its threshold is one that no score reaches."""
    wrong = [Observation(score=1.0, right=False)]
    found = decide(1.0, wrong, PRIOR, sample=0.5)
    assert (found.serve, found.threshold, found.explore_probability) == (False, 1.0, 1.0)
    assert not is_firm(1.0, found.threshold, PRIOR)


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize("rules", [PRIOR, STRICT])
@pytest.mark.parametrize("score", [math.nan, -0.1, 1.1, math.inf])
def test_a_score_that_is_no_probability_is_never_served(rules: BoundSettings, score: float):
    """Whatever was observed, and such an observation says nothing."""
    right = [observation(3.0, True)] * 60
    assert not decide(score, right, rules, sample=0.999999).serve
    odd = Observation(score=score, right=False)
    before = decide(0.97, right, rules, sample=0.999999)
    assert decide(0.97, [*right, odd], rules, sample=0.999999) == before


@pytest.mark.req("cache.bound")
def test_a_raised_threshold_allows_a_quarter_of_the_odds():
    """What passes it is firm; a threshold that nothing reaches stays one."""
    assert raised(0.95, PRIOR) == pytest.approx(1 / (1 + 0.05 / 0.95 / PRIOR.tighten))
    assert is_firm(raised(0.95, PRIOR) + 1e-6, 0.95, PRIOR)
    assert not is_firm(raised(0.95, PRIOR) - 1e-6, 0.95, PRIOR)
    assert raised(1.0, PRIOR) == 1.0
