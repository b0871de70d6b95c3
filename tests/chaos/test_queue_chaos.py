"""The queue when processes and servers die: nothing accepted is lost, nothing is concluded twice."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from configs.settings import RedisSettings
from engine.queue.redis_queue import RedisQueue
from engine.redis_client import connect
from engine.ticket import Ticket, TicketStatus
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_state
from memory.errors import BackendUnavailable
from tests.support.embedded import ROOT, assert_nothing_left, pids
from tests.support.embedded import SETTINGS as EMBEDDED
from tests.support.queue_worker import SETTINGS
from tests.support.queues import enqueue

GUARD_S = 30.0


@asynccontextmanager
async def queue_of(folder: Path) -> AsyncIterator[tuple[RedisQueue, Redis]]:
    """The queue of a data folder, and the Redis it is in."""
    attachment = await attach(redis_state(), folder, EMBEDDED)
    async with connect(attachment.address, attachment.secret, RedisSettings(timeout_s=5)) as client:
        yield RedisQueue(client, SETTINGS), client
    await attachment.leave()


@asynccontextmanager
async def worker(folder: Path, how: str) -> AsyncIterator[Process]:
    """A worker in a process of its own; killed at the end, if it still lives."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.queue_worker", str(folder), how),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def begun(process: Process) -> str:
    """The next request that the worker began."""
    assert process.stdout is not None
    async with asyncio.timeout(GUARD_S):
        return (await process.stdout.readline()).decode().strip()


async def all_final(store: RedisQueue, names: list[str]) -> list[Ticket]:
    """The tickets once all have ended."""
    async with asyncio.timeout(GUARD_S):
        while True:
            tickets = [await store.get(name) for name in names]
            found = [ticket for ticket in tickets if ticket is not None]
            assert len(found) == len(names)
            if all(ticket.status.final for ticket in found):
                return found


@pytest.mark.req("run.queue")
async def test_a_worker_killed_in_the_middle_is_replaced_by_another(tmp_path: Path):
    """Fault 70: kill -9 while two requests run; after the lease somebody else answers both, once."""
    names = ["a", "b", "c"]
    async with queue_of(tmp_path) as (store, _):
        for name in names:
            await store.put(enqueue(name))
        async with worker(tmp_path, "hangs") as doomed:
            assert {await begun(doomed), await begun(doomed)} == {"a", "b"}
            async with worker(tmp_path, "works") as heir:
                assert await begun(heir) == "c"
                os.kill(doomed.pid, signal.SIGKILL)
                tickets = await all_final(store, names)
                assert {await begun(heir), await begun(heir)} == {"a", "b"}
    assert [ticket.status for ticket in tickets] == [TicketStatus.DONE] * 3
    assert [ticket.attempts for ticket in tickets] == [2, 2, 1]
    await asyncio.to_thread(assert_nothing_left, tmp_path)


@pytest.mark.req("run.queue")
async def test_what_was_accepted_survives_a_redis_that_is_killed(tmp_path: Path):
    """Durable: what is on disk is there after kill -9 of Redis, and the workers go on by themselves."""
    names = [f"t{at}" for at in range(20)]
    async with queue_of(tmp_path) as (store, redis):
        for name in names:
            assert isinstance(await store.put(enqueue(name, idempotency=f"k{name}")), Ticket)
        assert await redis.execute_command("WAITAOF", 1, 0, 5_000) == [1, 0]
        _, server = await pids(tmp_path, "redis.state")
        os.kill(server, signal.SIGKILL)
        async with worker(tmp_path, "works"):
            tickets = await until_there(store, names)
    assert {ticket.status for ticket in tickets} == {TicketStatus.DONE}
    await asyncio.to_thread(assert_nothing_left, tmp_path)


async def until_there(store: RedisQueue, names: list[str]) -> list[Ticket]:
    """``all_final``, over the time in which Redis is away."""
    async with asyncio.timeout(GUARD_S):
        while True:
            try:
                return await all_final(store, names)
            except BackendUnavailable:
                await asyncio.sleep(0)
