"""Intervals of a share: against tables, at their edges, and covering what they say."""

from __future__ import annotations

import math

import pytest

from engine.cache.intervals import beta_share, clopper_pearson, is_above, wilson


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("wrong", "count", "exact", "short"),
    [
        (0, 10, (0.0, 0.3084971), (0.0, 0.2775328)),
        (1, 10, (0.0025286, 0.4450161), (0.0178762, 0.4041500)),
        (10, 10, (0.6915029, 1.0), (0.7224672, 1.0)),
        (20, 1000, (0.0122583, 0.0307200), (0.0129837, 0.0306900)),
    ],
)
def test_intervals_are_those_of_the_tables(
    wrong: int, count: int, exact: tuple[float, float], short: tuple[float, float]
):
    """Seven digits, worked out with another library."""
    assert clopper_pearson(wrong, count, 0.95) == pytest.approx(exact, abs=5e-7)
    assert wilson(wrong, count, 0.95) == pytest.approx(short, abs=5e-7)


@pytest.mark.req("cache.bound")
def test_the_exact_interval_covers_at_least_as_often_as_it_says():
    """Summed over every outcome of 40 cases; the shorter one falls below for some shares."""

    def covered(share: float) -> float:
        return sum(
            math.comb(40, k) * share**k * (1 - share) ** (40 - k)
            for k in range(41)
            if ends[k][0] <= share <= ends[k][1]
        )

    ends = [clopper_pearson(k, 40, 0.95) for k in range(41)]
    assert min(covered(share / 100) for share in range(1, 100)) >= 0.95
    assert max(high - low for low, high in ends) < 0.33
    ends = [wilson(k, 40, 0.95) for k in range(41)]
    assert 0.8 < min(covered(share / 100) for share in range(1, 100)) < 0.95


@pytest.mark.req("cache.bound")
def test_lying_above_a_share_is_what_the_lower_end_says():
    """On both sides of it, closely, and without a single wrong one."""
    for wrong in (1, 5, 39, 40):
        low, _ = clopper_pearson(wrong, 40, 0.95)
        assert is_above(wrong, 40, low - 1e-6, 0.95)
        assert not is_above(wrong, 40, low + 1e-6, 0.95)
    assert not is_above(0, 40, 0.0, 0.95)


@pytest.mark.req("cache.bound")
def test_without_cases_everything_is_possible_and_nonsense_is_refused():
    """No cases; more wrong than there are."""
    assert clopper_pearson(0, 0, 0.95) == wilson(0, 0, 0.95) == (0.0, 1.0)
    for made in (clopper_pearson, wilson):
        with pytest.raises(ValueError, match="3 of 2"):
            made(3, 2, 0.95)


@pytest.mark.req("cache.bound")
def test_the_beta_function_is_exact_where_it_is_a_power():
    """I_x(a, 1) is x to the a, at both ends and between; for a million cases as well."""
    assert beta_share(3, 1, 0.2) == pytest.approx(0.008)
    assert beta_share(1, 3, 0.2) == pytest.approx(1 - 0.8**3)
    assert (beta_share(2, 5, 0.0), beta_share(2, 5, 1.0)) == (0.0, 1.0)
    assert beta_share(500_000, 500_000, 0.5) == pytest.approx(0.5, abs=1e-6)
