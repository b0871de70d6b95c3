"""Which strategy a request is worth, and the page that shows it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.load import load_settings
from configs.routing import StrategySettings
from engine.evals.strategies import COUNTS, PAGE, page, turning_point
from engine.routing.policy import LEVELS, StrategyChoice, best, choose_strategy, prospects, reach
from engine.types import Strategy

ALL: frozenset[Strategy] = frozenset({"single", "parallel", "cascade"})
SIMPLE, MEDIUM, COMPLEX = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
SHARES = st.floats(min_value=0.0, max_value=1.0)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[float, float, tuple[float, float, float]]:
    """Confidence, margin and how much work it is."""
    sure = draw(SHARES)
    second = draw(st.floats(min_value=0.0, max_value=min(sure, 1.0 - sure)))
    cuts = sorted((draw(SHARES), draw(SHARES)))
    return sure, sure - second, (cuts[0], cuts[1] - cuts[0], 1.0 - cuts[1])


def choose(
    confidence: float,
    margin: float,
    levels: tuple[float, float, float] | None,
    *,
    out_of_scope: bool = False,
    available: frozenset[Strategy] = ALL,
    worth: float | None = None,
) -> StrategyChoice:
    """The choice under the shipped settings."""
    found = StrategySettings() if worth is None else StrategySettings(answer_worth=worth)
    return choose_strategy(
        confidence=confidence,
        margin=margin,
        complexity_probabilities=levels,
        out_of_scope=out_of_scope,
        available=available,
        settings=found,
    )


@pytest.mark.req("route.strategy")
@pytest.mark.parametrize(
    ("confidence", "margin", "levels", "wanted"),
    [
        (0.99, 0.98, SIMPLE, "single"),
        (0.99, 0.98, MEDIUM, "single"),
        (0.99, 0.98, COMPLEX, "cascade"),
        (0.50, 0.00, SIMPLE, "parallel"),
        (0.50, 0.00, MEDIUM, "parallel"),
        (0.50, 0.00, COMPLEX, "parallel"),
        (0.30, 0.10, COMPLEX, "parallel"),
        (0.70, 0.40, MEDIUM, "parallel"),
        (0.95, 0.90, None, "single"),
        (0.40, 0.05, None, "parallel"),
    ],
)
def test_sure_is_single_unsure_parallel_complex_cascade(
    confidence: float, margin: float, levels: tuple[float, float, float] | None, wanted: Strategy
) -> None:
    """The rule of the product, as it follows from the shipped assumptions."""
    found = choose(confidence, margin, levels)
    assert (found.wanted, found.runs) == (wanted, wanted)
    assert found.complexity == (None if levels is None else LEVELS[levels.index(1.0)])


@pytest.mark.req("route.strategy")
def test_out_of_scope_is_one_general_agent() -> None:
    """However unsure, and however much work."""
    found = choose(0.2, 0.0, COMPLEX, out_of_scope=True)
    assert (found.wanted, found.runs, found.complexity) == ("single", "single", "complex")
    assert "general agent" in found.reason
    assert choose(0.2, 0.0, COMPLEX).wanted != "single"


@pytest.mark.req("route.strategy")
def test_a_strategy_this_engine_lacks_is_wanted_and_single_runs() -> None:
    """The record says what was asked for, what ran and why; with the strategy there, it runs."""
    found = choose(0.99, 0.98, COMPLEX, available=frozenset({"single"}))
    assert (found.wanted, found.runs) == ("cascade", "single")
    assert "does not have cascade yet" in found.reason
    there = choose(0.99, 0.98, COMPLEX)
    assert there.runs == "cascade"
    assert "yet" not in there.reason


@pytest.mark.req("route.strategy")
@given(worlds())
def test_what_is_wanted_has_the_highest_worth(world: tuple[float, float, tuple[float, float, float]]) -> None:
    """Quality is a share, cost at least one answer, and nothing else is worth more."""
    sure, margin, levels = world
    settings = StrategySettings()
    found = prospects(sure, margin, levels, settings)
    wanted = choose(sure, margin, levels).wanted
    assert all(0.0 <= each.quality <= 1.0 and each.cost >= 1.0 for each in found.values())
    assert all(found[wanted].worth >= each.worth for each in found.values())


@pytest.mark.req("route.strategy")
@given(worlds())
def test_answers_that_are_worth_little_are_given_once(
    world: tuple[float, float, tuple[float, float, float]],
) -> None:
    """A second answer never pays when a good one is worth no more than what it costs."""
    sure, margin, levels = world
    assert choose(sure, margin, levels, worth=1.0).wanted == "single"


@pytest.mark.req("route.strategy")
@given(worlds(), SHARES)
def test_more_confidence_never_leads_to_more_agents(
    world: tuple[float, float, tuple[float, float, float]], more: float
) -> None:
    """Who is surer, with the rest of the belief on the second, does not go from one agent to several."""
    sure, _, levels = world
    low = max(0.5, sure)
    high = low + more * (1.0 - low)
    if choose(low, 2 * low - 1, levels).wanted != "parallel":
        assert choose(high, 2 * high - 1, levels).wanted != "parallel"


@pytest.mark.req("route.strategy")
@given(worlds())
def test_the_right_agent_is_at_least_as_likely_among_three(
    world: tuple[float, float, tuple[float, float, float]],
) -> None:
    """Between the first agent's own confidence and certainty."""
    sure, margin, _ = world
    assert sure <= reach(sure, margin) <= 1.0 + 1e-12


@pytest.mark.req("route.strategy")
def test_turning_points_are_where_the_choice_turns() -> None:
    """One hundredth below it is parallel, at it no more."""
    settings = StrategySettings()
    for name, levels in zip(LEVELS, (SIMPLE, MEDIUM, COMPLEX), strict=True):
        turn = turning_point(name, settings)
        assert turn is not None
        below = turn - 0.01
        assert best(prospects(below, 2 * below - 1, levels, settings)) == "parallel"
        assert best(prospects(turn, 2 * turn - 1, levels, settings)) != "parallel"
    assert turning_point("simple", StrategySettings(answer_worth=1.0)) is None


@pytest.mark.req("route.strategy")
def test_the_page_of_strategies_is_what_the_policy_says() -> None:
    """Run `python -m engine.evals.strategies > docs/strategies.md` after changing policy or settings."""
    counts = json.loads(COUNTS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == page(load_settings(environ={}).strategies, counts)
    changed = StrategySettings(answer_worth=50.0)
    assert PAGE.read_text(encoding="utf-8") != page(changed, counts)
