"""What only Redis can get wrong about the queue: keys that never end, tickets that end before they are swept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from configs.settings import RedisSettings
from engine.queue.contract import Delivery, Full
from engine.queue.redis_queue import RedisQueue
from engine.redis_client import connect
from engine.ticket import HookStatus, Ticket, TicketError, TicketStatus
from memory.errors import BackendUnavailable
from tests.support.queues import ANSWER, SETTINGS, QueueLab, in_redis

GONE_S = SETTINGS.expiry_s + SETTINGS.keep_s


@pytest.fixture
async def lab(redis_state_url: str) -> AsyncIterator[QueueLab]:
    """An empty queue in Redis; more than one sweep moves along has room in it."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=5)) as client:
        yield await in_redis(client, SETTINGS.model_copy(update={"length_max": 80}))


async def taken(lab: QueueLab) -> Delivery:
    """The next request, which must be there."""
    delivery = await lab.store.take()
    assert delivery is not None
    return delivery


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("delay_s", [0.0, 50.0])
async def test_every_key_of_the_queue_expires_by_itself(lab: QueueLab, delay_s: float):
    """X5: with all engines gone for good, nothing stays in Redis, whatever came last; one hash tag holds all."""
    assert lab.client is not None
    await lab.put("a", idempotency="k", webhook="https://example.com/")
    await lab.put("b", "low")
    first, second = await taken(lab), await taken(lab)
    assert (first.ticket.id, second.ticket.id) == ("a", "b")
    await lab.store.finish(first, ANSWER)
    await lab.store.put_back(second, delay_s=delay_s)
    keys = [key.decode() async for key in lab.client.scan_iter(match="sg:*q*")]
    assert len(keys) > 10
    assert all(key.startswith("sg:{q}:") for key in keys)
    lives = {key: await lab.client.pttl(key) for key in keys}
    assert all(0 < life <= GONE_S * 1000 for life in lives.values()), lives


async def ghosts(lab: QueueLab, number: int, delay_s: float) -> None:
    """So many low tickets whose hashes end unswept, while a later ticket keeps the sets alive."""
    for at in range(number):
        await lab.put(f"ghost {at}", "low", delay_s=delay_s)
    await lab.advance(500)
    await lab.put("late", "low")
    await lab.advance(GONE_S - 400)


@pytest.mark.req("run.queue")
async def test_a_ticket_that_ended_unswept_is_neither_counted_nor_shed(redis_state_url: str):
    """Nobody called for a day: what is left of it goes, and a full queue refuses as ever."""
    async with connect(redis_state_url, None, RedisSettings(timeout_s=5)) as client:
        lab = await in_redis(client)
        await ghosts(lab, 2, 0.0)
        first = await lab.put("low", "low")
        assert isinstance(first, Ticket)
        assert first.position == 1
        await lab.store.cancel("low")
        for at in range(4):
            await lab.put(f"high {at}", "high")
        assert await lab.put("one more", "high") == Full(length=4)


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("delay_s", [0.0, 50.0])
async def test_more_unswept_tickets_than_one_sweep_moves_stop_no_worker(lab: QueueLab, delay_s: float):
    """What the sweep has not reached is met by ``take`` and ``put``, which go on to the living."""
    await ghosts(lab, 70, delay_s)
    assert await lab.store.take() is None
    await lab.put("living")
    assert (await taken(lab)).ticket.id == "living"
    assert await lab.store.take() is None


@pytest.mark.req("run.queue")
async def test_a_take_that_is_answered_again_begins_a_lease_of_its_own(lab: QueueLab):
    """Fault 62: whoever gets the delivery late has the whole lease for it, however often the reply was lost."""
    store = lab.store
    assert isinstance(store, RedisQueue)
    script = store._script

    async def lossy(**sent: Any) -> object:
        await script(**sent)
        raise TimeoutError

    await lab.put("a")
    for _ in range(3):
        store._script = lossy  # pyright: ignore[reportAttributeAccessIssue] - loses every reply
        with pytest.raises(BackendUnavailable):
            await store.take()
        await lab.advance(SETTINGS.lease_s * 0.9)
    store._script = script
    delivery = await taken(lab)
    assert (delivery.ticket.id, delivery.token) == ("a", 1)
    await lab.advance(SETTINGS.lease_s * 0.9)
    assert await store.take() is None
    assert await store.renew(delivery) is True


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("written", "status", "error"),
    [
        ({"status": "parked"}, TicketStatus.RUNNING, None),
        ({"status": "judged", "error": '{"code": "c", "message": "m"}'}, TicketStatus.FAILED, ("c", "m")),
        (
            {"status": "failed", "error": '{"code": "c", "message": "m", "where": [1]}'},
            *(TicketStatus.FAILED, ("c", "m")),
        ),
        ({"status": "failed", "error": '{"kind": 7}'}, TicketStatus.FAILED, ("error_unreadable", None)),
        ({"status": "failed", "error": "no JSON"}, TicketStatus.FAILED, ("error_unreadable", None)),
    ],
)
async def test_what_a_later_release_wrote_is_read_as_far_as_it_is_known(
    lab: QueueLab, written: dict[str, str], status: TicketStatus, error: tuple[str, str | None] | None
):
    """N and N+1 run together (serve.upgrade): an unknown status, field or state of a webhook stops nobody."""
    assert lab.client is not None
    await lab.put("a")
    await lab.client.hset("sg:{q}:t:a", mapping=written | {"hook": "muted"})
    ticket = await lab.store.get("a")
    assert ticket is not None
    assert (ticket.status, ticket.webhook) == (status, HookStatus.PENDING)
    assert [row.status for row in await lab.store.latest(5)] == [status]
    if error is None:
        assert ticket.error is None
    else:
        assert isinstance(ticket.error, TicketError)
        assert ticket.error.code == error[0]
        assert error[1] in (None, ticket.error.message)
