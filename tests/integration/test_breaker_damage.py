"""Damage to the keys of one shared breaker heals and costs no other anything (brk.shared; B15, fault 46)."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Report
from engine.resilience.alone import LocalPermit
from engine.resilience.record import Effect
from engine.resilience.wire import keys_of
from tests.support.shared_breaker import Fleet, Replica, fleet_of

RULES = BreakerSettings(consecutive_failures=2, jitter=0.0)
FAIL, OK = Report(outcome=Outcome.FAIL, reason="boom"), Report(outcome=Outcome.OK)
SIDE_KEYS = {"young": 1, "old": 2, "events": 3}


@pytest.fixture
async def fleet(redis_state_url: str) -> AsyncIterator[Fleet]:
    """Two replicas, neither of which ever lost Redis."""
    async with fleet_of(redis_state_url, RULES, 2) as fleet:
        yield fleet
        assert [member.store.degraded for member in fleet.replicas] == ["", ""]


async def permit_of(member: Replica, subject: str) -> Permit:
    """Shared leave, which must be given."""
    answer = await member.store.acquire(subject, uuid.uuid4().hex)
    assert isinstance(answer, Permit), answer
    assert not isinstance(answer, LocalPermit)
    return answer


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("damaged", SIDE_KEYS)
async def test_a_side_key_of_another_type_is_lost_with_its_record_and_never_again(
    fleet: Fleet, damaged: str
) -> None:
    """The breaker goes on from what the replica knew, at a higher generation, and opens as ever."""
    member, other = fleet.replicas
    subject = f"model:p/{uuid.uuid4()}#k"
    before = await permit_of(member, subject)
    await member.client.set(keys_of(subject, None)[SIDE_KEYS[damaged]], "nonsense")
    for _ in range(2 * RULES.consecutive_failures):
        await member.store.report(await permit_of(member, subject), FAIL)
        await fleet.pass_time(RULES.view_s * 1.01)
        if (view := (await other.store.view((subject,)))[subject]).state is BreakerState.OPEN:
            break
    assert (view.state, view.generation > before.generation) == (BreakerState.OPEN, True)
    assert (await other.store.history(subject))[-1].after is BreakerState.OPEN


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("healable", [True, False])
async def test_in_one_message_the_healthy_are_not_lost_with_the_damaged(fleet: Fleet, healable: bool) -> None:
    """Of six subjects, one with a damaged key or an unreadable event, five are counted as if nothing were."""
    member, other = fleet.replicas
    subjects = [f"tool:{uuid.uuid4()}" for _ in range(6)]
    permits = [await permit_of(member, subject) for subject in subjects]
    await member.store.flush()
    keys = keys_of(subjects[0], None)
    if healable:
        await member.client.set(keys[1], "nonsense")
    else:
        await other.store.force(subjects[0], BreakerState.DISABLED, actor="ada", reason="drill")
        await member.client.lset(keys[3], 0, "nonsense")
    for permit in permits:
        await member.store.report(permit, OK)
    await member.store.flush()
    assert member.store.effects[Effect.COUNTED] == 5
    assert [member.store._known[subject].cell for subject in subjects[1:]] == [None] * 5
    await fleet.pass_time(RULES.view_s * 1.01)
    views = await member.store.view(tuple(subjects))
    assert {views[subject].generation for subject in subjects[1:]} == {permit.generation for permit in permits[1:]}
