"""``bench cache`` measures what it says, on a small scale."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine import compose
from engine.bench import cache, cache_flight, cache_semantic
from engine.bench.cache_questions import STORED, THINGS, mixtures, others, rewordings
from engine.errors import BenchFailed
from tests.support.paraphrases import one_encoder

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
    assert all(figures[name] > 0 for name in times if "beyond" not in name)  # a difference may lie below zero
    assert 20 < figures["memory.mb_per_10000_entries"] < 100
    assert len(said) > 4


@pytest.mark.req("cache.exact", "cache.semantic", "cache.flight")
def test_the_bench_gives_these_figures_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their names are what requirements and reports go by; a whole engine, with few entries and rounds."""
    assert (cache_semantic.SIZES, cache_semantic.MEMORY_OF) == ((1_000, 50_000), 10_000)
    for module, name, value in (
        (cache, "ROUNDS", 20),
        (cache, "WARM_UP", 1),
        (cache_semantic, "ROUNDS", 5),
        (cache_semantic, "WARM_UP", 1),
        (cache_semantic, "HITS_MIN", 1),
        (cache_semantic, "SIZES", (5, 9)),
        (cache_semantic, "MEMORY_OF", 7),
    ):
        monkeypatch.setattr(module, name, value)

    async def calls(_: Settings, folder: Path, processes: int) -> int:
        del folder
        return processes

    def few() -> list[str]:
        return others()[:4]

    monkeypatch.setattr(cache, "upstream_calls", calls)
    monkeypatch.setattr(cache_semantic, "others", few)
    for module in (cache_semantic, compose):
        monkeypatch.setattr(module, "load_encoder", one_encoder)
    figures = cache.run(Settings(agents=(GENERAL,))).figures
    assert set(figures) == {
        *("redis_rtt.p50_ms", "exact.p50_ms", "exact.p95_ms", "embedding.p50_ms"),
        *("semantic.p50_ms", "semantic.hits", "semantic.entries_9.p50_ms", "semantic.entries_9.hits"),
        *("semantic.beyond_embedding_5.p50_ms", "semantic.beyond_embedding_9.p50_ms"),
        *("semantic.remembered_5.p50_ms", "semantic.remembered_9.p50_ms"),
        "memory.mb_per_10000_entries",
        *("single_flight.upstream_calls", "single_flight.processes_4.upstream_calls"),
    }
    assert (figures["single_flight.upstream_calls"], figures["single_flight.processes_4.upstream_calls"]) == (1, 4)


@pytest.mark.req("cache.semantic")
async def test_of_paraphrases_that_hit_the_embedding_comes_first_in_every_other_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What misses is in no figure, also not in that of the embedding; too few hits are an error, not a figure."""
    monkeypatch.setattr(cache_semantic, "ROUNDS", 12)
    monkeypatch.setattr(cache_semantic, "WARM_UP", 1)
    done: list[str] = []

    async def ask(text: str) -> str:
        done.append(f"ask {text}")
        return "model" if text.startswith("miss") else "semantic_cache"

    async def read(text: str) -> None:
        done.append(f"read {text}")

    names = [f"miss {at}" if at % 2 else f"hit {at}" for at in range(13)]
    hits = await cache_semantic.hits_of(iter(names), ask, read)
    assert len(hits) == 6
    first = [done[at] for at in range(0, len(done), 3) if "hit" in done[at]]
    assert first[1:] == ["read hit 2", "ask hit 4", "read hit 6", "ask hit 8", "read hit 10", "ask hit 12"]
    assert all((done.count(f"ask {name}"), done.count(f"read {name}")) == (2, 1) for name in names)
    with pytest.raises(BenchFailed, match="0 of 12"):
        await cache_semantic.hits_of(iter(["miss"] * 13), ask, read)


@pytest.mark.req("cache.semantic")
def test_what_a_hit_costs_beyond_its_embedding_is_the_median_of_paired_differences() -> None:
    """Of hits whose embeddings differ widely; the difference of the medians would say something else."""
    pairs = ((10.0, 11.0), (1.0, 4.0), (20.0, 22.0))
    hits = [cache_semantic.Hit(embedding=alone, whole=whole, remembered=0.5) for alone, whole in pairs]
    assert cache_semantic.figures_of(hits, 1_000) == {
        "embedding.p50_ms": 10.0,
        "semantic.p50_ms": 11.0,
        "semantic.hits": 3.0,
        "semantic.beyond_embedding_1000.p50_ms": 2.0,
        "semantic.remembered_1000.p50_ms": 0.5,
    }
    assert set(cache_semantic.figures_of(hits, 50_000)) == {
        *("semantic.entries_50000.p50_ms", "semantic.entries_50000.hits"),
        *("semantic.beyond_embedding_50000.p50_ms", "semantic.remembered_50000.p50_ms"),
    }


@pytest.mark.req("cache.semantic")
def test_the_questions_of_the_bench_are_different_ones() -> None:
    """Enough rewordings for every round, none of them the stored one; mixtures are unit vectors, all different."""
    ways = rewordings()
    rounds = cache_semantic.ROUNDS + cache_semantic.WARM_UP
    assert len(set(ways)) == len(ways) > rounds * len(cache_semantic.SIZES)
    assert STORED not in ways
    assert len(set(others())) == len(others()) == 500
    assert len(set(THINGS)) == len(THINGS)
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
