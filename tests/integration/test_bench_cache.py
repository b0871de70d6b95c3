"""``bench cache`` measures what it says, on a small scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.bench import cache, cache_flight, cache_semantic
from engine.bench.cache_questions import STORED, mixtures, others, rewordings

GENERAL = AgentCapability(name="general", description="Anything.", instructions="Answer.")


@pytest.mark.long
@pytest.mark.req("cache.semantic", "cache.flight")
def test_every_figure_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through whole engines and processes: hits cost something, and identical misses one call."""
    monkeypatch.setattr(cache, "ROUNDS", 20)
    monkeypatch.setattr(cache_semantic, "SIZES", (50, 100))
    monkeypatch.setattr(cache_semantic, "MEMORY_OF", 80)
    monkeypatch.setattr(cache_flight, "MISSES", 40)
    said: list[str] = []
    figures = cache.run(Settings(agents=(GENERAL,)), said.append).figures
    assert figures["single_flight.upstream_calls"] == figures["single_flight.processes_4.upstream_calls"] == 1.0
    times = [name for name in figures if name.endswith("_ms")]
    assert set(times) >= {"exact.p50_ms", "embedding.p50_ms", "semantic.p50_ms", "semantic.entries_100.p50_ms"}
    assert all(figures[name] > 0 for name in times)
    assert 20 < figures["memory.mb_per_10000_entries"] < 100
    assert len(said) > 4


@pytest.mark.req("cache.semantic")
def test_the_questions_of_the_bench_are_different_ones() -> None:
    """Enough rewordings for every round, none of them the stored one; mixtures are unit vectors, all different."""
    ways = rewordings()
    rounds = cache_semantic.ROUNDS + cache_semantic.WARM_UP
    assert len(set(ways)) == len(ways) > rounds * len(cache_semantic.SIZES)
    assert STORED not in ways
    assert len(set(others())) == 500
    real = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0].astype(np.float32)
    made = list(mixtures(real, 50))
    assert np.linalg.norm(made, axis=1) == pytest.approx(1.0, abs=1e-5)
    assert all(float(one @ two) < 0.9999 for one, two in pairwise(made))


def test_a_benchmark_cache_is_alone(tmp_path: Path) -> None:
    """Embedded, in its own folder, switched on, whatever the user's settings say."""
    theirs = Settings(agents=(GENERAL,), cache=Settings().cache.model_copy(update={"enabled": False}))
    ours = cache_flight.alone(theirs, tmp_path)
    assert (ours.redis.cache_url, ours.redis.state_url, ours.data_dir) == (None, None, tmp_path)
    assert ours.cache.enabled
