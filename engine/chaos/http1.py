"""Just enough HTTP/1.1 for a scripted server: requests in, answers out, also answers that no proper server gives.

No pipelining, request bodies by Content-Length only. It notices at once when the client leaves.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, cast

from engine.chaos.play import END, HANG, OK, RESET, Item, Pause, Play, Signal

Sleep = Callable[[float], Awaitable[None]]
GUARD_S = 5.0


@dataclass(eq=False, slots=True, kw_only=True)
class Received:
    """One request as it arrived, and whether its sender left before the answer was complete."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    disconnected: asyncio.Event = field(default_factory=asyncio.Event)
    answered: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> dict[str, Any]:
        """The body, decoded; empty when it is no JSON object."""
        try:
            found = json.loads(self.body or b"{}")
        except ValueError:
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    @property
    def model(self) -> str:
        """Model asked for; empty for requests that name none."""
        return str(self.json.get("model", ""))

    async def wait_disconnected(self, within_s: float = GUARD_S) -> None:
        """Return when the sender has gone; ``TimeoutError`` when it has not by then."""
        async with asyncio.timeout(within_s):
            await self.disconnected.wait()


class Incoming:
    """A stream reader that can watch for the end of the connection without losing a byte of what comes next."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._kept = b""

    async def request(self, connection: int) -> Received:
        """The next request. Raises ``IncompleteReadError`` when there is none."""
        kept, self._kept = self._kept, b""
        raw = kept + await self._reader.readuntil(b"\r\n\r\n")
        head, *lines = raw.decode("latin-1").split("\r\n")
        method, path, _ = head.split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines) if k}
        body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method=method, path=path, headers=headers, body=body, connection=connection)

    async def left(self) -> bool:
        """Return when the sender closes (true) or sends the next request (false)."""
        try:
            self._kept = await self._reader.read(1)
        except ConnectionError:
            return True
        return not self._kept


async def unless_left(sending: Coroutine[object, object, bool], request: Received, incoming: Incoming) -> bool:
    """Run one answer; whether the connection can carry another."""
    playing = asyncio.ensure_future(sending)
    watching = asyncio.ensure_future(incoming.left())
    try:
        await asyncio.wait((playing, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and watching.result():
            request.disconnected.set()
            return False
        reusable = await playing
    except ConnectionError:
        request.disconnected.set()  # writing noticed it before reading did
        return False
    else:
        request.answered.set()
        return reusable
    finally:
        for task in (playing, watching):
            task.add_done_callback(_seen)
            task.cancel()
        # Not `await task`: that could not tell the end of the task from a cancellation of our own.
        await asyncio.wait((playing, watching))


def _seen(task: asyncio.Future[bool]) -> None:
    if not task.cancelled():
        task.exception()  # looked at: a connection that broke while nobody waited is no news


async def begin(play: Play, writer: asyncio.StreamWriter, sleep: Sleep) -> bool:
    """What comes before the status line; whether one may follow."""
    if play.gate is not None:
        await play.gate.wait()
    if play.delay_s:
        await sleep(play.delay_s)
    if play.hang:
        await _for_ever()
    if play.reset:
        reset(writer)
    return not play.reset


async def send_whole(play: Play, data: bytes, content_type: str, writer: asyncio.StreamWriter) -> bool:
    """A body of known length; whether the connection can carry another."""
    writer.write(_head(play, {"content-type": content_type, "content-length": str(len(data))}) + data)
    await writer.drain()
    return True


async def send_stream(
    play: Play, items: Iterable[Item], content_type: str, writer: asyncio.StreamWriter, sleep: Sleep
) -> bool:
    """A body in chunks, each as soon as it is due; whether the connection can carry another."""
    writer.write(_head(play, {"content-type": content_type, "transfer-encoding": "chunked"}))
    for item in items:
        if isinstance(item, Signal):
            return await _end(item, writer)
        if isinstance(item, asyncio.Event | Pause):
            await writer.drain()
            await (item.wait() if isinstance(item, asyncio.Event) else sleep(item.seconds))
            continue
        data = encoded(item)
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
        await asyncio.sleep(0)  # let the watcher see a client that has left an endless stream
    return await _end(END, writer)


async def _end(how: Signal, writer: asyncio.StreamWriter) -> bool:
    await writer.drain()
    if how is HANG:
        await _for_ever()
    if how is RESET:
        await asyncio.sleep(0)  # what was written goes out first
        reset(writer)
        return False
    if how is END:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def _for_ever() -> None:
    await asyncio.Event().wait()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP RST, whatever was still to be sent."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):  # a unix socket has no such option
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def encoded(item: Mapping[str, object] | str | bytes) -> bytes:
    """An item of a stream as it goes out: events get a ``data:`` line, texts and bytes are sent as they are."""
    if isinstance(item, bytes):
        return item
    return item.encode() if isinstance(item, str) else f"data: {json.dumps(item)}\n\n".encode()


def _head(play: Play, headers: Mapping[str, str]) -> bytes:
    merged = {**headers, "connection": "keep-alive", **{k.lower(): v for k, v in play.headers.items()}}
    word = "OK" if play.status == OK else "Scripted"
    lines = [f"HTTP/1.1 {play.status} {word}", *(f"{name}: {value}" for name, value in merged.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
