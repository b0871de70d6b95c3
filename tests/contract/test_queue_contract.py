"""One suite for every queue: the dict twin and a real Redis. Order, leases, ends, keys, shedding, expiry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest

from configs.settings import RedisSettings
from engine.queue.contract import Delivery, Full, Hook, OtherRequest
from engine.queue.redis_queue import RedisQueue
from engine.redis_client import connect
from engine.ticket import HookStatus, Ticket, TicketError, TicketStatus
from engine.types import Priority
from memory.errors import BackendUnavailable
from tests.support.queues import ANSWER, SETTINGS, QueueLab, enqueue, in_memory, in_redis

WAITING, RUNNING, DONE = TicketStatus.WAITING, TicketStatus.RUNNING, TicketStatus.DONE
FAILED, EXPIRED, SHED = TicketStatus.FAILED, TicketStatus.EXPIRED, TicketStatus.SHED
LEASE_S, EXPIRY_S = SETTINGS.lease_s, SETTINGS.expiry_s


@pytest.fixture(params=["memory", "redis"])
async def lab(request: pytest.FixtureRequest, redis_state_url: str) -> AsyncIterator[QueueLab]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield in_memory()
        return
    client = connect(redis_state_url, None, RedisSettings(timeout_s=5))
    yield await in_redis(client)
    await client.aclose()


async def taken(lab: QueueLab) -> Delivery:
    """The next request, which must be there."""
    delivery = await lab.store.take()
    assert delivery is not None
    return delivery


async def status_of(lab: QueueLab, name: str) -> TicketStatus | None:
    """Where a ticket stands."""
    ticket = await lab.store.get(name)
    return None if ticket is None else ticket.status


@pytest.mark.req("run.queue")
async def test_a_ticket_says_who_asked_how_urgent_and_until_when(lab: QueueLab):
    """What was put comes back, with the store's own times."""
    ticket = await lab.put("a", "low")
    assert isinstance(ticket, Ticket)
    assert (ticket.id, ticket.status, ticket.priority) == ("a", WAITING, "low")
    assert (ticket.tenant_id, ticket.user_id, ticket.attempts, ticket.position) == ("default", "ada", 0, 1)
    assert ticket.expires_s - ticket.created_s == EXPIRY_S
    assert await lab.store.get("a") == ticket


@pytest.mark.req("run.queue")
async def test_high_goes_before_normal_before_low_and_the_oldest_first(lab: QueueLab):
    """The order of delivery, and the positions that announce it."""
    for name, priority in (("n1", "normal"), ("l1", "low"), ("h1", "high"), ("n2", "normal")):
        await lab.put(name, priority)  # pyright: ignore[reportArgumentType] - literals in a table
    tickets = [await lab.store.get(name) for name in ("h1", "n1", "n2", "l1")]
    assert [ticket.position for ticket in tickets if ticket] == [1, 2, 3, 4]
    assert [(await taken(lab)).ticket.id for _ in range(4)] == ["h1", "n1", "n2", "l1"]
    assert await lab.store.take() is None


@pytest.mark.req("run.queue")
async def test_a_delivery_carries_the_request_and_its_end_the_answer(lab: QueueLab):
    """Waiting, running, done; the answer is whole."""
    await lab.put("a")
    delivery = await taken(lab)
    assert delivery.body == enqueue("a").body
    assert (delivery.ticket.status, delivery.ticket.attempts, delivery.token) == (RUNNING, 1, 1)
    assert await lab.store.finish(delivery, ANSWER) is True
    ticket = await lab.store.get("a")
    assert ticket is not None
    assert (ticket.status, ticket.answer, ticket.error, ticket.position) == (DONE, ANSWER, None, None)


@pytest.mark.req("run.queue")
async def test_a_failure_is_a_code_and_words(lab: QueueLab):
    """A final error is a result like another."""
    await lab.put("a")
    error = TicketError(code="rejected_by_model", message='it said "no" ☕')
    assert await lab.store.finish(await taken(lab), error) is True
    ticket = await lab.store.get("a")
    assert ticket is not None
    assert (ticket.status, ticket.answer, ticket.error) == (FAILED, None, error)


@pytest.mark.req("run.queue")
async def test_the_first_result_stands_and_a_late_duplicate_changes_nothing(lab: QueueLab):
    """X3: after a takeover the first worker can neither finish, renew nor give back."""
    await lab.put("a")
    late = await taken(lab)
    await lab.advance(LEASE_S + 1)
    second = await taken(lab)
    assert (second.ticket.id, second.token) == ("a", 2)
    assert await lab.store.renew(late) is False
    assert await lab.store.put_back(late, delay_s=0.0) is False
    assert await lab.store.finish(late, TicketError(code="late", message="late")) is False
    assert await lab.store.finish(second, ANSWER) is True
    assert await lab.store.finish(second, TicketError(code="again", message="again")) is False
    assert await lab.store.finish(second, ANSWER) is True  # its reply was lost: said again, true again
    assert await lab.store.finish(late, ANSWER) is False
    ticket = await lab.store.get("a")
    assert ticket is not None
    assert ticket.answer == ANSWER


@pytest.mark.req("run.queue")
async def test_a_request_is_not_taken_twice_while_its_worker_lives(lab: QueueLab):
    """A renewed lease starts anew; one that ends without renewal is somebody else's."""
    await lab.put("a")
    delivery = await taken(lab)
    for _ in range(3):
        await lab.advance(LEASE_S * 0.9)
        assert await lab.store.take() is None
        assert await lab.store.renew(delivery) is True
    await lab.advance(LEASE_S + 1)
    assert (await taken(lab)).token == 2


@pytest.mark.req("run.queue")
async def test_work_of_dead_workers_comes_before_new_work_of_its_priority(lab: QueueLab):
    """Oldest first holds over deaths; high still goes first."""
    await lab.put("a")
    await taken(lab)
    await lab.put("b")
    await lab.put("h", "high")
    await lab.advance(LEASE_S + 1)
    assert [(await taken(lab)).ticket.id for _ in range(3)] == ["h", "a", "b"]


@pytest.mark.req("run.queue")
async def test_a_request_that_kills_its_workers_fails_for_good(lab: QueueLab):
    """``deliveries_max`` deaths, and nobody is given it again."""
    await lab.put("poison")
    for token in range(1, SETTINGS.deliveries_max + 1):
        assert (await taken(lab)).token == token
        await lab.advance(LEASE_S + 1)
    assert await lab.store.take() is None
    ticket = await lab.store.get("poison")
    assert ticket is not None
    assert ticket.status is FAILED
    assert ticket.error == TicketError(code="worker_lost", message="3 workers died over it")


@pytest.mark.req("run.queue")
async def test_work_given_back_keeps_its_place_and_counts_no_death(lab: QueueLab):
    """A worker that stops in order: any number of times, and before what came later."""
    await lab.put("a")
    await lab.put("b")
    for token in range(1, SETTINGS.deliveries_max + 3):
        delivery = await taken(lab)
        assert (delivery.ticket.id, delivery.token) == ("a", token)
        assert await lab.store.put_back(delivery, delay_s=0.0) is True
        assert await status_of(lab, "a") is WAITING
    assert [(await taken(lab)).ticket.id for _ in range(2)] == ["a", "b"]


@pytest.mark.req("run.queue")
async def test_work_put_off_waits_its_time_and_queues_again(lab: QueueLab):
    """Not before, and then behind what was ready meanwhile; however often, it is no death."""
    await lab.put("a")
    for round_ in range(SETTINGS.deliveries_max + 1):
        delivery = await taken(lab)
        assert (delivery.ticket.id, delivery.ticket.not_before_s) == ("a", None)
        assert await lab.store.put_back(delivery, delay_s=100.0) is True
        assert await lab.store.take() is None, round_
        ticket = await lab.store.get("a")
        assert ticket is not None
        assert (ticket.status, ticket.position) == (WAITING, 1)
        assert ticket.not_before_s is not None
        assert ticket.not_before_s - ticket.created_s > 0
        await lab.advance(101)
    await lab.put("b")
    assert [(await taken(lab)).ticket.id for _ in range(2)] == ["b", "a"]


@pytest.mark.req("run.queue")
async def test_a_request_may_be_queued_for_later(lab: QueueLab):
    """The routes are out: nobody tries before their retry-after."""
    await lab.put("a", delay_s=300.0)
    await lab.advance(290)
    assert await lab.store.take() is None
    await lab.advance(11)
    assert (await taken(lab)).ticket.id == "a"


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("waiting", "newcomer", "outcome"),
    [
        (["low", "normal", "low", "high"], "high", 2),
        (["low", "normal", "low", "high"], "normal", 2),
        (["low", "normal", "low", "high"], "low", "full"),
        (["normal", "normal", "high", "high"], "high", 1),
        (["normal", "normal", "high", "high"], "normal", "full"),
        (["high", "high", "high", "high"], "high", "full"),
    ],
)
async def test_a_full_queue_sheds_the_newest_of_the_lowest_or_refuses(
    lab: QueueLab, waiting: list[Priority], newcomer: Priority, outcome: int | Literal["full"]
):
    """Fault 80, sheds low first; nobody is shed for an equal."""
    for at, priority in enumerate(waiting):
        await lab.put(str(at), priority)
    put = await lab.put("new", newcomer)
    lost = [at for at in range(4) if await status_of(lab, str(at)) is SHED]
    if outcome == "full":
        assert put == Full(length=4)
        assert lost == []
        assert await lab.store.get("new") is None
    else:
        assert isinstance(put, Ticket)
        assert lost == [outcome]
        delivered = [(await taken(lab)).ticket.id for _ in range(4)]
        assert str(outcome) not in delivered
        assert await lab.store.take() is None


@pytest.mark.req("run.queue")
async def test_running_work_is_never_shed_and_counts_for_the_bound(lab: QueueLab):
    """What a worker holds is paid for already."""
    for at in range(4):
        await lab.put(str(at), "low")
        await taken(lab)
    assert await lab.put("new", "high") == Full(length=4)


@pytest.mark.req("run.queue")
async def test_room_comes_back_when_a_ticket_ends(lab: QueueLab):
    """Done, cancelled and expired tickets take no place."""
    for at in range(4):
        await lab.put(str(at))
    assert await lab.put("x") == Full(length=4)
    await lab.store.finish(await taken(lab), ANSWER)
    assert isinstance(await lab.put("after done"), Ticket)
    await lab.store.cancel("after done")
    assert isinstance(await lab.put("after cancel"), Ticket)
    await lab.advance(EXPIRY_S + 1)
    for at in range(4):
        assert isinstance(await lab.put(f"after expiry {at}"), Ticket)


@pytest.mark.req("run.queue")
async def test_one_key_is_one_ticket_whatever_became_of_it(lab: QueueLab):
    """X3: waiting, running and done, the same ticket comes back and nothing is queued."""
    first = await lab.put("a", idempotency="k")
    again = await lab.put("b", idempotency="k")
    assert again == first
    delivery = await taken(lab)
    assert (await lab.put("c", idempotency="k")).status is RUNNING
    await lab.store.finish(delivery, ANSWER)
    done = await lab.put("d", idempotency="k")
    assert (done.id, done.answer) == ("a", ANSWER)
    assert await lab.store.take() is None
    assert [await lab.store.get(name) for name in ("b", "c", "d")] == [None, None, None]


@pytest.mark.req("run.queue")
async def test_a_key_that_belongs_to_another_request_is_refused(lab: QueueLab):
    """The same key over another question is a mistake, not a repeat."""
    await lab.put("a", idempotency="k")
    assert await lab.put("b", idempotency="k", digest="another") == OtherRequest(id="a")
    assert await lab.store.get("b") is None


@pytest.mark.req("run.queue")
async def test_a_put_that_is_sent_again_queues_once(lab: QueueLab):
    """X3: a lost reply is answered by sending the same request again."""
    first = await lab.put("a")
    assert await lab.put("a") == first
    await taken(lab)
    assert await lab.store.take() is None


@pytest.mark.req("run.queue")
async def test_a_thousand_at_once_under_one_key_are_one_ticket(lab: QueueLab):
    """Every caller gets the same id, one delivery exists."""
    puts = await asyncio.gather(*(lab.put(f"t{i}", idempotency="k") for i in range(1_000)))
    assert len({put.id for put in puts}) == 1
    await taken(lab)
    assert await lab.store.take() is None


@pytest.mark.req("run.queue")
async def test_a_ticket_expires_unanswered_and_its_request_is_gone(lab: QueueLab):
    """Waiting or running: at its time it is expired, and no result is taken any more."""
    await lab.put("running")
    delivery = await taken(lab)
    await lab.put("waiting")
    await lab.put("later", delay_s=EXPIRY_S - 100.0)
    await lab.advance(EXPIRY_S + 1)
    for name in ("running", "waiting", "later"):
        ticket = await lab.store.get(name)
        assert ticket is not None
        assert (ticket.status, ticket.answer, ticket.error, ticket.position) == (EXPIRED, None, None, None)
    assert await lab.store.finish(delivery, ANSWER) is False
    assert await lab.store.take() is None
    if lab.client is not None:
        assert [key async for key in lab.client.scan_iter(match="sg:{q}:b:*")] == []


@pytest.mark.req("run.queue")
async def test_a_final_ticket_is_kept_for_its_time_and_its_key_too(lab: QueueLab):
    """After ``keep_s`` there is nothing left of it, and its key may be used again."""
    await lab.put("a", idempotency="k")
    await lab.store.finish(await taken(lab), ANSWER)
    await lab.advance(SETTINGS.keep_s - 100)
    assert await status_of(lab, "a") is DONE
    await lab.advance(101)
    assert await lab.store.get("a") is None
    assert await lab.store.latest(10) == ()
    assert (await lab.put("b", idempotency="k")).id == "b"


@pytest.mark.req("run.queue")
async def test_only_so_many_final_tickets_are_kept(lab: QueueLab):
    """Memory is bounded: of the ended ones the oldest goes first, with its key."""
    for at in range(SETTINGS.length_max + 2):
        await lab.put(str(at), idempotency=f"k{at}")
        await lab.store.finish(await taken(lab), ANSWER)
        await lab.advance(1)
    kept = [at for at in range(SETTINGS.length_max + 2) if await lab.store.get(str(at)) is not None]
    assert kept == [2, 3, 4, 5]
    assert (await lab.put("new", idempotency="k0")).id == "new"


@pytest.mark.req("run.queue")
async def test_cancelling_ends_what_is_open_and_leaves_what_is_final(lab: QueueLab):
    """Waiting and running fail with ``cancelled``; the worker that had it learns at its next beat."""
    await lab.put("waiting", delay_s=100.0)
    await lab.put("running")
    delivery = await taken(lab)
    for name in ("waiting", "running"):
        ticket = await lab.store.cancel(name)
        assert ticket is not None
        assert (ticket.status, ticket.error and ticket.error.code) == (FAILED, "cancelled")
    assert await lab.store.renew(delivery) is False
    assert await lab.store.finish(delivery, ANSWER) is False
    await lab.advance(LEASE_S + 101)
    assert await lab.store.take() is None
    await lab.put("done")
    await lab.store.finish(await taken(lab), ANSWER)
    await lab.store.cancel("done")
    assert await status_of(lab, "done") is DONE


@pytest.mark.req("run.queue")
async def test_the_list_shows_open_tickets_first_newest_first_and_no_answers(lab: QueueLab):
    """What an operator sees; at most as many as were asked for."""
    for name in ("a", "b", "c"):
        await lab.put(name)
        await lab.advance(1)
    await lab.store.finish(await taken(lab), ANSWER)
    await lab.put("d", delay_s=50.0)
    rows = await lab.store.latest(10)
    assert [(row.id, row.status) for row in rows] == [("d", WAITING), ("c", WAITING), ("b", WAITING), ("a", DONE)]
    assert all(row.answer is None and row.position is None for row in rows)
    assert rows[0].not_before_s is not None
    assert [row.id for row in await lab.store.latest(2)] == ["d", "c"]


@pytest.mark.req("run.queue")
async def test_what_never_was_is_none(lab: QueueLab):
    """An empty queue and an unknown id are ordinary answers."""
    assert await lab.store.take() is None
    assert await lab.store.take_hook() is None
    assert await lab.store.get("nobody") is None
    assert await lab.store.cancel("nobody") is None
    assert await lab.store.latest(10) == ()


async def test_a_redis_that_is_gone_is_a_typed_error(tmp_path):
    """Redis' own exceptions never escape the adapter."""
    client = connect(f"unix://{tmp_path}/nobody.sock", None, RedisSettings())
    store = RedisQueue(client, SETTINGS)
    for call in (store.take(), store.get("a"), store.put(enqueue("a")), store.latest(1), store.take_hook()):
        with pytest.raises(BackendUnavailable):
            await call
    await client.aclose()


@pytest.mark.req("run.queue")
async def test_a_take_whose_reply_was_lost_is_answered_by_the_next_one(redis_state_url: str):
    """Fault 62: the request does not wait for a lease to end, and nobody is said to have died over it."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=5)) as client:
        lab = await in_redis(client)
        assert isinstance(lab.store, RedisQueue)
        script, replies = lab.store._script, ["lost"]

        async def lossy(**sent: Any) -> object:
            reply = await script(**sent)
            if replies.pop() == "lost":
                raise TimeoutError
            return reply

        await lab.put("a")
        await lab.put("b")
        lab.store._script = lossy  # pyright: ignore[reportAttributeAccessIssue] - loses one reply
        with pytest.raises(BackendUnavailable):
            await lab.store.take()
        lab.store._script = script
        assert [(d.ticket.id, d.token) for d in (await taken(lab), await taken(lab))] == [("a", 1), ("b", 1)]
        assert await lab.store.take() is None


async def hook_of(lab: QueueLab) -> Hook:
    """The next webhook, which must be due."""
    hook = await lab.store.take_hook()
    assert hook is not None
    return hook


@pytest.mark.req("run.queue")
async def test_a_webhook_is_due_when_its_ticket_ends_and_not_before(lab: QueueLab):
    """It carries the ended ticket; in one worker's hands it is not given to another."""
    await lab.put("quiet")
    await lab.store.finish(await taken(lab), ANSWER)
    assert (await lab.put("a", webhook="https://example.com/x")).webhook is HookStatus.PENDING
    delivery = await taken(lab)
    assert await lab.store.take_hook() is None
    await lab.store.finish(delivery, ANSWER)
    hook = await hook_of(lab)
    assert (hook.url, hook.tries) == ("https://example.com/x", 1)
    assert (hook.ticket.id, hook.ticket.status, hook.ticket.answer) == ("a", DONE, ANSWER)
    assert await lab.store.take_hook() is None
    await lab.store.close_hook(hook, delivered=True)
    await lab.advance(LEASE_S + 1)
    assert await lab.store.take_hook() is None
    told = [row.webhook for row in await lab.store.latest(10) if row.id == "a"]
    assert told == [HookStatus.DELIVERED]


@pytest.mark.req("run.queue")
async def test_every_kind_of_end_is_told(lab: QueueLab):
    """Failed, cancelled, shed and expired: whoever waits for a call gets one."""
    await lab.put("expired", webhook="https://e.com/")
    await lab.advance(EXPIRY_S + 1)
    for name in ("failed", "cancelled"):
        await lab.put(name, webhook="https://e.com/")
    await lab.put("shed", "low", webhook="https://e.com/")
    await lab.store.finish(await taken(lab), TicketError(code="c", message="m"))
    for name in ("filler", "filling"):
        await lab.put(name, "high")
    await lab.put("the last straw")
    await lab.store.cancel("cancelled")
    told = {}
    while (hook := await lab.store.take_hook()) is not None:
        told[hook.ticket.id] = hook.ticket.status
    assert told == {"expired": EXPIRED, "failed": FAILED, "shed": SHED, "cancelled": FAILED}


@pytest.mark.req("run.queue")
async def test_a_webhook_put_off_comes_again_and_a_dead_worker_loses_none(lab: QueueLab):
    """After its delay, or when the worker that had it is gone for a lease; the tries are counted."""
    await lab.put("a", webhook="https://e.com/")
    await lab.store.finish(await taken(lab), ANSWER)
    first = await hook_of(lab)
    await lab.store.delay_hook(first, delay_s=100.0)
    await lab.advance(90)
    assert await lab.store.take_hook() is None
    await lab.advance(11)
    second = await hook_of(lab)
    assert second.tries == 2
    await lab.advance(LEASE_S + 1)
    third = await hook_of(lab)
    assert third.tries == 3
    await lab.store.close_hook(second, delivered=True)  # too late: the third worker has it
    await lab.store.close_hook(third, delivered=False)
    ticket = await lab.store.get("a")
    assert ticket is not None
    assert ticket.webhook is HookStatus.FAILED
    await lab.advance(LEASE_S + 1)
    assert await lab.store.take_hook() is None
