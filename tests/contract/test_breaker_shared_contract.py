"""The shared store passes the suite of all breaker stores, on a real Redis of the state role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from engine.contract import BreakerMoved
from engine.resilience.shared import SharedBreakerStore
from tests.contract.breaker_store_suite import RULES, A, B, Subject, suite_tests
from tests.support.shared_breaker import Fleet, fleet_of

globals().update(suite_tests())


@dataclass(slots=True)
class OnRedis:
    """One replica whose server has a clock of ours."""

    fleet: Fleet
    store: SharedBreakerStore
    events: list[BreakerMoved]

    async def pass_time(self, seconds: float) -> None:
        await self.fleet.pass_time(seconds)


@pytest.fixture
async def subject(redis_state_url: str) -> AsyncIterator[Subject]:
    """A store on a Redis without records of the subjects that the suite names."""
    async with fleet_of(redis_state_url, RULES, 1) as fleet:
        (replica,) = fleet.replicas
        keys = [key async for key in replica.client.scan_iter("{cb:model*")]
        await replica.client.delete("cb:subjects", *keys)
        yield OnRedis(fleet, replica.store, replica.events)
        assert replica.store.degraded == ""  # all of it came from Redis


@pytest.mark.req("brk.shared")
async def test_the_suite_runs_on_redis(subject: OnRedis) -> None:
    """What one replica did is what another one finds: the suite above is not about this process alone."""
    await subject.store.acquire(A, "first")
    await subject.store.acquire(B, "first")
    other = subject.fleet.join()
    assert await other.store.subjects() == ()  # nobody has registered yet
    await subject.store.flush()
    assert await other.store.subjects() == (A, B)
    assert (await other.store.view((A,)))[A].generation == (await subject.store.view((A,)))[A].generation > 0
