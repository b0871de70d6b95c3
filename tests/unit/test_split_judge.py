"""When an arm is rolled back, kept or found fine, also when it is looked at all the time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from configs.splits import GuardRails
from engine.splits.contract import NO_STATS, ArmStats, Moments
from engine.splits.judge import interval, judge, wilson

RAILS = GuardRails(min_requests=50)
STRICT = GuardRails(max_error_rise=0.0, max_cost_ratio=1.0, max_latency_ratio=1.0, min_quality_ratio=None)


def sums(mean: float, count: int, spread: float = 0.0) -> Moments:
    """Measurements ``mean`` ± ``spread``, half of each."""
    squares = count * (mean * mean + spread * spread)
    return Moments(count=count, total=mean * count, squares=squares)


def stats(requests: int = 1_000, errors: int = 50, **means: float) -> ArmStats:
    """An arm with these means, spread by a tenth."""
    measured: dict[str, Any] = {"cost_micros": 100.0, "latency_ms": 500.0, "quality": 0.8} | means
    return ArmStats(
        requests=requests,
        errors=errors,
        **{name: sums(mean, requests, mean / 10) for name, mean in measured.items()},
    )


@pytest.mark.req("route.split")
@pytest.mark.parametrize(
    ("arm", "word"),
    [
        (stats(errors=200), "errors 20.0%, control 5.0%"),
        (stats(cost_micros=160.0), "cost 160, control 100"),
        (stats(latency_ms=1_100.0), "latency 1100, control 500"),
        (stats(quality=0.6), "quality 0.6, control 0.8"),
    ],
)
def test_each_guard_rolls_back_an_arm_that_breaks_it(arm: ArmStats, word: str):
    """Saying which one, with both figures."""
    verdict = judge(arm, stats(), RAILS)
    assert verdict.action == "roll_back"
    assert word in verdict.reason


@pytest.mark.req("route.split")
@pytest.mark.parametrize(
    "arm",
    [stats(errors=60), stats(cost_micros=140.0), stats(latency_ms=900.0), stats(quality=0.75), stats(quality=1.0)],
)
def test_what_stays_within_the_rails_is_never_rolled_back(arm: ArmStats):
    """A little worse is allowed, and better is no harm."""
    assert judge(arm, stats(), RAILS).action != "roll_back"


@pytest.mark.req("route.split")
def test_nothing_is_concluded_from_few_requests_on_either_side():
    """However bad they look."""
    for arm, control in ((stats(49, 49), stats()), (stats(errors=1_000), stats(49, 0)), (NO_STATS, NO_STATS)):
        verdict = judge(arm, control, RAILS)
        assert verdict.action == "keep"
        assert "of 50 requests" in verdict.reason


@pytest.mark.req("route.split")
def test_an_arm_that_is_proven_to_keep_every_rail_may_be_promoted():
    """With enough requests; with fewer it is not certain yet, and says about what."""
    assert judge(stats(20_000, 1_000), stats(20_000, 1_000), RAILS).action == "promote"
    verdict = judge(stats(100, 5), stats(100, 5), RAILS)
    assert verdict.action == "keep"
    assert "errors" in verdict.reason


@pytest.mark.req("route.split")
def test_a_rail_that_is_switched_off_does_not_count():
    """Neither against an arm nor for it."""
    off = RAILS.model_copy(update={"max_error_rise": None})
    assert judge(stats(errors=1_000), stats(), off).action != "roll_back"
    none = GuardRails(max_error_rise=None, max_cost_ratio=None, max_latency_ratio=None, min_quality_ratio=None)
    assert judge(stats(errors=1_000), stats(), none).action == "keep"


@pytest.mark.req("route.split")
def test_a_paid_model_in_place_of_a_free_one_is_rolled_back():
    """Any cost is more than one and a half times nothing; free in place of free is fine."""
    free = stats(cost_micros=0.0)
    assert judge(stats(), free, RAILS).action == "roll_back"
    assert judge(free, free, RAILS).action != "roll_back"


def rolled_back_after(
    rng: random.Random, errors: tuple[float, float], share: float, rails: GuardRails, requests: int = 1_200
) -> int | None:
    """Simulate an arm and control, judged after every tenth request; the arm's requests at its roll-back."""
    sides = [NO_STATS, NO_STATS]
    for number in range(1, requests + 1):
        side = int(rng.random() >= share)
        sides[side] += ArmStats(
            requests=1,
            errors=int(rng.random() < errors[side]),
            cost_micros=Moments.of(rng.lognormvariate(3, 1)),
            latency_ms=Moments.of(rng.lognormvariate(6, 1)),
        )
        if number % 10 == 0 and judge(sides[0], sides[1], rails).action == "roll_back":
            return sides[0].requests
    return None


@pytest.mark.req("route.split")
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_real_harm_is_rolled_back_within_a_few_hundred_requests_of_the_arm(share: float):
    """Errors of 20 % in place of 5 %, in every one of 40 simulations."""
    rng = random.Random(5)
    found = [rolled_back_after(rng, (0.20, 0.05), share, GuardRails(), 5_000) for _ in range(40)]
    assert None not in found
    assert sorted(one for one in found if one is not None)[-1] < 400


@pytest.mark.req("route.split")
def test_equal_arms_are_hardly_ever_rolled_back_however_often_they_are_judged():
    """At most 5 %, with rails that allow nothing at all; with the shipped ones never in these simulations."""
    rng = random.Random(6)
    strict = [rolled_back_after(rng, (0.05, 0.05), 0.5, STRICT) for _ in range(60)]
    assert sum(one is not None for one in strict) <= 3
    shipped = [rolled_back_after(rng, (0.05, 0.05), 0.5, GuardRails(), 1_000) for _ in range(20)]
    assert shipped == [None] * 20


@pytest.mark.long
@pytest.mark.req("route.split")
@pytest.mark.parametrize(("rate", "share"), [(0.05, 0.5), (0.05, 0.1), (0.005, 0.2), (0.3, 0.5)])
def test_the_rate_of_false_alarms_holds_for_other_rates_and_shares(rate: float, share: float):
    """At most 5 % of 400 simulations, judged 500 times each."""
    rng = random.Random(7)
    found = [rolled_back_after(rng, (rate, rate), share, STRICT, 5_000) for _ in range(400)]
    assert sum(one is not None for one in found) <= 20


@pytest.mark.req("route.split")
def test_intervals_are_those_of_the_books():
    """Wilson for shares (Newcombe 1998: 81 of 263 is 0.2553 to 0.3662), normal for means, honest about nothing."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == 0.0
    low, high = interval(sums(10.0, 100, 1.0)) or (0.0, 0.0)
    assert (low, high) == pytest.approx((10 - 0.19698, 10 + 0.19698), abs=1e-4)
    assert interval(Moments.of(1.0)) is None


@pytest.mark.req("route.split")
def test_moments_add_up():
    """Two replicas' sums are those of all measurements."""
    values = [1.0, 2.0, 4.0, 8.0]
    both = Moments.of(1.0) + Moments.of(2.0) + (Moments.of(4.0) + Moments.of(8.0))
    assert (both.count, both.mean) == (4, 3.75)
    assert both.variance == pytest.approx(sum((v - 3.75) ** 2 for v in values) / 3)
    assert (Moments().mean, Moments().variance, Moments.of(3.0).variance) == (0.0, 0.0, 0.0)
