"""Self-healing, simulated over the selection, exploration and averages that serve requests."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from configs.settings import Settings
from engine.bench import healing, healing_world
from engine.bench.healing import BACK, LEFT, RECOVERS, healed, keeps, scene

SETTINGS = Settings()
SEEDS = range(16)


@cache
def runs(replicas: int, delay: int) -> tuple[healing_world.Run, ...]:
    """The scene with each seed."""
    return tuple(healing_world.run(scene(replicas, delay), SETTINGS, seed) for seed in SEEDS)


@pytest.mark.req("route.learn")
@pytest.mark.parametrize(("replicas", "delay"), [(1, 0), (4, 4)])
def test_an_agent_that_fails_is_left_within_50_requests_and_back_within_100(replicas: int, delay: int):
    """It fails 60 %: below 10 % of its traffic in every seed; 80 % again once it is well, also with 4 replicas."""
    all_of = [healed(one) for one in runs(replicas, delay)]
    assert max(h.to_left for h in all_of) <= 50
    assert sorted(h.share_failing for h in all_of)[len(all_of) // 2] < LEFT
    assert max(h.to_back for h in all_of) <= 100
    assert min(h.share_at_100 for h in all_of) >= BACK


@pytest.mark.req("route.learn")
def test_learning_regrets_a_fifth_of_what_fixed_routing_does():
    """Successes lost against the best choice of each moment, in the worst seed."""
    for one in runs(1, 0):
        assert one.regret[-1] < one.fixed_regret[-1] / 4
    assert sum(r.regret[-1] for r in runs(1, 0)) < sum(r.fixed_regret[-1] for r in runs(1, 0)) / 5


@pytest.mark.req("route.learn")
def test_without_learning_the_agent_is_asked_whatever_it_does():
    """The twin: nobody is left, and nothing is gained."""
    off = SETTINGS.model_copy(update={"learn": SETTINGS.learn.model_copy(update={"probation_odds": 1e300})})
    off = off.model_copy(update={"routing": off.routing.model_copy(update={"weight_success": 0.0})})
    one = healed(healing_world.run(scene(), off, 1))
    assert (one.share_failing, one.regret) == (1.0, one.fixed)


@pytest.mark.req("route.learn")
@pytest.mark.parametrize(("success", "at_least"), [(0.99, 0.99), (0.9, 0.95)])
def test_a_healthy_agent_keeps_its_questions(success: float, at_least: float):
    """2,000 requests each: 99 % of them at 99 % success, 95 % at 90 %."""
    assert min(keeps(SETTINGS, success, seed) for seed in range(3)) >= at_least


@pytest.mark.req("route.learn")
def test_exploring_takes_no_more_than_its_bound_of_all_requests():
    """Thompson sampling too, which also tries healthy agents."""
    other = healing.with_strategy(SETTINGS, "thompson")
    one = healed(healing_world.run(scene(), other, 1))
    assert 0.0 < one.explored <= SETTINGS.learn.explore_max
    assert one.share_failing < 2 * LEFT


@pytest.mark.req("route.learn")
def test_the_same_seed_gives_the_same_run():
    """Figures can be compared between machines."""
    assert healing_world.run(scene(), SETTINGS, 3) == runs(1, 0)[3]


@pytest.mark.req("route.learn")
def test_shares_and_regret_are_plotted(tmp_path: Path):
    """As the ending says."""
    healing.plot(runs(1, 0)[:2], tmp_path / "out" / "healing.svg")
    assert "<svg" in (tmp_path / "out" / "healing.svg").read_text()


@pytest.mark.req("route.learn")
def test_recovery_is_counted_from_the_right_request():
    """``first`` looks forward from where it starts, and gives up at the end."""
    asked = [False] * RECOVERS + [True] * 100
    assert healing_world.first(asked, RECOVERS - 50, len(asked), lambda s: s >= BACK, 50) == 40
    assert healing_world.first(asked, 0, RECOVERS, lambda s: s >= BACK, 50) == RECOVERS
