"""Scripted providers in a process of their own, so that their work is not measured as the client's.

The parent says how each of them answers and gets back what it was asked since it last said so: the count of calls
is the server's, not what a client believes to have sent. ``python -m engine.bench.upstream`` is the child.
"""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

from engine.chaos.http1 import Received, send_whole
from engine.chaos.play import OK, Play
from engine.chaos.provider import ScriptedProvider
from engine.errors import BenchFailed

BUSY = Play(status=503, headers={"retry-after": "1"})
BUSY_BODY = b'{"error": {"message": "at capacity", "type": "server_error", "code": null}}'
STOP_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a provider answers. Times in seconds."""

    delay_s: float = 0.0
    """Before the status line."""
    status: int = OK
    hang: bool = False
    """Takes the request and never answers."""
    places: int = 0
    """Requests it works on at once; 0: any number."""
    line: int = 0
    """Requests that wait for a place; it answers 503 to those beyond. Counts only with ``places``."""


@dataclass(slots=True, kw_only=True)
class Upstream:
    """The parent's side of a running child."""

    urls: Mapping[str, str]
    """Base URL by name."""
    _child: Process
    _asking: asyncio.Lock

    async def answer(self, **manners: Manner) -> dict[str, int]:
        """Let the named ones answer so from now on; calls that each was asked since the last time.

        Raises ``BenchFailed`` when the child is gone.
        """
        async with self._asking:
            counts = await _exchange(self._child, {name: asdict(manner) for name, manner in manners.items()})
        return {name: int(count) for name, count in counts.items()}

    async def calls(self, name: str) -> int:
        """Calls since the last time that anything was asked of this object."""
        return (await self.answer())[name]


@asynccontextmanager
async def open_upstream(*names: str) -> AsyncGenerator[Upstream]:
    """One provider per name, all in one child process; they end with the block, and with this process."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "engine.bench.upstream", *names, stdin=PIPE, stdout=PIPE
    )
    try:
        urls = await _exchange(child, None)
        yield Upstream(urls={name: str(url) for name, url in urls.items()}, _child=child, _asking=asyncio.Lock())
    finally:
        await end_child(child)


async def end_child(child: Process) -> None:
    """Close its stdin, which ends it; kill it when that does not."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


async def _exchange(child: Process, said: object) -> dict[str, str]:
    if child.stdin is None or child.stdout is None:
        raise BenchFailed("the child process has no pipes")
    if said is not None:
        child.stdin.write(json.dumps(said).encode() + b"\n")
        await child.stdin.drain()
    line = await child.stdout.readline()
    if not line:
        raise BenchFailed(f"the scripted provider ended with exit code {await child.wait()}")
    return cast("dict[str, str]", json.loads(line))


class CrowdedProvider(ScriptedProvider):
    """A provider with room for so many requests at once."""

    def __init__(self) -> None:
        super().__init__(keeps_requests=False)
        self.manner = Manner()
        self.asked = 0
        self._present = 0
        self._places = asyncio.Semaphore()

    def behave(self, manner: Manner) -> int:
        """Answer so from now on; calls since the last time."""
        self.script(status=manner.status, delay_s=manner.delay_s, hang=manner.hang, reply="A scripted answer.")
        self.manner = manner
        self._places = asyncio.Semaphore(max(1, manner.places))
        asked, self.asked = self.asked, 0
        return asked

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        self.asked += 1
        manner, places = self.manner, self._places
        if not manner.places:
            return await super()._answer(request, writer)
        if self._present >= manner.places + manner.line:
            return await send_whole(BUSY, BUSY_BODY, "application/json", writer)
        self._present += 1
        try:
            async with places:
                return await super()._answer(request, writer)
        finally:
            self._present -= 1


async def serve(names: tuple[str, ...]) -> None:
    """The child: providers until stdin ends, one JSON line back for each that comes in."""
    async with AsyncExitStack() as stack:
        providers = {name: await stack.enter_async_context(CrowdedProvider()) for name in names}
        _say({name: provider.url for name, provider in providers.items()})
        while line := await asyncio.to_thread(sys.stdin.readline):
            manners = cast("dict[str, dict[str, Any]]", json.loads(line))
            counts: dict[str, int] = {}
            for name, provider in providers.items():
                manner = Manner(**manners[name]) if name in manners else provider.manner
                counts[name] = provider.behave(manner)
            _say(counts)


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(tuple(sys.argv[1:])))
