"""First-token times of routes."""

from __future__ import annotations

from configs.settings import ShieldSettings
from engine.resilience.latency import Latencies

SETTINGS = ShieldSettings(latency_samples=100, latency_samples_min=20, latency_window_s=60.0)


def test_nothing_is_known_below_the_least_number_of_calls() -> None:
    """19 calls say nothing, the 20th does; other routes stay unknown."""
    known = Latencies(SETTINGS)
    for _ in range(19):
        known.add("a", 1.0, 0.0)
    assert (known.p50("a", 0.0), known.p95("a", 0.0)) == (None, None)
    known.add("a", 1.0, 0.0)
    assert (known.p50("a", 0.0), known.p95("b", 0.0)) == (1.0, None)


def test_quantiles_are_by_nearest_rank() -> None:
    """Of 1 to 100: 50 and 95, in whatever order they came."""
    known = Latencies(SETTINGS)
    for value in sorted(range(1, 101), key=lambda n: n * 37 % 101):
        known.add("a", float(value), 0.0)
    assert (known.p50("a", 0.0), known.p95("a", 0.0)) == (50.0, 95.0)


def test_only_the_latest_calls_count() -> None:
    """A hundred slow ones are forgotten after a hundred quick ones."""
    known = Latencies(SETTINGS)
    for seconds in (9.0, 0.1):
        for _ in range(100):
            known.add("a", seconds, 0.0)
    assert known.p95("a", 0.0) == 0.1


def test_what_is_old_is_forgotten() -> None:
    """A route that was slow a minute ago is unknown, so nobody passes it over for ever."""
    known = Latencies(SETTINGS)
    for _ in range(50):
        known.add("a", 9.0, 0.0)
    assert (known.p50("a", 60.0), known.p50("a", 60.1)) == (9.0, None)


def test_a_call_that_was_given_up_on_is_a_lower_bound() -> None:
    """It makes a route slower, never quicker, and says nothing about one that was never measured."""
    known = Latencies(SETTINGS)
    for _ in range(50):
        known.add("never", 2.0, 0.0, measured=False)
        known.add("a", 1.0, 0.0)
    assert (known.p95("never", 0.0), known.p95("a", 0.0)) == (None, 1.0)
    for _ in range(5):
        known.add("a", 3.0, 0.0, measured=False)
    assert known.p95("a", 0.0) == 3.0
