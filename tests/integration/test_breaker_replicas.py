"""Several replicas, one breaker: what they may do together, on a real Redis (brk.shared)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Refusal, Report
from engine.resilience.record import Effect
from engine.resilience.wire import Asked, Ended, Order, keys_of
from tests.support.clock import FakeClock
from tests.support.redis_proxy import Gate, proxy_to
from tests.support.shared_breaker import Fleet, Replica, clock_of_key, fleet_of, replica

RULES = BreakerSettings(
    consecutive_failures=3,
    open_s=60.0,
    jitter=0.0,
    probe_deadline_s=30.0,
    lease_s=35.0,
    subjects_max=50,
    unsent_max=20,
    events_kept=5,
)
FAIL, OK = Report(outcome=Outcome.FAIL, reason="boom"), Report(outcome=Outcome.OK)


@pytest.fixture
def subject() -> str:
    """A subject that no other test uses."""
    return f"model:p/{uuid.uuid4()}#k"


@pytest.fixture
async def fleet(redis_state_url: str) -> AsyncIterator[Fleet]:
    """Four replicas."""
    async with fleet_of(redis_state_url, RULES, 4) as fleet:
        yield fleet
        assert [member.store.degraded for member in fleet.replicas] == [""] * len(fleet.replicas)


async def permit_of(member: Replica, subject: str, call_id: str = "") -> Permit:
    """Leave, which must be given."""
    answer = await member.store.acquire(subject, call_id or uuid.uuid4().hex)
    assert isinstance(answer, Permit), answer
    return answer


async def trip(member: Replica, subject: str) -> None:
    """Open it by failures in a row."""
    for _ in range(RULES.consecutive_failures):
        await member.store.report(await permit_of(member, subject), FAIL)


def moves(member: Replica) -> list[tuple[str, str]]:
    """What its listeners have heard."""
    return [(event.before.value, event.after.value) for event in member.events]


@pytest.mark.req("brk.shared")
async def test_a_thousand_failures_on_four_replicas_open_once(fleet: Fleet, subject: str) -> None:
    """B11, B13: each replica hears of one OPEN, and it is the same one; no time is set twice."""
    permits = [(member, await permit_of(member, subject)) for _ in range(250) for member in fleet.replicas]
    views = await asyncio.gather(*[member.store.report(permit, FAIL) for member, permit in permits])
    assert {view.state for view in views[-4:]} == {BreakerState.OPEN}
    for member in fleet.replicas:
        await member.store.flush()
    await fleet.pass_time(1.0)
    after = [(await member.store.view((subject,)))[subject] for member in fleet.replicas]
    assert {(view.generation, view.retry_after_s) for view in after} == {(after[0].generation, 59.0)}
    assert [moves(member) for member in fleet.replicas] == [[("closed", "open")]] * 4
    assert len(await fleet.replicas[0].store.history(subject)) == 1
    assert sum(
        (member.store.effects for member in fleet.replicas), start=type(fleet.replicas[0].store.effects)()
    ) == {
        Effect.COUNTED: 3,
        Effect.LATE: 997,
    }


@pytest.mark.req("brk.shared")
async def test_of_a_hundred_callers_on_four_replicas_one_probes(fleet: Fleet, subject: str) -> None:
    """B1: one lease for all of them; who is refused learns when to ask again."""
    await trip(fleet.replicas[0], subject)
    await fleet.pass_time(60.0)
    asking = [fleet.replicas[n % 4].store.acquire(subject, f"p{n}") for n in range(100)]
    answers = await asyncio.gather(*asking)
    assert sum(isinstance(answer, Permit) for answer in answers) == 1
    assert {answer.retry_after_s for answer in answers if isinstance(answer, Refusal)} == {35.0}


@pytest.mark.req("brk.shared")
async def test_a_dead_probers_place_is_free_when_its_lease_ends(fleet: Fleet, subject: str) -> None:
    """B5, B10: on the server's clock; what the dead one says later changes nothing."""
    first, second = fleet.replicas[:2]
    await trip(first, subject)
    await fleet.pass_time(60.0)
    dead = await permit_of(first, subject)
    assert isinstance(await second.store.acquire(subject, "too early"), Refusal)
    await fleet.pass_time(35.0)
    alive = await permit_of(second, subject)
    assert (await first.store.report(dead, OK)).state is BreakerState.HALF_OPEN
    assert (await second.store.report(alive, OK)).state is BreakerState.CLOSED


@pytest.mark.req("brk.shared")
async def test_a_replica_that_was_not_looking_hears_everything_in_order(fleet: Fleet, subject: str) -> None:
    """B13: OPEN, HALF_OPEN and CLOSED happened elsewhere; the next look delivers all three, once."""
    first, second = fleet.replicas[:2]
    await permit_of(second, subject)
    await trip(first, subject)
    await fleet.pass_time(60.0)
    await first.store.report(await permit_of(first, subject), OK)
    assert second.events == []
    await second.store.view((subject,))
    await second.store.view((subject,))
    assert second.events == first.events
    assert moves(second) == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    assert [event.generation for event in second.events] == sorted({event.generation for event in second.events})


@pytest.mark.req("brk.shared")
async def test_a_replica_knows_what_another_opened_within_the_age_of_its_view(fleet: Fleet, subject: str) -> None:
    """Its young view still admits; a call that starts ``view_s`` later is refused."""
    first, second = fleet.replicas[:2]
    late = await permit_of(second, subject)
    await trip(first, subject)
    wasted = await permit_of(second, subject)
    assert wasted.generation == late.generation
    await fleet.pass_time(RULES.view_s * 1.01)
    assert isinstance(await second.store.acquire(subject, "next"), Refusal)
    assert (await second.store.report(wasted, OK)).state is BreakerState.OPEN


@pytest.mark.req("brk.shared")
async def test_replica_clocks_decide_nothing(redis_state_url: str, subject: str) -> None:
    """X2, faults 75 and 76: an hour ahead, an hour behind; OPEN ends by the server's time only."""
    async with fleet_of(redis_state_url, RULES, 0) as fleet:
        script_clock = clock_of_key(fleet.clock_key)
        ahead, behind = FakeClock(4_600.0), FakeClock(10.0)
        skewed = [replica(redis_state_url, RULES, clock, lua_clock=script_clock) for clock in (ahead, behind)]
        fleet.replicas.extend(skewed)
        await trip(skewed[1], subject)
        for clock in (ahead, behind):
            clock.advance(7_200.0)  # two hours pass for the replicas, nothing for the server
        for member in skewed:
            assert isinstance(await member.store.acquire(subject, "early"), Refusal)
        await fleet.pass_time(60.0)
        for clock in (ahead, behind):
            clock.advance(RULES.view_s * 2)
        answers = [await member.store.acquire(subject, "now") for member in skewed]
        assert isinstance(answers[0], Permit)


@pytest.mark.req("brk.shared")
async def test_a_young_view_answers_without_a_word_to_redis(redis_state_url: str, subject: str) -> None:
    """No command before the guarded call while the view is young; successes travel together afterwards."""
    async with proxy_to(redis_state_url) as proxy, fleet_of(redis_state_url, RULES, 0) as fleet:
        fleet.url = proxy.url
        member = fleet.join()
        await permit_of(member, subject)
        begun = proxy.steps
        for _ in range(15):
            await member.store.report(await permit_of(member, subject), OK)
        assert proxy.steps == begun
        await member.store.flush()
        assert proxy.steps == begun + 1
        assert member.store.effects == {Effect.COUNTED: 15}
        assert await permit_of(member, subject)
        assert proxy.steps == begun + 1  # the flush has made the view young again
        await fleet.pass_time(RULES.view_s * 1.01)
        callers = [permit_of(member, subject) for _ in range(50)]
        assert len(await asyncio.gather(*callers)) == 50
        assert proxy.steps == begun + 2  # an old view costs one round trip for all who wait for it
        await trip(member, subject)
        steps = proxy.steps
        assert isinstance(await member.store.acquire(subject, "refused"), Refusal)
        assert proxy.steps == steps


async def test_successes_that_wait_are_counted_before_the_failure_that_follows(fleet: Fleet, subject: str) -> None:
    """B12: two failures, a success, two failures open nothing: the order of one replica's calls is kept."""
    member = fleet.replicas[0]
    for result in (FAIL, FAIL, OK, FAIL, FAIL):
        view = await member.store.report(await permit_of(member, subject), result)
    assert (view.state, view.consecutive_failures) == (BreakerState.CLOSED, 2)


async def test_successes_beyond_what_may_wait_are_sent_at_once(fleet: Fleet, subject: str) -> None:
    """Memory is bounded and nothing is lost: the 21st success takes the 20 before it along."""
    member = fleet.replicas[0]
    permits = [await permit_of(member, subject) for _ in range(25)]
    for number, permit in enumerate(permits):
        await member.store.report(permit, OK)
        assert member.store.effects[Effect.COUNTED] == (21 if number >= 20 else 0)
    await member.store.flush()
    assert member.store.effects == {Effect.COUNTED: 25}


@pytest.mark.req("brk.shared")
async def test_the_largest_message_counts_once_however_often_it_is_sent(
    redis_state_url: str, subject: str
) -> None:
    """B6, X3, at the settings as shipped: all that may wait, and the report that sends it, are recognised."""
    rules = BreakerSettings()
    async with fleet_of(redis_state_url, rules, 1) as fleet:
        member = fleet.replicas[0]
        for permit in [await permit_of(member, subject) for _ in range(20)]:  # some are remembered already
            await member.store.report(permit, OK)
        await member.store.flush()
        permits = [await permit_of(member, subject) for _ in range(rules.unsent_max + 1)]
        reports = [Ended(permit=permit, result=OK, sample=0.5) for permit in permits]
        step = Asked(subject=subject, seen=None, reports=reports)
        (first,) = await member.store._script.run((step,))
        (again,) = await member.store._script.run((step,))
        assert first.effects == (Effect.COUNTED,) * len(permits)
        assert again.effects == (Effect.DUPLICATE,) * len(permits)


@pytest.mark.parametrize("gate", [Gate.HANGING, Gate.SLOW])
async def test_the_report_of_a_cancelled_caller_arrives_once(
    redis_state_url: str, fleet: Fleet, subject: str, gate: Gate
) -> None:
    """Faults 77 and 78: cancelled while its report was on its way, carried out already or not."""
    async with proxy_to(redis_state_url) as proxy:
        other, fleet.url = fleet.replicas[0], proxy.url
        member = fleet.join()
        permit = await permit_of(member, subject)
        proxy.set(gate)
        steps = proxy.steps
        reporting = asyncio.ensure_future(member.store.report(permit, FAIL))
        await proxy.arrived(steps + 1)
        reporting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reporting
        proxy.set(Gate.OPEN)
        await member.store.flush()
        assert (await other.store.view((subject,)))[subject].consecutive_failures == 1
        fleet.replicas.remove(member)
        await member.aclose()


async def test_a_replica_remembers_no_more_subjects_than_it_may(fleet: Fleet) -> None:
    """Of 200 quiet subjects, it keeps the limit; the shared records are all there."""
    member = fleet.replicas[0]
    names = [f"tool:{uuid.uuid4()}" for _ in range(200)]
    for name in names:
        await permit_of(member, name)
    assert len(member.store._known) == RULES.subjects_max
    permit = await permit_of(member, names[0])
    assert await member.store.report(permit, FAIL)
    assert member.store.effects == {Effect.COUNTED: 1}


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.FORCED_OPEN, BreakerState.HALF_OPEN])
async def test_a_replica_over_its_limit_remembers_what_is_not_closed(
    fleet: Fleet, subject: str, state: BreakerState
) -> None:
    """Should Redis go next, its stand-in would admit what the shared one refuses, or probe beside its probe."""
    member = fleet.replicas[0]
    if state is BreakerState.FORCED_OPEN:
        await member.store.force(subject, state, actor="ada", reason="drill")
    else:
        await trip(member, subject)
    if state is BreakerState.HALF_OPEN:
        await fleet.pass_time(60.0)
        assert (await permit_of(member, subject)).probe
    for _ in range(2 * RULES.subjects_max):
        await permit_of(member, f"tool:{uuid.uuid4()}")
    assert len(member.store._known) == RULES.subjects_max
    assert member.store._known[subject].view(fleet.clock()).state is state


@pytest.mark.req("brk.manual", "brk.shared")
async def test_an_order_survives_everybody_who_was_there(fleet: Fleet, subject: str) -> None:
    """B16: a replica that starts later finds it, with who and why; its keys never expire until control is back."""
    old = fleet.replicas[0]
    await trip(old, subject)
    await old.store.force(subject, BreakerState.FORCED_OPEN, actor="ada", reason="contract ended")
    await old.store.aclose()
    new = fleet.join()
    refused = await new.store.acquire(subject, "c")
    assert isinstance(refused, Refusal)
    assert (refused.state, refused.reason) == (BreakerState.FORCED_OPEN, "contract ended")
    last = (await new.store.history(subject))[-1]
    assert (last.after, last.actor, last.reason) == (BreakerState.FORCED_OPEN, "ada", "contract ended")
    record, *_, events = keys_of(subject, None)
    assert [await new.client.ttl(key) for key in (record, events)] == [-1, -1]
    await new.store.force(subject, BreakerState.CLOSED, actor="bob", reason="new contract")
    assert 86_000 < await new.client.ttl(record) <= 86_400
    assert not (await permit_of(new, subject)).probe


async def test_history_keeps_the_latest_changes_only(fleet: Fleet, subject: str) -> None:
    """Oldest first, bounded by ``events_kept``, the same wherever it is asked for."""
    member = fleet.replicas[0]
    for _ in range(4):
        await member.store.force(subject, BreakerState.DISABLED, actor="ada", reason="on")
        await member.store.force(subject, BreakerState.CLOSED, actor="ada", reason="off")
    history = await fleet.replicas[1].store.history(subject)
    assert history == tuple(member.events[-5:])
    assert len(member.events) == 8


async def test_subjects_are_those_with_a_record(fleet: Fleet, subject: str) -> None:
    """Registered at first use, gone with the record; nobody lists keys (X6)."""
    member, other = fleet.replicas[:2]
    odd = f"tool:{subject} {{ключ}} \ud800"
    await member.client.delete("cb:subjects")
    await permit_of(member, subject)
    await permit_of(member, odd)
    await member.store.flush()
    assert {subject, odd} <= set(await other.store.subjects())
    await member.client.delete(keys_of(subject, None)[0])
    assert subject not in await other.store.subjects()


@pytest.mark.req("brk.shared")
async def test_the_list_of_subjects_ends_with_its_use_and_loses_only_old_names(fleet: Fleet) -> None:
    """X5: it expires; and a name without a record goes once it is old, since a record may just have begun."""
    member, now_s = fleet.replicas[0], fleet.clock()
    await member.client.delete("cb:subjects")
    await member.store._script.register(("tool:there",), now_s)
    await member.client.zadd("cb:subjects", {"tool:old": now_s - 2 * RULES.kept_s, "tool:young": now_s - 1.0})
    assert 0 < await member.client.ttl("cb:subjects") <= RULES.kept_s
    assert await member.store.subjects() == ()
    assert await member.client.zrange("cb:subjects", 0, -1) == [b"tool:young", b"tool:there"]


@pytest.mark.req("brk.shared")
async def test_every_step_may_arrive_twice(fleet: Fleet, subject: str) -> None:
    """X3: the second delivery of leave, reports and orders gets the first reply and leaves the record alone."""
    member = fleet.replicas[0]
    run = member.store._script.run

    async def record() -> object:
        keys = keys_of(subject, None)
        young = await member.client.smembers(keys[1])
        return await member.client.hgetall(keys[0]), young, await member.client.lrange(keys[3], 0, -1)

    async def twice(asked: Asked) -> None:
        (first,) = await run((asked,))
        before = await record()
        (second,) = await run((asked,))
        assert (second.view, second.granted) == (first.view, first.granted)
        assert await record() == before

    def ended(call_id: str, generation: int, outcome: Outcome) -> Ended:
        permit = Permit(
            subject=subject, call_id=call_id, generation=generation, probe=False, state=BreakerState.CLOSED
        )
        return Ended(permit=permit, result=Report(outcome=outcome), sample=0.5)

    await twice(Asked(subject=subject, seen=None, acquire="a"))
    (now,) = await run((Asked(subject=subject, seen=None),))
    generation = now.view.generation
    for call in ("a", "b"):
        await twice(Asked(subject=subject, seen=None, reports=(ended(call, generation, Outcome.FAIL),)))
    await twice(Asked(subject=subject, seen=None, reports=(ended("c", generation, Outcome.FAIL),)))
    await fleet.pass_time(60.0)
    await twice(Asked(subject=subject, seen=None, acquire="probe"))
    await twice(Asked(subject=subject, seen=None, reports=(ended("probe", generation + 2, Outcome.OK),)))
    order = Order(id=uuid.uuid4().hex, state=BreakerState.FORCED_OPEN, actor="ada", reason="drill")
    await twice(Asked(subject=subject, seen=None, order=order))
    (later,) = await run((Asked(subject=subject, seen=None),))
    assert later.view.generation == generation + 4
