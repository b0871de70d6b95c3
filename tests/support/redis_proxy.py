"""A gate between a client and a real Redis that can shut, hang, swallow replies or answer with errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from urllib.parse import unquote, urlsplit

STEP = b"EVALSHA\r\n"
READ = 1 << 16


class Gate(Enum):
    """What happens to commands."""

    OPEN = "open"
    SHUT = "shut"  # connections are cut, new ones refused by closing at once
    HANGING = "hanging"  # commands are read and never answered
    MUTE = "mute"  # commands are carried out, the connection is cut instead of the reply
    SLOW = "slow"  # commands are carried out, the replies never come


class Proxy:
    """One listening port in front of one Redis. ``steps`` counts the breaker steps that arrived."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = unquote(parts.path)
        self._secret = parts.password
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.gate = Gate.OPEN
        self.error = b""
        """With this line every step is answered."""
        self.errors_left = 0
        self.steps = 0
        self.connections = 0
        self._came = asyncio.Event()

    @property
    def url(self) -> str:
        """Where clients connect to."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"redis://:{self._secret}@127.0.0.1:{port}"

    def answer(self, error: str, times: int) -> None:
        """Answer the next ``times`` steps with an error."""
        self.error, self.errors_left = f"-{error}\r\n".encode(), times

    def set(self, gate: Gate) -> None:
        """Change what happens from now on; shutting cuts every connection."""
        self.gate = gate
        if gate is Gate.SHUT:
            for writer in self._writers:
                writer.close()

    async def arrived(self, steps: int) -> None:
        """Wait until so many steps came in while hanging, or had their effect while slow."""
        await self._came.wait()
        assert self.steps >= steps

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Cut everything and wait for it."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _ in range(3):  # transports close in the loop's next rounds
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        upstream: asyncio.StreamWriter | None = None
        back: asyncio.Task[None] | None = None
        try:
            if self.gate is Gate.SHUT:
                return
            from_redis, upstream = await asyncio.open_unix_connection(self._socket)
            self._writers |= {writer, upstream}
            back = asyncio.create_task(self._back(from_redis, writer))
            self._tasks.add(back)
            with suppress(OSError):
                await self._forth(reader, upstream, writer)
        finally:
            if back is not None:
                back.cancel()
            for end in (writer, upstream):
                if end is not None:
                    self._writers.discard(end)
                    end.close()

    async def _forth(
        self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(READ):
            steps = data.count(STEP)
            self.steps += steps
            if self.gate is Gate.HANGING:
                self._came.set()
                continue
            if steps and self.errors_left > 0:
                self.errors_left -= 1
                writer.write(self.error * steps)
                continue
            upstream.write(data)

    async def _back(self, from_redis: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await from_redis.read(READ):
            if self.gate is Gate.MUTE:
                writer.close()
                return
            if self.gate is Gate.SLOW:
                self._came.set()
                continue
            writer.write(data)


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """A proxy in front of the Redis at ``url`` (a unix socket)."""
    proxy = Proxy(url)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
