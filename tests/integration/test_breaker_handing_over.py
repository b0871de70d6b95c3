"""Who comes back or leaves while a shared breaker probes takes no place and gets none (brk.shared; B1, B8)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Report
from engine.resilience.record import Effect
from engine.resilience.wire import Asked, Ended, Seen, Stands
from tests.support.shared_breaker import Fleet, Replica, fleet_of

RULES = BreakerSettings(consecutive_failures=1, open_s=60.0, jitter=0.0, probe_deadline_s=30.0, lease_s=35.0)
FAIL, OK = Report(outcome=Outcome.FAIL, reason="boom"), Report(outcome=Outcome.OK)


@pytest.fixture
async def fleet(redis_state_url: str) -> AsyncIterator[Fleet]:
    """One replica."""
    async with fleet_of(redis_state_url, RULES, 1) as fleet:
        yield fleet


async def opened(member: Replica) -> str:
    """A subject that is OPEN."""
    subject = f"model:p/{uuid.uuid4()}#k"
    permit = await member.store.acquire(subject, "first")
    assert isinstance(permit, Permit)
    assert (await member.store.report(permit, FAIL)).state is BreakerState.OPEN
    return subject


async def step(member: Replica, asked: Asked) -> Stands:
    """One step of somebody else."""
    (stands,) = await member.store._script.run((asked,))
    assert isinstance(stands, Stands)
    return stands


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("found", [BreakerState.CLOSED, BreakerState.OPEN])
@pytest.mark.parametrize("base", ["before the probe", "during the probe"])
async def test_a_returning_replica_leaves_a_running_probe_its_place(
    fleet: Fleet, base: str, found: BreakerState
) -> None:
    """B1, B3: generations go on above what it has seen; no second probe, and the first one's success counts."""
    (member,) = fleet.replicas
    subject = await opened(member)
    await fleet.pass_time(60.0)
    probe = await member.store.acquire(subject, "probe")
    assert isinstance(probe, Permit)
    assert probe.probe
    view = replace((await member.store.view((subject,)))[subject], state=found, retry_after_s=50.0)
    seen = Seen(
        base=probe.generation - (base == "before the probe"),
        generation=probe.generation + 4,
        told=probe.generation + 4,
        view=view,
        opens=1,
    )
    stands = await step(member, Asked(subject=subject, seen=seen, acquire="second"))
    assert (stands.granted, stands.view.state) == (False, BreakerState.HALF_OPEN)
    assert stands.view.generation == probe.generation + 5
    stranger = replace(probe, call_id="stranger")  # leave of the old number is good for the probe alone (B4)
    late = await step(
        member, Asked(subject=subject, seen=None, reports=(Ended(permit=stranger, result=OK, sample=0.5),))
    )
    assert late.effects == (Effect.LATE,)
    assert (await member.store.report(probe, OK)).state is BreakerState.CLOSED
    assert (await member.store.history(subject))[-1].generation == probe.generation + 6


@pytest.mark.req("brk.shared")
async def test_whoever_leaves_when_it_is_time_to_probe_gets_no_place_later(fleet: Fleet) -> None:
    """B8: the step that frees it is the one that begins the probing; its question arrives after that."""
    (member,) = fleet.replicas
    subject = await opened(member)
    await fleet.pass_time(60.0)
    freed = await step(member, Asked(subject=subject, seen=None, released=("gone",)))
    assert freed.view.state is BreakerState.HALF_OPEN
    assert (await step(member, Asked(subject=subject, seen=None, acquire="gone"))).granted is False
    assert (await step(member, Asked(subject=subject, seen=None, acquire="other"))).granted is True
