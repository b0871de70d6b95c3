"""A loopback server for one kind of scripted answers: listening, connections, a record of what arrived.

What is answered is the subclass's (``provider.py``, ``mcp_http.py``).
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from typing import Self

from engine.chaos.http1 import GUARD_S, Incoming, Received, Sleep, unless_left


class LoopbackServer(ABC):
    """Listens on 127.0.0.1 while it is entered."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, sleep: Sleep = asyncio.sleep, keeps_requests: bool = True
    ) -> None:
        """``sleep`` is what the server's pauses pass on; ``keeps_requests``: whether ``requests`` is filled."""
        self.connections = 0
        self.requests: list[Received] = []
        self.port = 0
        self._sleep = sleep
        self._tls = tls
        self._keeps = keeps_requests
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[object]] = set()
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Stop listening and drop every connection: from now on the port is closed."""
        if self._server is None:
            return
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        return len(self._serving)

    async def wait_requests(self, count: int) -> list[Received]:
        """Return all requests once there are ``count``; ``TimeoutError`` when they do not come."""
        async with asyncio.timeout(GUARD_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    @abstractmethod
    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection can carry another."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs every connection in a task
        self._serving.add(task)
        self.connections += 1
        try:
            await self._conversation(Incoming(reader), writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side left, or the server stops: both are ordinary ends of a connection
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _conversation(self, incoming: Incoming, writer: asyncio.StreamWriter, number: int) -> None:
        reusable = True
        while reusable:
            request = await incoming.request(number)
            if self._keeps:
                self.requests.append(request)
                async with self._arrived:
                    self._arrived.notify_all()
            reusable = await unless_left(self._answer(request, writer), request, incoming)
