"""A TCP proxy on loopback that misbehaves on demand: for stores, and for everything below HTTP.

The toxics are toxiproxy's, by the same names, each for one direction or both, changed while connections are open.
Latency is drawn from a seeded source, so that a rehearsal repeats. Bytes are late, cut or lost, never altered.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self

from engine.chaos.http1 import Sleep, reset

Direction = Literal["up", "down", "both"]
PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the proxied server listens: a unix socket, or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A fresh connection. Raises ``OSError``."""
        if self.path:
            return await asyncio.open_unix_connection(self.path)
        return await asyncio.open_connection(self.host, self.port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What is wrong with one direction; all of it at once where several are set. Zero is off."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """Up to this much more or less than ``latency_s``, uniformly."""
    bandwidth: float = 0.0
    """Bytes a second."""
    slice_bytes: int = 0
    """Pieces of this size, each sent by itself."""
    limit_bytes: int = 0
    """After this many bytes the connection is closed."""
    swallow: bool = False
    """Bytes vanish and the connection stays open (toxiproxy: ``timeout``)."""
    reset: bool = False
    """The first byte is answered by a TCP RST (``reset_peer``)."""
    slow_close_s: float = 0.0
    """How long the end of a connection is held back."""


HEALTHY = Toxics()


class ToxicProxy:
    """``async with ToxicProxy(address, seed=7) as proxy:`` — connect to ``proxy.port`` instead of ``address``."""

    def __init__(self, upstream: Address, *, seed: int, sleep: Sleep = asyncio.sleep) -> None:
        self.upstream = upstream
        self.port = 0
        self.connections = 0
        """Connections accepted so far."""
        self.is_down = False
        self._toxics: dict[str, Toxics] = {"up": HEALTHY, "down": HEALTHY}
        self._random = random.Random(seed)  # noqa: S311 - a repeatable delay, not a secret
        self._sleep = sleep
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    def set(self, toxics: Toxics, direction: Direction = "both") -> None:
        """Change what is wrong, from now on, for open connections too."""
        for way in ("up", "down") if direction == "both" else (direction,):
            self._toxics[way] = toxics

    async def down(self) -> None:
        """Refuse new connections and drop the open ones, until ``up``."""
        self.is_down = True
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def up(self) -> None:
        """Listen again, on the same port."""
        if self.is_down:
            self.is_down = False
            await self._listen()

    @property
    def open_connections(self) -> int:
        """Connections under way."""
        return len(self._serving)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs every connection in a task
        self._serving.add(task)
        self.connections += 1
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await self.upstream.connect()
            ways = [
                asyncio.create_task(self._carry("up", reader, far, writer)),
                asyncio.create_task(self._carry("down", far_reader, writer, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.wait(ways)
            await _close(far)
            await _close(writer)
        except (OSError, asyncio.CancelledError):
            pass  # nobody there, or the proxy goes down: both end this connection and nothing else
        finally:
            for side in (writer, far):
                if side is not None:
                    side.transport.abort()
            self._serving.discard(task)

    async def _carry(
        self, way: str, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter
    ) -> None:
        """Move bytes one way until an end, or until a toxic makes one."""
        carried = 0
        with suppress(OSError):
            while data := await source.read(PIECE_BYTES):
                toxics = self._toxics[way]
                if toxics.swallow:
                    continue
                if toxics.reset:
                    reset(client)
                    return
                await self._late(toxics)
                if toxics.limit_bytes:
                    data = data[: max(0, toxics.limit_bytes - carried)]
                carried += len(data)
                await self._send(toxics, data, sink)
                if toxics.limit_bytes and carried >= toxics.limit_bytes:
                    return
            if self._toxics[way].slow_close_s:
                await self._sleep(self._toxics[way].slow_close_s)

    async def _late(self, toxics: Toxics) -> None:
        wait_s = toxics.latency_s
        if toxics.jitter_s:
            wait_s += self._random.uniform(-toxics.jitter_s, toxics.jitter_s)
        if wait_s > 0:
            await self._sleep(wait_s)

    async def _send(self, toxics: Toxics, data: bytes, sink: asyncio.StreamWriter) -> None:
        step = toxics.slice_bytes or len(data)
        for start in range(0, len(data), step or 1):
            piece = data[start : start + step]
            sink.write(piece)
            await sink.drain()
            if toxics.bandwidth:
                await self._sleep(len(piece) / toxics.bandwidth)
            elif toxics.slice_bytes:
                await asyncio.sleep(0)


async def _close(side: asyncio.StreamWriter) -> None:
    """Send what is left, then the end."""
    side.close()
    with suppress(OSError):
        await side.wait_closed()
