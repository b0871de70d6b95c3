"""Metrics of the answer cache, as a reader of the SDK collects them."""

from __future__ import annotations

import gc
import weakref
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from configs.caching import BoundSettings
from configs.settings import Settings
from engine.cache.tally_sync import TallySync
from engine.telemetry.cache_metrics import CacheMeter, watch_cache
from engine.tiers import METER, TierNeeds, make_tiers
from tests.support.clock import FakeClock


def collected(reader: InMemoryMetricReader) -> dict[tuple[str, tuple[tuple[str, Any], ...]], float]:
    """Value by name and labels."""
    data = reader.get_metrics_data()
    metrics = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics] if data else []
    return {
        (metric.name, tuple(sorted((point.attributes or {}).items()))): getattr(point, "value", -1.0)
        for metric in metrics
        for point in metric.data.data_points
    }


@pytest.mark.req("cache.bound")
async def test_lookups_and_the_false_hit_rate_with_its_interval_are_exported(clock: FakeClock):
    """All agents without a label, one with enough of its own with it; at first nothing."""
    tallies = TallySync(BoundSettings(judge_min=100), None, clock=clock, now_s=clock)
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    watch_cache(provider.get_meter("test"), tallies.lookups, tallies.rates)
    assert collected(reader) == {}
    tallies.looked("exact", "hit", "python")
    tallies.looked("exact", "hit", "python")
    tallies.looked("semantic", "refused")
    for ask in range(1_000):
        tallies.count("python", "high.right", "served.wrong" if ask < 20 else "served.right")
    found = collected(reader)
    assert found["switchgear.cache.lookups", (("result", "hit"), ("tier", "exact"))] == 2
    assert found["switchgear.cache.lookups", (("result", "refused"), ("tier", "semantic"))] == 1
    for labels in ((), (("agent", "python"),)):
        assert found["switchgear.cache.false_hit_rate", labels] == 0.02
        assert found["switchgear.cache.false_hit_rate.low", labels] == pytest.approx(0.0122583, abs=1e-6)
        assert found["switchgear.cache.false_hit_rate.high", labels] == pytest.approx(0.0307200, abs=1e-6)
    assert len(found) == 8
    provider.shutdown()


@pytest.mark.req("cache.bound")
def test_without_a_meter_provider_nothing_is_asked():
    """The API's own meter takes the instruments and forgets them."""
    asked: list[str] = []
    watch_cache(NoOpMeter("none"), lambda: asked.append("lookups") or {}, lambda: asked.append("rates") or {})
    assert asked == []


@pytest.mark.req("cache.bound")
def test_lookups_of_an_engine_that_is_gone_stay_counted(clock: FakeClock):
    """A monotonic counter never falls, whether an engine closes once or twice; its rates go with it."""
    meter = CacheMeter()
    first, second = (TallySync(BoundSettings(), None, clock=clock, now_s=clock) for _ in range(2))
    for tallies in (first, second):
        meter.add(tallies)
        tallies.looked("exact", "hit")
    second.count("python", "high.right", "served.right")
    assert meter.lookups() == {("exact", "hit"): 2}
    assert meter.rates()[""][0] == 0.0
    for _ in range(2):
        meter.gone(second)
    assert meter.rates() == {}
    first.looked("exact", "hit")
    assert meter.lookups() == {("exact", "hit"): 3}


@pytest.mark.req("cache.bound")
async def test_an_engine_that_closes_takes_nothing_off_the_counter(tmp_path: Path):
    """What its cache's parts counted before is there after, also of those made without a store."""
    before = METER.lookups().get(("exact", "miss"), 0)
    async with AsyncExitStack() as stack:
        needs = cast("TierNeeds", SimpleNamespace(degraded={}, state=None, lookup_of=None))
        parts = make_tiers(Settings(data_dir=tmp_path), None, needs, stack)
        parts.tallies.looked("exact", "miss")
        assert METER.lookups()["exact", "miss"] == before + 1
    kept = weakref.ref(parts.tallies)
    del parts, stack
    gc.collect()
    assert METER.lookups()["exact", "miss"] == before + 1
    assert kept() is None
