"""Standard input as bytes, read while the event loop goes on.

Not ``asyncio.to_thread`` and not ``sys.stdin``: leaving would wait for a thread that waits for a person, and
Python dies when it ends while a thread holds the buffer of ``sys.stdin``. So: a daemon thread and ``os.read``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread

_PIECE = 65_536
_Wanted = tuple[Callable[[], bytes], asyncio.Future[bytes]]


class Stdin:
    """What this process is given to read. Reads only when asked, and never keeps more than the caller's limit."""

    def __init__(self) -> None:
        self._fd = -1 if sys.stdin is None else sys.stdin.fileno()  # pyright: ignore[reportUnnecessaryComparison] - None when closed by the shell
        self._rest = b""
        self._wanted: SimpleQueue[_Wanted] = SimpleQueue()
        self._thread: Thread | None = None

    async def everything(self, limit: int) -> str:
        """All of it. Raises ``InvalidInput`` beyond ``limit`` bytes, without reading on."""
        return _text(await self._ask(lambda: self._take_all(limit + 1)), limit)

    async def line(self, limit: int) -> str:
        """The next line without its newline; empty at the end. Raises ``InvalidInput`` beyond ``limit`` bytes."""
        return _text(await self._ask(lambda: self._take_line(limit + 1)), limit)

    async def _ask(self, take: Callable[[], bytes]) -> bytes:
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="stdin", daemon=True)
            self._thread.start()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._wanted.put((take, answer))
        return await answer

    def _serve(self) -> None:
        while True:
            take, answer = self._wanted.get()
            found = take()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                answer.get_loop().call_soon_threadsafe(_settle, answer, found)

    def _take_all(self, limit: int) -> bytes:
        found = bytearray()
        while len(found) < limit and (piece := self._piece()):
            found += piece
        return bytes(found[:limit])

    def _take_line(self, limit: int) -> bytes:
        found = bytearray()
        while piece := self._piece():
            head, newline, self._rest = piece.partition(b"\n")
            found += head[: max(0, limit - len(found))]
            if newline:
                break
        return bytes(found)

    def _piece(self) -> bytes:
        """What is left of the last read, else the next; empty at the end of input."""
        if self._rest:
            piece, self._rest = self._rest, b""
            return piece
        try:
            return os.read(self._fd, _PIECE)
        except OSError:  # closed, or a terminal that has gone away
            return b""


def _text(found: bytes, limit: int) -> str:
    """Bytes that are no UTF-8 stay recognisable, so that admission refuses them by name."""
    from engine.errors import InvalidInput  # noqa: PLC0415 - keeps --help light

    if len(found) > limit:
        raise InvalidInput(
            f"standard input holds more than the {limit:,} bytes that are taken",
            hint="shorten it, or raise request.prompt_bytes_max",
            code="prompt_too_large",
        )
    return found.decode("utf-8", "surrogateescape")


def _settle(answer: asyncio.Future[bytes], found: bytes) -> None:
    if not answer.done():
        answer.set_result(found)
