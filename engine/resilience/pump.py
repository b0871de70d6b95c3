"""One task that opens, reads and closes one upstream iterator, so that its reader may time out, leave or vanish.

Why a task: libraries tie cancel scopes to the task that entered them, while the reader of a stream and whoever
closes it may be different tasks; and a cancelled call may take for ever to clean up, which only somebody outside
of it can decline to wait for. Not a queue for general use: one reader, a few items of read-ahead.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from enum import Enum
from typing import Final, Generic, Literal, TypeVar

T = TypeVar("T")


class End(Enum):
    """The end of a stream, which no item can be mistaken for."""

    END = "end"


END: Final = End.END


class Pump(Generic[T]):
    """Reads ahead by at most ``read_ahead`` items. Must be made inside a running loop; ``close`` it always."""

    def __init__(self, open_stream: Callable[[], AsyncIterator[T]], read_ahead: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready: deque[T] = deque()
        self._read_ahead = read_ahead
        self._closing = False
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self.task = self._loop.create_task(self._run(open_stream), name="switchgear-call")
        self.task.add_done_callback(self._ended)

    async def wait(self, timeout_s: float) -> bool:
        """Whether there is something to ``take`` within ``timeout_s``."""
        if not self._ready and not self.task.done():
            self._arrival = self._loop.create_future()
            timer = self._loop.call_later(timeout_s, _wake, self._arrival)
            try:
                await self._arrival
            finally:
                timer.cancel()
                self._arrival = None
        return bool(self._ready) or self.task.done()

    def take(self) -> T | Literal[End.END]:
        """The next item, or ``END``; raises what the upstream raised. Only after ``wait`` said so."""
        if self._ready:
            _wake(self._room)
            return self._ready.popleft()
        self.task.result()
        return END

    def stop(self) -> None:
        """Stop reading and begin to close the upstream, without waiting for it."""
        if not self.task.done() and not self._closing:
            self._closing = True
            self.task.cancel()

    async def close(self, patience_s: float) -> bool:
        """Stop reading and close the upstream; whether that ended within ``patience_s``."""
        self.stop()
        if not self.task.done():
            await asyncio.wait((self.task,), timeout=patience_s)
        return self.task.done()

    async def _run(self, open_stream: Callable[[], AsyncIterator[T]]) -> None:
        upstream = open_stream()
        try:
            async for item in upstream:
                if self._closing:  # it swallowed the cancellation
                    break
                self._ready.append(item)
                _wake(self._arrival)
                while len(self._ready) >= self._read_ahead:
                    self._room = self._loop.create_future()
                    await self._room
        finally:
            aclose = getattr(upstream, "aclose", None)
            if aclose is not None:
                await aclose()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # seen here, so that an error nobody waits for is not reported as forgotten
        _wake(self._arrival)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
