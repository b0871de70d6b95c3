"""Identical misses at once: how many calls reach the provider, from one process and from several on one cache.

``python -m engine.bench.cache_flight`` is one of them: settings on its first line of stdin, then on each line how
often to ask at once; it says how many different answers that gave. The provider counts, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from configs.settings import Settings
from engine.app import Engine
from engine.bench.ours import AGENT, Replica, settings_for
from engine.bench.peers import PRIMARY, Targets
from engine.bench.upstream import Manner, end_child, open_upstream
from engine.errors import BenchFailed

MISSES: Final = 1_000
CALL_S: Final = 0.5
"""What the call takes that all of them wait for."""
PATIENCE_S: Final = 10.0
"""With the cache: a machine that is busy elsewhere makes figures worse, it does not make the cache a dead one."""
ROOM_MB: Final = 1_024
"""Of a benchmark's own Redis: nothing is to be evicted while figures are taken."""
QUESTION: Final = "What takes so long?"


async def upstream_calls(settings: Settings, folder: Path, processes: int) -> int:
    """Calls that ``MISSES`` identical misses make, spread over so many processes. Raises ``BenchFailed``."""
    async with open_upstream(PRIMARY) as upstream, AsyncExitStack() as stack:
        await upstream.answer(**{PRIMARY: Manner(delay_s=CALL_S)})
        ours = settings_for(settings, Targets(urls=upstream.urls, timeout_s=PATIENCE_S), folder)
        said = alone(ours, folder).model_dump(mode="json")
        members: list[Replica] = []
        for _ in range(processes):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "engine.bench.cache_flight", stdin=PIPE, stdout=PIPE
            )
            stack.push_async_callback(end_child, child)
            members.append(Replica(child))
        await asyncio.gather(*(member.tell(said) for member in members))
        different = await asyncio.gather(*(member.tell(MISSES // processes) for member in members))
        if set(different) != {1}:
            raise BenchFailed("identical questions did not get identical answers")
        return await upstream.calls(PRIMARY)


def alone(settings: Settings, folder: Path) -> Settings:
    """The cache switched on and embedded in ``folder``, with room: nothing of the user's own is touched."""
    own = {"cache_url": None, "state_url": None, "cache_max_mb": ROOM_MB, "timeout_s": PATIENCE_S}
    return settings.model_copy(
        update={
            "data_dir": folder,
            "redis": settings.redis.model_copy(update=own),
            "cache": settings.cache.model_copy(update={"enabled": True}),
        }
    )


async def serve() -> None:
    """The child: an engine, and for each line the number of different answers to so many asks."""
    settings = Settings.model_validate(json.loads(await asyncio.to_thread(sys.stdin.readline)))
    async with Engine.open(settings=settings) as engine:
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = (engine.execute(QUESTION, user_id="bench", agent=AGENT.name) for _ in range(json.loads(line)))
            _say(len({answer.text for answer in await asyncio.gather(*asked)}))


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.disable()
    asyncio.run(serve())
