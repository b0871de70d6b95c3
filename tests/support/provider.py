"""A scripted OpenAI-shaped server on loopback: what it answers is data, what it received is on record.

::

    async with ScriptedProvider() as p:
        p.script(model="a", reply="hi")                                  # every request for "a"
        p.script(Play(status=500), Play(reply="ok"), model="b")          # one failure, then well for ever
        p.script(stream=[*tokens("one ", "two"), RESET], model="c")      # breaks after two tokens
        …  p.url  p.connections  p.requests  await p.wait_requests(2)

Not an HTTP server for anything else: no TLS unless given a context, no pipelining, bodies by Content-Length only.
Nothing in it sleeps; what must wait, waits for an ``asyncio.Event`` that the test sets.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self

import pytest

ANY = "*"
GUARD_S = 5.0
PIECES = re.compile(r"\s*\S+\s*")


class Signal(Enum):
    """What a stream can do instead of sending something."""

    RESET = "reset"  # TCP RST
    CLOSE = "close"  # end of file, without the last chunk that HTTP/1.1 promises
    END = "end"  # a well-formed end of the body, with whatever is missing before it


RESET, CLOSE, END = Signal.RESET, Signal.CLOSE, Signal.END
DONE = "data: [DONE]\n\n"
DERIVED_USAGE: Mapping[str, object] = {"derived": True}
"""Stands for counts that fit the request and the reply: one token a word."""

Item = Mapping[str, object] | str | bytes | asyncio.Event | Signal
"""One step of a stream: a JSON event, raw text or bytes, an event to wait for, or an end."""


def token(text: str | None, **delta: object) -> dict[str, object]:
    """One piece of a streamed answer."""
    return _chunk([{"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}])


def tokens(*pieces: str) -> Iterator[dict[str, object]]:
    """Several of them."""
    return (token(piece) for piece in pieces)


def finish(reason: str | None = "stop", usage: Mapping[str, object] | None = None) -> list[Item]:
    """The end of a well-formed stream: finish marker, usage chunk if there is usage, ``[DONE]``."""
    last: list[Item] = [_chunk([{"index": 0, "delta": {}, "finish_reason": reason}])] if reason else []
    if usage is not None:
        last.append({**_chunk([]), "usage": usage})
    return [*last, DONE]


def error_event(message: str = "upstream fell over", **error: object) -> dict[str, object]:
    """An error sent inside a stream, after HTTP 200."""
    return {"error": {"message": message, **error}}


def _chunk(choices: list[object]) -> dict[str, object]:
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One answer. ``body`` replaces the completion, ``stream`` the events of a streamed one."""

    reply: str = "ok"
    finish_reason: str | None = "stop"
    usage: Mapping[str, object] | None = field(default_factory=lambda: DERIVED_USAGE)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, object] | str | bytes | None = None
    stream: Iterable[Item] | None = None
    gate: asyncio.Event | None = None
    """Nothing is sent before this is set."""
    reset: bool = False
    """Break the connection instead of sending a status line."""


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
        """The body, decoded."""
        return json.loads(self.body or b"{}")

    @property
    def model(self) -> str:
        """Model asked for; empty for requests that name none."""
        return str(self.json.get("model", ""))

    async def wait_disconnected(self, within_s: float = GUARD_S) -> None:
        """Return when the sender has gone; ``TimeoutError`` when it has not by then."""
        async with asyncio.timeout(within_s):
            await self.disconnected.wait()


class ScriptedProvider:
    """The server. Models without a script get ``Play()``: the reply "ok"."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[Received] = []
        self.port = 0
        self._tls = tls
        self._scripts: dict[str, list[Play]] = {}
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
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Base URL as a provider's settings want it."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/v1"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has closed."""
        return len(self._serving)

    def script(self, *plays: Play, model: str = ANY, **fields: Any) -> None:
        """Answer requests for ``model`` with ``plays`` in order, the last one for ever; replaces its script.

        Without plays, ``fields`` are those of a single ``Play``.
        """
        self._scripts[model] = list(plays) or [Play(**fields)]

    def requests_for(self, model: str) -> list[Received]:
        """What was asked of one model."""
        return [request for request in self.requests if request.model == model]

    async def wait_requests(self, count: int) -> list[Received]:
        """Return all requests once there are ``count``; ``TimeoutError`` when they do not come."""
        async with asyncio.timeout(GUARD_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    def _next_play(self, model: str) -> Play:
        script = self._scripts.get(model) or self._scripts.get(ANY) or [Play()]
        return script.pop(0) if len(script) > 1 else script[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            await self._conversation(_Pushback(reader), writer, self.connections)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side left, or the test is over: both are ordinary ends of a connection
        finally:
            writer.transport.abort()
            self._serving.discard(task)

    async def _conversation(self, reader: _Pushback, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            request = await _read_request(reader, number)
            self.requests.append(request)
            async with self._arrived:
                self._arrived.notify_all()
            play = _models(self._scripts) if request.path.endswith("/models") else self._next_play(request.model)
            if not await _play_unless_left(_send(play, request, writer), request, reader):
                return


class _Pushback:
    """A stream reader that can watch for the end of the connection without losing a byte of what comes next."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._kept = b""

    async def head(self) -> bytes:
        kept, self._kept = self._kept, b""
        return kept + await self._reader.readuntil(b"\r\n\r\n")

    async def body(self, size: int) -> bytes:
        return await self._reader.readexactly(size)

    async def left(self) -> bool:
        """Return when the sender closes (true) or sends the next request (false)."""
        try:
            self._kept = await self._reader.read(1)
        except ConnectionError:
            return True
        return not self._kept


async def _read_request(reader: _Pushback, number: int) -> Received:
    head, *lines = (await reader.head()).decode("latin-1").split("\r\n")
    method, path, _ = head.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    body = await reader.body(int(headers.get("content-length", "0")))
    return Received(method=method, path=path, headers=headers, body=body, connection=number)


async def _play_unless_left(play: Any, request: Received, reader: _Pushback) -> bool:
    """Run one answer; whether the connection can carry another. Notices at once when the client goes."""
    playing = asyncio.ensure_future(play)
    watching = asyncio.ensure_future(reader.left())
    try:
        await asyncio.wait((playing, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done() and watching.result():
            request.disconnected.set()
            return False
        reusable = await playing
        request.answered.set()
        return reusable
    finally:
        for task in (playing, watching):
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await task


async def _send(play: Play, request: Received, writer: asyncio.StreamWriter) -> bool:
    if play.gate is not None:
        await play.gate.wait()
    if play.reset:
        return _reset(writer)
    streamed = play.stream is not None or (request.json.get("stream") and play.body is None)
    if not streamed or play.status != 200:
        return await _send_whole(play, request, writer)
    writer.write(_head(play, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
    items = play.stream if play.stream is not None else _stream_of(play, request)
    for item in items:
        if isinstance(item, asyncio.Event):
            await writer.drain()
            await item.wait()
        elif isinstance(item, Signal):
            return await _end(item, writer)
        else:
            data = _encoded(item)
            writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await writer.drain()
            await asyncio.sleep(0)  # let the watcher see a client that has left an endless stream
    return await _end(END, writer)


async def _end(how: Signal, writer: asyncio.StreamWriter) -> bool:
    if how is RESET:
        await asyncio.sleep(0)  # what was written goes out first
        return _reset(writer)
    if how is CLOSE:
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


def _reset(writer: asyncio.StreamWriter) -> bool:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False


async def _send_whole(play: Play, request: Received, writer: asyncio.StreamWriter) -> bool:
    body = play.body if play.body is not None else _completion(play, request)
    data = json.dumps(body).encode() if isinstance(body, Mapping) else _encoded(body)
    writer.write(_head(play, {"content-type": "application/json", "content-length": str(len(data))}) + data)
    await writer.drain()
    return True


def _head(play: Play, headers: Mapping[str, str]) -> bytes:
    merged = {**headers, "connection": "keep-alive", **{k.lower(): v for k, v in play.headers.items()}}
    lines = [f"HTTP/1.1 {play.status} Scripted", *(f"{name}: {value}" for name, value in merged.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _encoded(item: Mapping[str, object] | str | bytes) -> bytes:
    if isinstance(item, bytes):
        return item
    return item.encode() if isinstance(item, str) else f"data: {json.dumps(item)}\n\n".encode()


def _stream_of(play: Play, request: Received) -> Iterator[Item]:
    yield token("", role="assistant")
    yield from tokens(*(PIECES.findall(play.reply) or [play.reply]))
    asked = bool(request.json.get("stream_options", {}).get("include_usage"))
    yield from finish(play.finish_reason, _usage(play, request) if asked else None)


def _usage(play: Play, request: Received) -> Mapping[str, object] | None:
    if play.usage is not DERIVED_USAGE:
        return play.usage
    sent = sum(len(str(message["content"]).split()) for message in request.json.get("messages", []))
    made = len(PIECES.findall(play.reply))
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def _completion(play: Play, request: Received) -> dict[str, object]:
    if play.status >= 400:
        return {"error": {"message": f"scripted {play.status}", "type": "scripted", "code": None}}
    message = {"role": "assistant", "content": play.reply}
    return {
        **_chunk([{"index": 0, "message": message, "finish_reason": play.finish_reason}]),
        "object": "chat.completion",
        "usage": _usage(play, request),
    }


def _models(scripts: Mapping[str, object]) -> Play:
    data = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in scripts if name != ANY]
    return Play(body={"object": "list", "data": data})


def closed_port() -> int:
    """A loopback port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedProvider]:
    """A running provider, for every test (``tests/conftest.py`` imports it)."""
    async with ScriptedProvider() as running:
        yield running
