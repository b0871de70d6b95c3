"""Redis goes, lies or comes back empty, and the breakers go on (brk.shared; X3, X7, B15, faults 57 to 62)."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings, EmbeddedSettings
from engine.contract import BreakerState, BreakerView, Permit, Refusal, Report
from engine.resilience.alone import LocalPermit
from engine.resilience.record import Effect
from engine.resilience.script import STATE
from engine.resilience.shielded import one_failure_per_request, store_breakers
from engine.resilience.wire import keys_of
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_state
from memory.errors import BackendUnavailable
from tests.support.clock import FakeClock
from tests.support.embedded import gone, pids
from tests.support.redis_proxy import Gate, Proxy, proxy_to
from tests.support.shared_breaker import PATIENT, Fleet, Replica, fleet_of

RULES = BreakerSettings(
    consecutive_failures=3, open_s=60.0, jitter=0.0, probe_deadline_s=30.0, lease_s=35.0, alone_s=1.0
)
QUICK_S = 0.05
"""Timeout while the gate is not open."""
FAIL, OK = Report(outcome=Outcome.FAIL, reason="boom"), Report(outcome=Outcome.OK)
OPENS_AFTER = RULES.consecutive_failures
"""Failures until the breaker before Redis itself opens."""


@dataclass(slots=True)
class Scene:
    """One replica behind a gate, another one with a Redis that always answers."""

    subject: str
    fleet: Fleet
    proxy: Proxy
    cut: Replica
    other: Replica

    async def permit(self, member: Replica) -> Permit:
        """Leave, which must be given."""
        return granted(await member.store.acquire(self.subject, uuid.uuid4().hex))

    async def fail(self, member: Replica, times: int = RULES.consecutive_failures) -> BreakerView:
        """So many failed calls."""
        for _ in range(times):
            view = await member.store.report(await self.permit(member), FAIL)
        return view

    async def view(self, member: Replica) -> BreakerView:
        """The breaker as this replica sees it now."""
        await self.fleet.pass_time(RULES.view_s * 1.01)
        return (await member.store.view((self.subject,)))[self.subject]

    def gate(self, gate: Gate) -> None:
        """What the replica behind the gate finds from now on."""
        self.proxy.set(gate)
        self.cut.store._script._timeout_s = PATIENT.timeout_s if gate is Gate.OPEN else QUICK_S

    async def back(self) -> None:
        """Redis is there again, and the breaker before it has had its time."""
        self.gate(Gate.OPEN)
        await self.fleet.pass_time(2.0)

    async def forget(self) -> None:
        """All keys of the subject are lost."""
        await self.other.client.delete(*keys_of(self.subject, None))


def granted(answer: Permit | Refusal) -> Permit:
    """Leave, which must be given."""
    assert isinstance(answer, Permit), answer
    return answer


@pytest.fixture
async def scene(redis_state_url: str) -> AsyncIterator[Scene]:
    """Both replicas have seen the subject CLOSED."""
    async with proxy_to(redis_state_url) as proxy, fleet_of(redis_state_url, RULES, 1) as fleet:
        other = fleet.replicas[0]
        fleet.url = proxy.url
        cut = fleet.join()
        fleet.url = redis_state_url
        scene = Scene(f"model:p/{uuid.uuid4()}#k", fleet, proxy, cut, other)
        await scene.permit(other)
        await scene.permit(cut)
        await cut.store.flush()  # nothing is left for the background to do
        yield scene
        proxy.set(Gate.OPEN)


ERRORS = {
    "NOSCRIPT No matching script. Please use EVAL.": "",
    "READONLY You can't write against a read only replica.": "",
    "MOVED 3999 127.0.0.1:6381": "",
    "ASK 3999 127.0.0.1:6381": "",
    "LOADING Redis is loading the dataset in memory": "BusyLoadingError",
    "MISCONF Redis is configured to save RDB snapshots": "ResponseError",
    "OOM command not allowed when used memory > 'maxmemory'.": "OutOfMemoryError",
    "BUSY Redis is busy running a script.": "ResponseError",
    "NOAUTH Authentication required.": "AuthenticationError",
    "ERR something nobody has thought of": "ResponseError",
}


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("error", ERRORS, ids=[error.split()[0] for error in ERRORS])
async def test_each_error_of_redis_has_its_meaning(scene: Scene, error: str) -> None:
    """B15, 8 of 8 and two more: once, script and address errors are mended on the spot, others mean on our own."""
    permit = await scene.permit(scene.cut)
    scene.proxy.answer(error, 1)
    view = await scene.cut.store.report(permit, FAIL)
    assert view.consecutive_failures == 1
    assert ERRORS[error] in scene.cut.store.degraded
    assert bool(scene.cut.store.degraded) == bool(ERRORS[error])
    counted_there = (await scene.view(scene.other)).consecutive_failures
    assert counted_there == (0 if ERRORS[error] else 1)


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("error", ERRORS, ids=[error.split()[0] for error in ERRORS])
async def test_an_error_that_stays_is_on_our_own(scene: Scene, error: str) -> None:
    """B15: whatever Redis answers for ever, calls go on, behind a breaker that still opens."""
    scene.proxy.answer(error, 1_000)
    await scene.fleet.pass_time(1.0)
    view = await scene.fail(scene.cut)
    assert (view.state, scene.cut.store.degraded != "") == (BreakerState.OPEN, True)
    assert isinstance(await scene.cut.store.acquire(scene.subject, "next"), Refusal)
    assert (await scene.view(scene.other)).state is BreakerState.CLOSED


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("gate", [Gate.SHUT, Gate.HANGING, Gate.MUTE, Gate.SLOW])
async def test_without_redis_the_same_rules_hold_in_this_process(scene: Scene, gate: Gate) -> None:
    """Faults 57, 58 and 61: it opens after as many failures, refuses for as long, and lets one probe in."""
    await scene.fail(scene.other, 1)
    await scene.view(scene.cut)  # one of three has been counted
    await scene.fleet.pass_time(1.0)
    scene.gate(gate)
    view = await scene.fail(scene.cut, 2)
    assert (view.state, view.retry_after_s) == (BreakerState.OPEN, pytest.approx(60.0))
    assert scene.cut.store.degraded
    await scene.fleet.pass_time(59.0)
    assert isinstance(await scene.cut.store.acquire(scene.subject, "early"), Refusal)
    await scene.fleet.pass_time(1.0)
    answers = await asyncio.gather(*[scene.cut.store.acquire(scene.subject, f"p{n}") for n in range(20)])
    (probe,) = [answer for answer in answers if isinstance(answer, Permit)]
    assert (await scene.cut.store.report(probe, OK)).state is BreakerState.CLOSED
    assert [event.after.value for event in scene.cut.events] == ["open", "half_open", "closed"]


@pytest.mark.req("brk.shared")
async def test_a_silent_redis_costs_a_request_one_attempt(scene: Scene) -> None:
    """X7: leave and two reports of one request reach out once; after five of them nobody tries any more."""
    await scene.fleet.pass_time(1.0)
    scene.gate(Gate.HANGING)
    guard = scene.cut.guards.of(STATE)
    for number in range(OPENS_AFTER + 3):
        with one_failure_per_request():
            for _ in range(2):
                permit = await scene.cut.store.acquire(scene.subject, uuid.uuid4().hex)
                if isinstance(permit, Permit):
                    await scene.cut.store.report(permit, OK)
            await scene.cut.store.view((scene.subject,))
        assert guard.view().consecutive_failures == min(number + 1, OPENS_AFTER)
    assert guard.view().state is BreakerState.OPEN
    scene.gate(Gate.OPEN)
    await scene.fleet.pass_time(RULES.alone_s)
    assert not isinstance(await scene.permit(scene.cut), LocalPermit)
    assert (guard.view().state, scene.cut.store.degraded) == (BreakerState.CLOSED, "")


@pytest.mark.req("brk.everywhere")
@pytest.mark.parametrize(("open_s", "expected_s"), [(60.0, 5.0), (1.0, 1.0)])
async def test_a_store_is_asked_again_soon_however_often_it_was_lost(open_s: float, expected_s: float) -> None:
    """Unlike a model, it is not given longer and longer: never more than ``alone_s``."""
    clock = FakeClock()
    rules = BreakerSettings(open_s=open_s, jitter=0.0, alone_s=5.0)
    guard = store_breakers(rules, clock=clock, sample=lambda: 0.5).of(STATE)
    for _ in range(rules.consecutive_failures):
        guard.report(granted(guard.acquire(uuid.uuid4().hex)), FAIL)
    assert guard.view().retry_after_s == expected_s
    for _ in range(4):
        clock.advance(guard.view().retry_after_s or 0.0)
        guard.report(granted(guard.acquire(uuid.uuid4().hex)), FAIL)
    assert (guard.view().retry_after_s or 0.0) <= 5.0


@pytest.mark.req("brk.shared")
async def test_callers_that_wait_together_share_one_timeout(scene: Scene) -> None:
    """X7: a hundred requests at once, one of them asks, and its failure is the only one that any of them meets."""

    async def request() -> Permit:
        with one_failure_per_request():
            permit = await scene.permit(scene.cut)
            await scene.cut.store.report(permit, OK)
            await scene.cut.store.view((scene.subject,))
            return permit

    await scene.fleet.pass_time(1.0)
    scene.gate(Gate.HANGING)
    tried = scene.proxy.steps
    permits = await asyncio.gather(*[asyncio.create_task(request()) for _ in range(100)])
    assert scene.proxy.steps - tried == 1
    assert scene.cut.guards.of(STATE).view().consecutive_failures == 1
    assert all(isinstance(permit, LocalPermit) for permit in permits)


async def test_what_the_background_loses_is_no_failure_of_the_request_that_woke_it(scene: Scene) -> None:
    """A request whose success is sent by the background may still ask Redis itself."""
    with one_failure_per_request():
        await scene.cut.store.report(await scene.permit(scene.cut), OK)
        scene.gate(Gate.SHUT)
        sender = scene.cut.store._sender.task
        assert sender is not None
        await asyncio.wait((sender,))
        assert scene.cut.store.degraded
        scene.gate(Gate.OPEN)
        assert not isinstance(await scene.permit(scene.cut), LocalPermit)


@pytest.mark.req("brk.shared")
async def test_open_stays_open_while_redis_is_gone(scene: Scene) -> None:
    """Known as OPEN with 40 s to go: refused for those 40 s, then one local probe."""
    await scene.fail(scene.other)
    await scene.fleet.pass_time(20.0)
    assert (await scene.view(scene.cut)).state is BreakerState.OPEN
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(39.0)
    assert isinstance(await scene.cut.store.acquire(scene.subject, "early"), Refusal)
    await scene.fleet.pass_time(1.0)
    assert (await scene.permit(scene.cut)).probe


@pytest.mark.req("brk.shared")
async def test_a_forced_state_holds_while_redis_is_gone(scene: Scene) -> None:
    """B16: what a person ordered before stays; an order now is refused, since it would hold here only."""
    await scene.other.store.force(scene.subject, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
    await scene.view(scene.cut)
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(10_000.0)
    refused = await scene.cut.store.acquire(scene.subject, "c")
    assert isinstance(refused, Refusal)
    assert (refused.state, refused.reason) == (BreakerState.FORCED_OPEN, "drill")
    with pytest.raises(BackendUnavailable):
        await scene.cut.store.force(scene.subject, BreakerState.CLOSED, actor="ada", reason="over")


@pytest.mark.req("brk.shared")
async def test_an_opening_found_alone_is_handed_over(scene: Scene) -> None:
    """The shared breaker, CLOSED and unmoved since, opens for the rest of the time as soon as Redis is back."""
    before = (await scene.view(scene.cut)).generation
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(1.0)
    await scene.fail(scene.cut)
    await scene.back()
    await scene.cut.store.acquire(f"tool:{uuid.uuid4()}", "of another subject")  # finds Redis answering
    await scene.cut.store.flush()
    found = await scene.view(scene.other)
    assert (found.state, found.reason) == (BreakerState.OPEN, "3 failures in a row")
    assert found.retry_after_s == pytest.approx(60.0 - 2.0, abs=0.3)
    assert found.last_errors == ("boom", "boom", "boom")
    assert found.generation > before + 1
    assert scene.cut.store.degraded == ""
    numbers = [event.generation for event in scene.cut.events]
    assert numbers == sorted(set(numbers))  # B3, B13 as this replica sees it


@pytest.mark.req("brk.shared")
async def test_an_opening_found_alone_never_undoes_what_others_did(scene: Scene) -> None:
    """Others opened, probed and closed, then somebody forced it: that stays; generations still only grow."""
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(1.0)
    await scene.fail(scene.cut)
    alone = (await scene.view(scene.cut)).generation
    await scene.other.store.force(scene.subject, BreakerState.FORCED_CLOSED, actor="ada", reason="it is fine")
    await scene.back()
    view = await scene.view(scene.cut)
    assert (view.state, view.actor) == (BreakerState.FORCED_CLOSED, "ada")
    assert view.generation > alone
    numbers = [event.generation for event in scene.cut.events]
    assert numbers == sorted(set(numbers))
    assert (await scene.view(scene.other)).state is BreakerState.FORCED_CLOSED


@pytest.mark.req("brk.shared")
async def test_leave_given_alone_is_worth_nothing_afterwards(scene: Scene) -> None:
    """B4: a call that began without Redis and ends with it again changes no shared record."""
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(1.0)
    permit = await scene.permit(scene.cut)
    assert isinstance(permit, LocalPermit)
    await scene.back()
    before = await scene.view(scene.cut)
    assert await scene.cut.store.report(permit, FAIL) == before
    assert scene.cut.store.effects[Effect.LATE] == 1
    assert (await scene.view(scene.other)).consecutive_failures == 0


@pytest.mark.req("brk.shared")
async def test_a_call_that_outlives_the_outage_counts_where_it_began(scene: Scene) -> None:
    """Shared leave from before is good afterwards: nothing has moved meanwhile."""
    permit = await scene.permit(scene.cut)
    scene.gate(Gate.SHUT)
    await scene.fleet.pass_time(1.0)
    await scene.permit(scene.cut)
    await scene.back()
    assert (await scene.cut.store.report(permit, FAIL)).consecutive_failures == 1
    assert (await scene.view(scene.other)).consecutive_failures == 1


@pytest.mark.req("brk.shared")
async def test_lost_keys_begin_a_higher_generation_in_the_state_that_was_known(scene: Scene) -> None:
    """X5, fault 60: OPEN is opened again for the rest of its time; nobody sees a generation go back (B3)."""
    await scene.fail(scene.other)
    before = await scene.view(scene.cut)
    await scene.forget()
    after = await scene.view(scene.cut)
    assert (after.state, after.reason) == (BreakerState.OPEN, before.reason)
    assert after.generation > before.generation
    assert after.retry_after_s == pytest.approx(before.retry_after_s, abs=0.3)
    assert (await scene.view(scene.other)).generation == after.generation


@pytest.mark.req("brk.manual", "brk.shared")
async def test_a_forced_state_outlives_the_loss_of_all_keys(scene: Scene) -> None:
    """B16: every replica that knew it puts it back, with its author."""
    await scene.other.store.force(scene.subject, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
    await scene.forget()
    view = await scene.view(scene.other)
    assert (view.state, view.actor, view.reason) == (BreakerState.FORCED_OPEN, "ada", "drill")
    assert (await scene.view(scene.cut)).state is BreakerState.FORCED_OPEN


@pytest.mark.req("brk.shared")
async def test_a_failover_with_lost_writes_is_put_right_by_whoever_knew_more(scene: Scene) -> None:
    """The new server has the record of an hour ago, CLOSED; a replica that saw OPEN asserts it again (B3)."""
    record = keys_of(scene.subject, None)[0]
    old = await scene.other.client.hgetall(record)
    await scene.fail(scene.other)
    known = await scene.view(scene.cut)
    await scene.forget()
    await scene.other.client.hset(record, mapping=old)
    after = await scene.view(scene.cut)
    assert (after.state, after.generation) == (BreakerState.OPEN, known.generation + 1)


@pytest.mark.req("brk.shared")
async def test_a_failover_to_an_old_opening_closes_again(scene: Scene) -> None:
    """The new server still has it OPEN; whoever saw it close says so, and old failures count no more."""
    record = keys_of(scene.subject, None)[0]
    await scene.fail(scene.other)
    old = await scene.other.client.hgetall(record)
    await scene.fleet.pass_time(60.0)
    await scene.other.store.report(await scene.permit(scene.other), OK)
    known = await scene.view(scene.cut)
    await scene.forget()
    await scene.other.client.hset(record, mapping=old)
    after = await scene.view(scene.cut)
    assert (after.state, after.generation) == (BreakerState.CLOSED, known.generation + 1)
    assert (after.consecutive_failures, after.last_errors) == (0, ())
    assert (await scene.fail(scene.cut, 2)).state is BreakerState.CLOSED


@pytest.mark.req("brk.shared")
async def test_a_lost_reply_is_one_failure_not_two(scene: Scene) -> None:
    """X3, fault 61: the step was carried out, its reply was lost; nothing is sent a second time under a new id."""
    permit = await scene.permit(scene.cut)
    scene.gate(Gate.MUTE)
    assert (await scene.cut.store.report(permit, FAIL)).consecutive_failures == 1
    await scene.back()
    assert (await scene.view(scene.cut)).consecutive_failures == 1
    assert (await scene.view(scene.other)).consecutive_failures == 1


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("leaves", ["cancelled", "timeout"])
async def test_whoever_leaves_while_asking_holds_no_place(scene: Scene, leaves: str) -> None:
    """B8: the probe was granted, its caller was gone before the reply; the next need not wait for the lease."""
    await scene.fail(scene.other)
    await scene.view(scene.cut)
    await scene.fleet.pass_time(60.0)
    scene.gate(Gate.SLOW)
    asking = asyncio.ensure_future(scene.cut.store.acquire(scene.subject, "gone"))
    await scene.proxy.arrived(1)
    if leaves == "cancelled":
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    else:
        assert isinstance(await asking, LocalPermit)
    assert isinstance(await scene.other.store.acquire(scene.subject, "early"), Refusal)
    scene.gate(Gate.OPEN)
    await scene.view(scene.cut)
    await scene.cut.store.flush()
    await scene.fleet.pass_time(RULES.view_s * 1.01)
    assert (await scene.permit(scene.other)).probe
    again = await scene.other.store.acquire(scene.subject, "gone")
    assert isinstance(again, Refusal)  # its question may have been on the way for longer than its departure


DAMAGE = {
    "another type": ("SET", "{key}", "nonsense"),
    "no number": ("HSET", "{key}", "ema_success", "a lot"),
    "no state": ("HSET", "{key}", "state", "ajar"),
    "a field gone": ("HDEL", "{key}", "window"),
    "no list": ("HSET", "{key}", "leases", "]["),
}


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_record_is_lost_and_nothing_else(scene: Scene, damage: str) -> None:
    """Fault 46, B15: it begins anew at a higher generation; Redis does not count as gone for the others."""
    before = await scene.view(scene.other)
    command = [part.format(key=keys_of(scene.subject, None)[0]) for part in DAMAGE[damage]]
    if damage == "another type":
        await scene.forget()
    await scene.other.client.execute_command(*command)
    after = await scene.view(scene.other)
    assert (after.state, scene.other.store.degraded) == (BreakerState.CLOSED, "")
    assert after.generation > before.generation
    assert (await scene.fail(scene.other)).state is BreakerState.OPEN


@pytest.mark.req("brk.manual", "brk.shared")
async def test_an_order_survives_a_crash_of_redis(tmp_path: Path) -> None:
    """B16, fault 70: the server is killed and started again; a new replica finds who ordered what."""
    subject = f"model:p/{uuid.uuid4()}#k"
    async with await attach(redis_state(), tmp_path, EmbeddedSettings()) as attachment:
        assert attachment.secret is not None
        url = attachment.address.replace("unix://", f"unix://:{attachment.secret.get_secret_value()}@")
        async with fleet_of(url, RULES, 1) as fleet:
            first = fleet.replicas[0]
            await first.store.force(subject, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
            _, server = await pids(tmp_path, "redis.state")
            os.kill(server, signal.SIGKILL)
            assert gone(server)
            async with await attach(redis_state(), tmp_path, EmbeddedSettings()):  # comes back when it answers
                second = fleet.join()
                view = (await second.store.view((subject,)))[subject]
                assert (view.state, view.actor, second.store.degraded) == (BreakerState.FORCED_OPEN, "ada", "")
                assert [event.reason for event in await second.store.history(subject)] == ["drill"]


@pytest.mark.req("brk.shared")
async def test_people_are_shown_what_this_replica_knows(scene: Scene) -> None:
    """Subjects and history come from memory while Redis is gone."""
    await scene.fail(scene.cut)
    there = await scene.cut.store.history(scene.subject)
    scene.gate(Gate.SHUT)
    assert scene.subject in await scene.cut.store.subjects()
    assert await scene.cut.store.history(scene.subject) == there
    assert await scene.cut.store.history("nobody") == ()
    assert len(there) == 1
