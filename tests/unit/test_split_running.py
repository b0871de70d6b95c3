"""Experiments in running processes: counting, sharing, roll-back on all replicas, and a Redis that is away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from configs.kernel import Money, Outcome, Usage
from configs.splits import CONTROL, Experiment, SplitSettings
from engine.contract import Finished
from engine.splits.contract import ArmStats, Moments, SplitState, Standing
from engine.splits.inmemory import InMemorySplits
from engine.splits.running import Splits, stats_of
from engine.types import Answer, Attempt, Decision
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock
from tests.support.splits import arm, asked, experiment

MODELS = frozenset({"m"})
ALL = experiment(arm(share=1.0))
HALF = experiment(arm(share=0.5))
DECISION = Decision(agent="sql", strategy="single", confidence=1.0, reason="", arm="trial/new")
CALL = Attempt(agent="sql", model="m", outcome=Outcome.OK, called=True, latency_ms=5.0, cost=Money(7))
ANSWER = Answer(
    text="",
    source="model",
    agent="sql",
    decision=DECISION,
    attempts=(CALL, CALL),
    usage=Usage(),
    cost=Money(14),
    latency_ms=9.0,
    request_id="r",
    trace_id="t",
)
FINISHED = Finished(
    request=asked(), decision=DECISION, attempts=ANSWER.attempts, answer=ANSWER, error="", latency_ms=9.0
)


def ended(label: str, *, failed: bool = False) -> Finished:
    """A request of an arm."""
    decision = replace(DECISION, arm=label)
    if failed:
        return replace(FINISHED, decision=decision, answer=None, error="all_routes_unavailable")
    return replace(FINISHED, decision=decision, answer=replace(ANSWER, decision=decision))


class Away:
    """A shared state that can be out of reach."""

    def __init__(self, inner: SplitState) -> None:
        self.inner = inner
        self.gone = False

    async def add(self, experiment: Experiment, counts: Mapping[str, ArmStats]) -> Standing:
        if self.gone:
            raise BackendUnavailable("redis.state", "gone")
        return await self.inner.add(experiment, counts)

    async def halt(self, experiment: Experiment, arm: str, reason: str) -> bool:
        return await self.inner.halt(experiment, arm, reason)

    async def resume(self, experiment: Experiment, arm: str) -> bool:
        return await self.inner.resume(experiment, arm)


def replica(state: SplitState, clock: FakeClock, *experiments: Experiment) -> Splits:
    """One process with these experiments."""

    async def open_() -> SplitState:
        return state

    return Splits(experiments or (HALF,), SplitSettings(), open_, clock=clock)


def label(splits: Splits, user: str = "ada") -> str:
    """Arm of somebody."""
    placed = splits.place(asked(user), "sql", MODELS)
    assert placed is not None
    return placed.label


@pytest.mark.req("route.split")
async def test_harm_that_replicas_see_together_is_rolled_back_on_all_and_after_a_restart(clock: FakeClock):
    """Neither of the two has seen enough alone. Until a person resumes it nobody is on the arm."""
    state = InMemorySplits(clock=clock)
    one, two = replica(state, clock, ALL), replica(state, clock, ALL)
    for splits in (one, two):
        for number in range(40):
            splits.observe(ended("trial/control", failed=number % 20 == 0))
            splits.observe(ended("trial/new", failed=number % 3 == 0))
    await one.sync()
    assert label(one) == "trial/new"
    await two.sync()
    await one.sync()
    restarted = replica(state, clock, ALL)
    await restarted.sync()
    assert [label(splits) for splits in (one, two, restarted)] == ["trial/control"] * 3
    assert "errors" in (await state.add(ALL, {})).halted["new"].reason
    assert await state.resume(ALL, "new")
    await two.sync()
    assert label(two) == "trial/new"
    for splits in (one, two, restarted):
        await splits.aclose()


@pytest.mark.req("route.split")
async def test_an_arm_that_does_well_keeps_its_traffic(clock: FakeClock):
    """The twin of the roll-back: as many requests, as often judged."""
    state = InMemorySplits(clock=clock)
    splits = replica(state, clock, ALL)
    for number in range(240):
        splits.observe(ended("trial/control", failed=number % 20 == 0))
        splits.observe(ended("trial/new", failed=number % 20 == 0))
        await splits.sync()
    assert label(splits) == "trial/new"
    await splits.aclose()


@pytest.mark.req("route.split")
async def test_nobody_is_on_an_arm_before_the_shared_state_has_been_seen(clock: FakeClock):
    """It may hold a roll-back; the first request makes it be looked at, without waiting for it."""
    away = Away(InMemorySplits(clock=clock))
    away.gone = True
    splits = replica(away, clock, ALL)
    assert label(splits) == "trial/control"
    await splits.sync()
    assert label(splits) == "trial/control"
    assert splits.degraded == "redis.state: gone"
    away.gone = False
    await splits.sync()
    assert (label(splits), splits.degraded) == ("trial/new", "")
    await splits.aclose()


@pytest.mark.req("route.split")
async def test_nothing_is_counted_twice_while_redis_is_away(clock: FakeClock):
    """Arms stay as they were; what may have been counted is not sent again, what comes later is."""
    state = InMemorySplits(clock=clock)
    away = Away(state)
    splits = replica(away, clock, ALL)
    await splits.sync()
    away.gone = True
    for _ in range(3):
        splits.observe(ended("trial/new"))
        await splits.sync()
    assert label(splits) == "trial/new"
    away.gone = False
    splits.observe(ended("trial/new"))
    await splits.aclose()
    assert (await state.add(ALL, {})).stats["new"].requests == 1


@pytest.mark.req("route.split")
async def test_it_is_looked_at_every_so_often_and_not_at_every_request(clock: FakeClock):
    """Requests wake the background task; a hundred within a moment wake it once."""
    state = InMemorySplits(clock=clock)
    looks: list[str] = []

    class Counting(Away):
        async def add(self, experiment: Experiment, counts: Mapping[str, ArmStats]) -> Standing:
            looks.append(experiment.name)
            return await super().add(experiment, counts)

    splits = replica(Counting(state), clock, ALL)
    for _ in range(3):
        for _ in range(100):
            splits.place(asked(), "sql", MODELS)
        task = splits._task
        assert task is not None
        await task
        clock.advance(SplitSettings().refresh_s)
    assert looks == ["trial"] * 3
    await splits.aclose()


@pytest.mark.req("route.split")
async def test_without_experiments_nothing_is_opened(clock: FakeClock):
    """Nor with ones that are switched off."""

    async def open_() -> SplitState:
        raise AssertionError("opened")

    splits = Splits([experiment(enabled=False)], SplitSettings(), open_, clock=clock)
    assert splits.place(asked(), "sql", MODELS) is None
    splits.observe(FINISHED)
    await splits.aclose()


@pytest.mark.req("route.split")
async def test_a_rollout_goes_on_between_two_looks(clock: FakeClock):
    """The age is the store's, carried on by this process's clock."""
    growing = experiment(arm(share=1.0, rollout=({"until_s": 10.0, "share": 0.0},)))
    splits = replica(InMemorySplits(clock=clock), clock, growing)
    await splits.sync()
    assert label(splits) == "trial/control"
    clock.advance(10.0)
    assert label(splits) == "trial/new"
    await splits.aclose()


@pytest.mark.req("route.split")
def test_what_a_request_says_about_its_arm():
    """Money of all calls; a fallback is a failure of what was meant; a failure has no latency worth counting."""
    well = stats_of(FINISHED)
    assert well == ArmStats(requests=1, cost_micros=Moments.of(14), latency_ms=Moments.of(9.0), quality=Moments())
    failed = ArmStats(requests=1, errors=1, cost_micros=Moments.of(14))
    assert stats_of(replace(FINISHED, answer=replace(ANSWER, degraded=("fallback",)))) == failed
    assert stats_of(replace(FINISHED, answer=None, error="deadline_exceeded")) == failed


@pytest.mark.req("route.split")
@pytest.mark.parametrize("error", ["cancel", "invalid_input", "rejected_by_model", "engine_closed"])
def test_what_is_not_the_arms_doing_does_not_count(error: str):
    """A client that left, a wrong request; nor does an answer out of the cache."""
    assert stats_of(replace(FINISHED, answer=None, error=error)) is None
    assert stats_of(replace(FINISHED, answer=replace(ANSWER, source="exact_cache"))) is None


@pytest.mark.req("route.split")
async def test_requests_of_no_experiment_are_not_counted(clock: FakeClock):
    """Without a label, and with one of an experiment that is no longer there."""
    state = InMemorySplits(clock=clock)
    splits = replica(state, clock)
    for gone in ("", "older/new"):
        splits.observe(ended(gone))
    splits.observe(replace(FINISHED, decision=None, answer=None, error="x"))
    splits.observe(ended(f"trial/{CONTROL}"))
    await splits.sync()
    assert {name: one.requests for name, one in (await state.add(HALF, {})).stats.items()} == {CONTROL: 1}
    await splits.aclose()
