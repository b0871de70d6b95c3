"""The queue in a Redis whose memory is used up: nothing new comes in, and what is in it still gets out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from configs.settings import RedisSettings
from engine.queue.redis_queue import RedisQueue
from engine.redis_client import connect
from engine.ticket import Ticket, TicketStatus
from memory.embedded.attach import attach
from memory.embedded.redis_server import DURABLE, _spec
from memory.errors import BackendUnavailable
from tests.support.embedded import SETTINGS as EMBEDDED
from tests.support.queues import ANSWER, SETTINGS, enqueue

FILLER = b"x" * 16_384
LARGE = b"x" * 1_048_576  # more than the last filler left: what is sent is enough to make Redis full


async def fill(client: Redis) -> list[str]:
    """Write until Redis takes no more; what was written."""
    names: list[str] = []
    with suppress(OutOfMemoryError):
        while len(names) < 10_000:
            await client.set(f"filler:{len(names)}", FILLER)
            names.append(f"filler:{len(names)}")
    return names


@pytest.mark.req("run.queue")
async def test_a_full_redis_refuses_what_is_new_and_lets_go_what_it_has(tmp_path: Path):
    """Memory is bounded by ``maxmemory``: a put leaves no trace; take, put_back and finish work, and make room."""
    attachment = await attach(_spec("redis.state", (*DURABLE, "maxmemory 32mb")), tmp_path, EMBEDDED)
    misses: list[str] = []
    async with connect(attachment.address, attachment.secret, RedisSettings(timeout_s=5)) as client:
        store = RedisQueue(client, SETTINGS, missed=lambda: misses.append("missed"))
        for name in ("a", "b"):
            assert isinstance(await store.put(enqueue(name)), Ticket)
        fillers = await fill(client)
        with pytest.raises(BackendUnavailable, match="OutOfMemory"):
            await store.put(enqueue("new", body=LARGE))
        assert misses == []
        assert await store.get("new") is None
        delivery = await store.take()
        assert delivery is not None
        assert await store.put_back(delivery, delay_s=0.0) is True
        again = await store.take()
        assert again is not None
        assert again.ticket.id == "a"
        assert await store.renew(again) is True
        assert await store.finish(again, replace(ANSWER, text=LARGE.decode())) is True
        done = await store.get("a")
        assert done is not None
        assert done.status is TicketStatus.DONE
        await client.delete(*fillers)
        assert isinstance(await store.put(enqueue("new")), Ticket)
    await attachment.leave()
