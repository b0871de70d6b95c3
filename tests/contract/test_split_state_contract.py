"""One suite for every shared state of experiments: the dict twin and a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from configs.settings import RedisSettings
from configs.splits import SplitSettings
from engine.redis_client import connect
from engine.splits.contract import NO_STATS, ArmStats, Moments, SplitState
from engine.splits.inmemory import InMemorySplits
from engine.splits.redis_splits import RedisSplits, key_of
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock
from tests.support.splits import experiment

TRIAL = experiment()
SETTINGS = SplitSettings(timeout_s=5)
SOME = ArmStats(
    requests=3,
    errors=1,
    cost_micros=Moments(count=3, total=0.1 + 0.2, squares=1e15 + 0.5),
    latency_ms=Moments(count=2, total=12.5, squares=90.0),
    quality=Moments(count=1, total=0.75, squares=0.5625),
)


async def emptied(url: str) -> Redis:
    """A client, with no experiment there."""
    client = connect(url, None, RedisSettings(timeout_s=5))
    await client.delete(key_of(TRIAL), key_of(experiment(salt="2")), key_of(experiment(name="other")))
    return client


@pytest.fixture(params=["memory", "redis"])
async def state(request: pytest.FixtureRequest, redis_state_url: str) -> AsyncIterator[SplitState]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield InMemorySplits(clock=FakeClock())
        return
    client = await emptied(redis_state_url)
    yield RedisSplits(client, SETTINGS)
    await client.aclose()


@pytest.mark.req("route.split")
async def test_counters_of_all_replicas_add_up(state: SplitState):
    """To the last bit of every sum; an arm that was never counted is missing."""
    assert (await state.add(TRIAL, {})).stats == {}
    await state.add(TRIAL, {"new": SOME, "control": NO_STATS})
    found = await state.add(TRIAL, {"new": SOME, "control": ArmStats(requests=1)})
    assert found.stats["new"] == SOME + SOME
    assert found.stats["control"] == ArmStats(requests=1)
    assert (await state.add(TRIAL, {})).stats == found.stats


@pytest.mark.req("route.split")
async def test_no_count_is_lost_among_replicas_that_write_at_once(state: SplitState):
    """Fifty at the same time."""
    await asyncio.gather(*(state.add(TRIAL, {"new": ArmStats(requests=1)}) for _ in range(50)))
    assert (await state.add(TRIAL, {})).stats["new"].requests == 50


@pytest.mark.req("route.split")
async def test_experiments_and_salts_are_apart(state: SplitState):
    """Another name or another salt begins with nothing."""
    await state.add(TRIAL, {"new": SOME})
    await state.halt(TRIAL, "new", "harm")
    for other in (experiment(salt="2"), experiment(name="other")):
        found = await state.add(other, {})
        assert (found.stats, found.halted) == ({}, {})


@pytest.mark.req("route.split")
async def test_a_halted_arm_stays_halted_with_its_first_reason(state: SplitState):
    """Of all replicas that see the harm one is told that it was the first."""
    assert await state.halt(TRIAL, "new", 'errors "20%" ☕ | 5%') is True
    assert await state.halt(TRIAL, "new", "later") is False
    found = await state.add(TRIAL, {"new": SOME})
    assert [(arm, halt.reason) for arm, halt in found.halted.items()] == [("new", 'errors "20%" ☕ | 5%')]
    assert found.stats == {"new": SOME}


@pytest.mark.req("route.split")
async def test_resuming_gives_traffic_back_and_forgets_what_led_to_the_halt(state: SplitState):
    """Everybody's counters begin anew, other arms stay halted; resuming what was not halted changes nothing."""
    await state.add(TRIAL, {"new": SOME, "control": SOME})
    assert await state.resume(TRIAL, "new") is False
    assert len((await state.add(TRIAL, {})).stats) == 2
    await state.halt(TRIAL, "new", "harm")
    await state.halt(TRIAL, "other", "harm")
    assert await state.resume(TRIAL, "new") is True
    found = await state.add(TRIAL, {})
    assert (found.stats, list(found.halted)) == ({}, ["other"])


@pytest.mark.req("route.split")
async def test_an_experiment_ages_on_the_clock_of_its_store(redis_state_url: str):
    """From its first look on, in the twin and in Redis alike."""
    clock = FakeClock()
    twin = InMemorySplits(clock=clock)
    await twin.add(TRIAL, {})
    clock.advance(100.0)
    assert (await twin.add(TRIAL, {})).age_s == 100.0
    client = await emptied(redis_state_url)
    real = RedisSplits(client, SETTINGS)
    await real.add(TRIAL, {})
    began_s = float(await client.hget(key_of(TRIAL), "began") or 0)
    await client.hset(key_of(TRIAL), "began", repr(began_s - 100.0))
    assert 100.0 <= (await real.add(TRIAL, {})).age_s < 160.0
    await client.aclose()


@pytest.mark.req("route.split")
async def test_damaged_fields_count_as_nothing_but_a_halt_holds(redis_state_url: str):
    """Nobody gets traffic because a record cannot be read."""
    client = await emptied(redis_state_url)
    real = RedisSplits(client, SETTINGS)
    damage = {"new|requests": "x", "new|errors": "nan", "new|halt": "x", "\udcff".encode("utf-8", "replace"): "1"}
    await client.hset(key_of(TRIAL), mapping={"began": "x", **damage})
    found = await real.add(TRIAL, {"new": ArmStats(requests=2)})
    assert found.stats["new"] == ArmStats(requests=2)
    assert "damaged" in found.halted["new"].reason
    await client.aclose()


@pytest.mark.req("route.split")
async def test_a_redis_that_is_gone_is_said_to_be():
    """As ``BackendUnavailable``, from every method."""
    client = connect("redis://127.0.0.1:1", None, RedisSettings(timeout_s=1))
    real = RedisSplits(client, SETTINGS)
    for call in (real.add(TRIAL, {}), real.halt(TRIAL, "new", ""), real.resume(TRIAL, "new")):
        with pytest.raises(BackendUnavailable, match=r"redis\.state"):
            await call
    await client.aclose()
