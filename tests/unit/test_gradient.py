"""How the limit of a route moves (Gradient2 with slow start)."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from configs.settings import LimiterSettings
from engine.resilience.gradient import Gradient

SETTINGS = LimiterSettings(start=8, least=2, most=64, restart=2)


def round_of(limit: Gradient, seconds: float) -> None:
    """As many quick answers as there are places, all places in use."""
    for _ in range(limit.places):
        limit.answered(seconds, limit.places)


def test_it_grows_by_less_than_a_call_a_round_while_all_is_well() -> None:
    """Feeling for the edge must not cost the failures in a row that open a breaker; ``most`` is the end."""
    limit = Gradient(SETTINGS, 12)
    seen = [limit.places]
    for _ in range(12):
        round_of(limit, 0.05)
        seen.append(limit.places)
    assert (seen[0], seen[-1]) == (8, 12)
    assert max(after - before for before, after in pairwise(seen)) == 1


def test_a_route_that_says_how_much_it_takes_starts_no_higher() -> None:
    """``most`` of the route wins over ``start``."""
    assert Gradient(SETTINGS, 2).places == 2


def test_nothing_is_learnt_while_places_are_idle() -> None:
    """A route that is asked one thing at a time says nothing about eight."""
    limit = Gradient(SETTINGS, 64)
    for _ in range(1_000):
        limit.answered(0.05, 1)
    assert limit.places == 8


def test_a_round_of_failures_costs_one_step() -> None:
    """Ten throttles at once are one overload; growth is by less than a call a round from then on."""
    limit = Gradient(SETTINGS, 64)
    for _ in range(10):
        limit.dropped(100.0, 0.05)
    assert limit.limit == pytest.approx(8 * 0.9)
    limit.dropped(100.06, 0.05)
    assert limit.limit == pytest.approx(8 * 0.81)
    before = limit.limit
    round_of(limit, 0.05)
    assert 0.5 < limit.limit - before < 1.0


def test_it_never_falls_below_the_least() -> None:
    """Failures without end leave ``least`` places."""
    limit = Gradient(SETTINGS, 64)
    for second in range(1_000):
        limit.dropped(float(second), 0.1)
    assert limit.places == 2


def test_it_shrinks_while_first_tokens_take_much_longer_than_usual() -> None:
    """Five times the long-term average is a queue on the other side, so fewer calls are made."""
    limit = Gradient(SETTINGS, 64)
    for _ in range(100):
        round_of(limit, 0.1)
    assert limit.places == 64
    round_of(limit, 0.5)
    assert 50 < limit.places < 60


def test_a_little_slower_is_still_well() -> None:
    """Below ``tolerance`` times the average nothing shrinks."""
    limit = Gradient(SETTINGS, 64)
    for _ in range(100):
        round_of(limit, 0.1)
    for _ in range(10):
        round_of(limit, 0.15)
    assert limit.places == 64


def test_the_average_forgets_a_burst_faster_than_it_learnt_it() -> None:
    """After a slow spell ordinary answers bring the average back: a second spell is noticed again."""
    limit = Gradient(SETTINGS, 64)
    for _ in range(5):
        round_of(limit, 5.0)
    for _ in range(200):
        limit.answered(0.1, 64)
    settled = limit.limit
    limit.answered(1.0, 64)
    assert limit.limit < settled


def test_after_an_outage_it_begins_small_and_doubles_up_to_what_it_was() -> None:
    """Ramp-up: 2, 4, 8 as before the outage, and from there with care."""
    limit = Gradient(SETTINGS, 64)
    limit.restart()
    seen = [limit.places]
    for _ in range(3):
        round_of(limit, 0.05)
        seen.append(limit.places)
    assert seen == [2, 4, 8, 8]


def test_what_failed_before_the_outage_is_not_aimed_at_again() -> None:
    """The limit that failures had taken down is the one that doubling stops at."""
    limit = Gradient(SETTINGS, 64)
    for second in range(4):
        limit.dropped(float(second), 0.1)
    low = limit.places
    limit.restart()
    for _ in range(4):
        round_of(limit, 0.05)
    assert low <= limit.places <= low + 2


def test_the_wait_is_foreseen_with_the_growth() -> None:
    """A steady limit of 8 serves 16 in two rounds; doubling serves 2 + 4 + 8 in three."""
    limit = Gradient(SETTINGS, 64)
    assert limit.rounds(16) == 2.0
    limit.restart()
    assert limit.rounds(14) == pytest.approx(3.0)


def test_answers_that_take_no_time_are_taken_as_they_are() -> None:
    """A first token at once cannot be divided by."""
    limit = Gradient(SETTINGS, 64)
    limit.answered(0.0, 8)
    assert math.isfinite(limit.limit)
