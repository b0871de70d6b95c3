"""A process that works on the queue of a data folder: ``python -m tests.support.queue_worker FOLDER hangs|works``.

Writes the id of each request that it begins. One that ``hangs`` never finishes any.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from configs.settings import EmbeddedSettings, QueueSettings, RedisSettings
from engine.queue.contract import Hook
from engine.queue.redis_queue import RedisQueue
from engine.queue.stored import QueuedRequest
from engine.queue.worker import QueueWorker
from engine.redis_client import connect
from engine.types import Answer
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_state
from tests.support.queues import ANSWER

SETTINGS = QueueSettings(lease_s=1.0, poll_s=0.02, concurrency=2, deliveries_max=1_000, retry_s=0.01)


async def work(folder: Path, hangs: bool) -> None:
    """Work until killed."""
    attachment = await attach(redis_state(), folder, EmbeddedSettings())
    client = connect(attachment.address, attachment.secret, RedisSettings(timeout_s=5))

    async def execute(request: QueuedRequest) -> Answer:
        sys.stdout.write(f"{request.id}\n")
        sys.stdout.flush()
        if hangs:
            await asyncio.Event().wait()
        return ANSWER

    async def post(hook: Hook) -> bool:
        return True

    await QueueWorker(RedisQueue(client, SETTINGS), execute, post, SETTINGS).run()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), sys.argv[2] == "hangs"))
