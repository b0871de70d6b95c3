"""A process that uses embedded backends: ``python -m tests.support.embedded_user FOLDER NAMES [PHASE]``.

Prints one JSON line with what it got, leaves when its standard input ends. With PHASE it kills itself
with SIGKILL as soon as an attachment reports that phase.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from configs.settings import EmbeddedSettings
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_cache, redis_state
from memory.embedded.values import Progress

SPECS = {"redis.state": redis_state(), "redis.cache": redis_cache(16)}


async def main(folder: Path, names: list[str], deadly_phase: str | None) -> None:
    """Attach, tell, wait, leave."""

    def watch(progress: Progress) -> None:
        if progress.phase == deadly_phase:
            os.kill(os.getpid(), signal.SIGKILL)

    async with AsyncExitStack() as stack:
        got: dict[str, str] = {}
        for name in names:
            attachment = await attach(SPECS[name], folder, EmbeddedSettings(), progress=watch)
            await stack.enter_async_context(attachment)
            got[name] = attachment.address
        sys.stdout.write(json.dumps(got) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3] if len(sys.argv) > 3 else None))
