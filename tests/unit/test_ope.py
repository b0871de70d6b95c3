"""Off-policy evaluation on simulated logs whose truth is known."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from engine.errors import InvalidInput
from engine.learning.ope import POLICIES, DecisionRow, Estimate, Option, estimate, wilson

TRUE = {"python": 0.55, "rust": 0.8, "general": 0.65}
INTENT = {"python": 0.8, "rust": 0.6, "general": 0.3}


def options(shares: dict[str, float]) -> tuple[Option, ...]:
    """Three candidates, whose success is known to the router."""
    return tuple(
        Option(
            agent=agent,
            score=INTENT[agent],
            intent=INTENT[agent],
            success=TRUE[agent],
            cost=1.0,
            latency=1.0,
            propensity=share,
        )
        for agent, share in shares.items()
    )


def logged(seed: int, count: int, shares: dict[str, float]) -> list[DecisionRow]:
    """Decisions drawn with ``shares``; agents succeed as they truly do, better on easy questions."""
    chance, rows, offered = random.Random(seed), list[DecisionRow](), options(shares)
    for n in range(count):
        agent = chance.choices(list(shares), list(shares.values()))[0]
        ok = chance.random() < TRUE[agent]
        rows.append(DecisionRow(at_s=float(n), agent=agent, ok=ok, options=offered))
    return rows


SHARES = {"python": 0.8, "rust": 0.15, "general": 0.05}


def best(estimates: Estimate) -> float:
    """The value, which must be there."""
    assert estimates.value is not None
    return estimates.value


@pytest.mark.req("route.learn")
@pytest.mark.parametrize(("policy", "agent"), [("intent", "python"), ("success", "rust")])
def test_the_interval_covers_what_the_other_policy_truly_achieves(policy: str, agent: str):
    """120 logs of 500 decisions: the 95 % interval contains the truth in at least 91 % of them, without bias."""
    found = [estimate(logged(seed, 500, SHARES), POLICIES[policy]) for seed in range(120)]
    assert sum(e.low <= TRUE[agent] <= e.high for e in found) >= 110
    assert sum(best(e) for e in found) / 120 == pytest.approx(TRUE[agent], abs=0.01)
    assert sum(e.ips for e in found) / 120 == pytest.approx(TRUE[agent], abs=0.01)


@pytest.mark.req("route.learn")
def test_the_plain_mean_of_the_log_is_another_number():
    """The twin: what was recorded is not what the other policy would have achieved."""
    rows = logged(1, 5_000, SHARES)
    mean = sum(bool(row.ok) for row in rows) / len(rows)
    assert mean == pytest.approx(0.8 * 0.55 + 0.15 * 0.8 + 0.05 * 0.65, abs=0.01)
    assert best(estimate(rows, POLICIES["success"])) > mean + 0.15


@pytest.mark.req("route.learn")
def test_the_effective_sample_size_says_how_little_was_explored():
    """All weights alike: as many rows as agree; a policy that chance rarely followed is worth less."""
    rows = logged(2, 1_000, SHARES)
    wide, narrow = estimate(rows, POLICIES["success"]), estimate(rows, POLICIES["intent"])
    assert wide.effective == pytest.approx(wide.agreed * 1_000)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    assert wide.covered == 1.0


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("shares", [{"python": 0.0, "rust": 0.0, "general": 0.0}, {**SHARES, "rust": 0.5}])
def test_without_propensities_it_is_refused(shares: dict[str, float]):
    """Nothing recorded, or numbers that are no probabilities: no estimate is better than a wrong one."""
    rows = [replace(row, options=options(shares)) for row in logged(3, 10, SHARES)]
    with pytest.raises(InvalidInput) as caught:
        estimate(rows, POLICIES["intent"])
    assert caught.value.code == "no_propensities"


@pytest.mark.req("route.learn")
def test_a_policy_that_never_had_a_chance_has_no_value():
    """Covered says so; the interval is the whole range."""
    rows = logged(4, 50, {"python": 1.0, "rust": 0.0, "general": 0.0})
    found = estimate(rows, POLICIES["success"])
    assert (found.value, found.low, found.high, found.covered, found.effective) == (None, 0.0, 1.0, 0.0, 0.0)


@pytest.mark.req("route.learn")
def test_what_was_decided_is_compared_on_the_same_rows():
    """Rows in which the other policy had no chance count on neither side."""
    covered, closed = logged(7, 4_000, SHARES), logged(8, 4_000, {"python": 1.0, "rust": 0.0, "general": 0.0})
    found = estimate([*covered, *closed], POLICIES["success"])
    assert found.covered == 0.5
    assert found.decided == sum(bool(row.ok) for row in covered) / 4_000
    assert best(found) == pytest.approx(TRUE["rust"], abs=0.05)


@pytest.mark.req("route.learn")
def test_rows_that_say_nothing_are_left_out():
    """No outcome, or asked for by name; with nothing else it is refused."""
    silent = [DecisionRow(at_s=0.0, agent="python", ok=True), replace(logged(5, 1, SHARES)[0], ok=None)]
    assert estimate([*silent, *logged(5, 20, SHARES)], POLICIES["intent"]).rows == 20
    with pytest.raises(InvalidInput) as caught:
        estimate(silent, POLICIES["intent"])
    assert caught.value.code == "no_rows"


@pytest.mark.req("route.learn")
def test_excluded_options_are_chosen_by_no_policy():
    """A constraint binds every policy."""
    row = logged(6, 1, SHARES)[0]
    barred = tuple(replace(o, excluded=o.agent == "rust") for o in row.options)
    assert {name: barred[policy(barred)].agent for name, policy in POLICIES.items()} == {
        "greedy": "python",
        "intent": "python",
        "success": "python",
        "cheap": "python",
    }


@pytest.mark.req("route.learn")
def test_few_successes_without_a_failure_are_not_certainty():
    """Three of three: the interval still reaches below one half."""
    assert wilson(1.0, 3) == (pytest.approx(0.438, abs=0.001), 1.0)
    assert wilson(0.5, 0) == (0.0, 1.0)
