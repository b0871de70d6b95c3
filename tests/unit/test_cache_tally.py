"""What follows from counted comparisons: stances, their delay, and that a tripped cache finds back."""

from __future__ import annotations

import random

import pytest

from configs.caching import BoundSettings
from engine.cache.tally import (
    DAY_S,
    Standing,
    can_judge,
    of_agent,
    refusal,
    standing_of,
    summed,
    tally_of,
    window,
)

RULES = BoundSettings(delta=0.02, judge_min=100, calm=0.5)


def after(before: Standing | str = "normal", **counters: int) -> Standing:
    """What counters lead to; ``high_wrong`` is the counter ``high.wrong``."""
    stance = before if isinstance(before, str) else before.stance
    named = {name.replace("_", ".", 1): count for name, count in counters.items()}
    return standing_of(tally_of(named), RULES, stance)  # pyright: ignore[reportArgumentType] - a stance's name


@pytest.mark.req("cache.bound")
def test_a_bound_that_holds_changes_nothing():
    """Without comparisons, with some right ones, with wrong ones among too few to judge."""
    assert after().stance == "normal"
    assert after(high_right=1_000, high_wrong=10, low_right=100).stance == "normal"
    assert after(high_right=49, low_right=30, low_wrong=20).stance == "normal"


@pytest.mark.req("cache.bound")
def test_delta_exceeded_tightens_and_clearly_exceeded_switches_off():
    """Wrong ones among doubtful candidates tighten; among firm ones, beyond chance, they switch off."""
    assert after(high_right=80, low_right=40, low_wrong=5).stance == "tight"
    assert after(high_right=97, high_wrong=3).stance == "tight"
    found = after(high_right=92, high_wrong=8)
    assert found.stance == "off"
    assert "8 of 100" in found.why


@pytest.mark.req("cache.bound")
def test_a_stance_is_left_later_than_it_is_taken():
    """Between ``calm`` of δ and δ what is tight stays tight; off ends at δ, and with an empty window."""
    between = {"high_right": 985, "high_wrong": 15}
    assert after("normal", **between).stance == "normal"
    assert after("tight", **between).stance == "tight"
    assert after("tight", high_right=995, high_wrong=5).stance == "normal"
    assert after("off", high_right=96, high_wrong=4).stance == "off"
    assert after("off", **between).stance == "tight"
    assert after("off", high_right=995, high_wrong=5).stance == "normal"
    assert after("off").stance == "normal"


@pytest.mark.req("cache.bound")
def test_bands_weigh_by_how_many_there_were_not_by_how_many_were_compared():
    """All 200 doubtful ones that were withheld are compared, of 10,000 firm hits only 200."""
    found = tally_of(
        {
            "high.seen": 10_000,
            "low.seen": 200,
            "high.right": 199,
            "high.wrong": 1,
            "low.right": 180,
            "low.wrong": 20,
        }
    )
    assert found.wrong_share == pytest.approx((10_000 * 0.005 + 200 * 0.1) / 10_200)
    assert standing_of(found, RULES, "normal").stance == "normal"


@pytest.mark.req("cache.bound")
def test_the_false_hit_rate_is_that_of_hits_that_were_served():
    """With its interval; what was withheld, and what nobody knows, is not in it."""
    counters = {"served.right": 980, "served.wrong": 20, "served.unsure": 500, "low.wrong": 99, "low.right": 1}
    found = standing_of(tally_of(counters), RULES, "normal")
    assert (found.rate, found.compared, found.wrong) == (0.02, 1_000, 20)
    assert found.interval == pytest.approx((0.0122583, 0.0307200), abs=1e-6)
    assert (after().rate, after().interval) == (None, (0.0, 1.0))


@pytest.mark.req("cache.bound")
def test_a_tripped_cache_comes_back_by_comparing_alone():
    """A verifier that is wrong in 15 % trips it; once repaired, right ones push the wrong ones out."""
    chance, days, stance, seen = random.Random(3), list[dict[tuple[str, str], int]](), "normal", list[str]()
    for day in range(16):
        share = 0.15 if day < 3 else 0.005
        wrong = sum(chance.random() < share for _ in range(200))
        days.append({("a", "high.right"): 200 - wrong, ("a", "high.wrong"): wrong, ("a", "high.seen"): 200})
        counters = of_agent(summed(days[-RULES.window_days :]), None)
        stance = standing_of(tally_of(counters), RULES, stance).stance  # pyright: ignore[reportArgumentType] - one
        seen.append(stance)
    assert seen[:3] == ["off", "off", "off"]
    assert seen[4] == "off"
    assert seen[-1] == "normal"


@pytest.mark.req("cache.bound")
def test_a_window_ends_today_and_counters_below_zero_are_none():
    """Days since 1970; nobody counts backwards."""
    assert window(20 * DAY_S + 5.0, BoundSettings(window_days=3)) == (18, 19, 20)
    assert not can_judge(tally_of({"high.right": -500, "low.right": 99}), RULES)
    assert can_judge(tally_of({"high.right": -500, "low.right": 100}), RULES)


@pytest.mark.req("cache.bound")
def test_a_name_that_is_no_rule_counts_as_another_one():
    """Names of counters stay few, whoever writes them."""
    assert refusal("antonym") == "refused.antonym"
    assert refusal("What is my IBAN?") == refusal("x" * 40) == "refused.other"
