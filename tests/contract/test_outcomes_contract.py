"""One suite for both keepers of averages: the dict twin and a real Redis; then what only Redis can get wrong."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from configs.routing import LearnSettings
from configs.settings import RedisSettings
from engine.learning.contract import Outcomes, RouteResult
from engine.learning.inmemory import LocalOutcomes
from engine.learning.learned import LearnedAverages
from engine.learning.redis_outcomes import RedisOutcomes
from engine.redis_client import connect
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock
from tests.support.shared_breaker import clock_of_key

RULES = LearnSettings()
PYTHON, MINI = "agent:python", "model:mini"


@dataclass(slots=True)
class Lab:
    """Replicas on one clock."""

    client: Redis | None = None
    clock: FakeClock = field(default_factory=FakeClock)
    tag: str = field(default_factory=lambda: uuid.uuid4().hex)
    local: LocalOutcomes | None = None

    def replica(self, rules: LearnSettings = RULES) -> Outcomes:
        """One of them. In memory all are the same."""
        if self.client is None:
            self.local = self.local or LocalOutcomes(rules, clock=self.clock)
            return self.local
        clock = clock_of_key(f"clock:{self.tag}")
        return RedisOutcomes(self.client, rules, timeout_s=20, key=f"learn:{self.tag}", clock=clock)

    async def advance(self, seconds: float) -> None:
        """Let all of them get older."""
        self.clock.advance(seconds)
        if self.client is not None:
            await self.client.set(f"clock:{self.tag}", repr(self.clock()))


@pytest.fixture(params=["memory", "redis"])
async def lab(request: pytest.FixtureRequest, redis_state_url: str) -> AsyncIterator[Lab]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield Lab()
        return
    async with connect(redis_state_url, None, RedisSettings(timeout_s=20)) as client:
        made = Lab(client)
        await made.advance(0)
        yield made


def ended(ok: bool | None, subject: str = PYTHON, latency_ms: float | None = None) -> RouteResult:
    """One result."""
    return RouteResult(subject=subject, ok=ok, latency_ms=latency_ms)


@pytest.mark.req("route.learn")
async def test_what_one_replica_records_another_one_reads(lab: Lab):
    """Averages of an agent and of a model, from one message."""
    one, other = lab.replica(), lab.replica()
    cost = RouteResult(subject=MINI, ok=True, latency_ms=200.0, cost_micros=30.0, quality=0.5)
    await one.record([ended(False, latency_ms=100.0), cost])
    found = await other.averages([PYTHON, MINI, "agent:nobody"])
    assert set(found) == {PYTHON, MINI}
    assert (found[PYTHON].success, found[PYTHON].latency_ms, found[PYTHON].count) == (0.9, 100.0, 1)
    assert (found[MINI].success, found[MINI].cost_micros, found[MINI].quality) == (1.0, 30.0, 0.5)
    await other.record([ended(True, latency_ms=200.0)])
    again = (await one.averages([PYTHON]))[PYTHON]
    assert (again.success, again.latency_ms, again.count) == (pytest.approx(0.91), pytest.approx(110.0), 2)


@pytest.mark.req("route.learn")
async def test_a_result_that_says_nothing_leaves_no_trace(lab: Lab):
    """A cancelled call is neither success nor failure; its twin with a latency counts as that alone."""
    store = lab.replica()
    await store.record([ended(None)])
    assert await store.averages([PYTHON]) == {}
    await store.record([ended(None, latency_ms=50.0)])
    found = (await store.averages([PYTHON]))[PYTHON]
    assert (found.success, found.count, found.latency_ms) == (1.0, 0, 50.0)


@pytest.mark.req("route.learn")
async def test_an_agent_that_nobody_asks_drifts_back_with_the_half_life(lab: Lab):
    """Half of the way after one half-life, and probation ends by itself."""
    store = lab.replica()
    await store.record([ended(False)] * 6)
    before = (await store.averages([PYTHON]))[PYTHON]
    assert before.held
    await lab.advance(RULES.half_life_s)
    after = (await store.averages([PYTHON]))[PYTHON]
    assert 1.0 - after.success == pytest.approx((1.0 - before.success) / 2)
    assert (after.count, after.held) == (3, False)


@pytest.mark.req("route.learn")
async def test_no_more_subjects_are_kept_than_the_settings_allow(lab: Lab):
    """The first two stay and go on; a third is not kept."""
    store = lab.replica(RULES.model_copy(update={"subjects_max": 2}))
    await store.record([ended(True, "agent:a"), ended(True, "agent:b"), ended(True, "agent:c")])
    await store.record([ended(False, "agent:a"), ended(False, "agent:c")])
    found = await store.averages(["agent:a", "agent:b", "agent:c"])
    assert {name: known.count for name, known in found.items()} == {"agent:a": 2, "agent:b": 1}


@pytest.mark.req("route.learn")
async def test_outcomes_of_many_replicas_at_once_are_all_counted(lab: Lab):
    """No update is lost: 20 messages of 10 results each make 200."""
    stores = [lab.replica() for _ in range(4)]
    await asyncio.gather(*(stores[n % 4].record([ended(True)] * 10) for n in range(20)))
    assert (await stores[0].averages([PYTHON]))[PYTHON].count == 200


@pytest.fixture
async def redis(redis_state_url: str) -> AsyncIterator[Redis]:
    """A client of the test's own."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=20)) as client:
        yield client


@pytest.mark.req("route.learn")
async def test_processes_learn_from_each_other_through_a_real_redis(redis: Redis, clock: FakeClock):
    """Whole: one process records behind its answers, another one reads its copy after a refresh."""
    store = RedisOutcomes(redis, RULES, timeout_s=20, key=f"learn:{uuid.uuid4()}")

    async def opened() -> Outcomes:
        return store

    one, other = (LearnedAverages(RULES, opened, clock=clock) for _ in range(2))
    one.record([ended(False)] * 5)
    await one.aclose()
    assert (await other.health(["python"])) == {}
    await other.flush()
    known = (await other.health(["python"]))["python"]
    assert (known.held, known.success) == (True, pytest.approx(0.9**5, rel=1e-3))
    await other.aclose()


@pytest.mark.req("route.learn")
async def test_every_shared_average_expires_by_itself(redis: Redis):
    """With all engines gone for good nothing stays in Redis, and one hash tag holds all."""
    key = f"learn:{uuid.uuid4()}"
    await RedisOutcomes(redis, RULES, timeout_s=20, key=key).record([ended(True), ended(True, MINI)])
    lives = await redis.httl(key, PYTHON, MINI)
    assert all(0 < life <= RULES.kept_s for life in lives), lives


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("damage", ["nonsense", "1 2 3", "", "1 0 x 0 0 - - -", None])
async def test_a_damaged_record_begins_anew(redis: Redis, damage: str | None):
    """What cannot be read is lost like what has expired; so is a key of another type (``None``)."""
    key = f"learn:{uuid.uuid4()}"
    store = RedisOutcomes(redis, RULES, timeout_s=20, key=key)
    if damage is None:
        await redis.set(key, "a string")
    else:
        await redis.hset(key, PYTHON, damage)
    await store.record([ended(False)])
    assert (await store.averages([PYTHON]))[PYTHON].count == 1


@pytest.mark.req("route.learn")
async def test_a_script_that_redis_forgot_is_loaded_again_and_counts_once(redis: Redis):
    """A restarted server knows no script; the result is counted, once."""
    store = RedisOutcomes(redis, RULES, timeout_s=20, key=f"learn:{uuid.uuid4()}")
    await redis.script_flush()
    await store.record([ended(True)])
    await redis.script_flush()
    await store.record([ended(True)])
    assert (await store.averages([PYTHON]))[PYTHON].count == 2


@pytest.mark.req("route.learn")
async def test_a_redis_that_is_not_there_is_reported_as_such():
    """One typed error, whatever the client raises."""
    async with connect("unix:///nowhere/redis.sock", None, RedisSettings(timeout_s=1)) as client:
        with pytest.raises(BackendUnavailable):
            await RedisOutcomes(client, RULES, timeout_s=1).record([ended(True)])
