"""A scripted OpenAI-shaped server on loopback: what it answers is data, what it received is on record.

::

    async with ScriptedProvider() as p:
        p.script(model="a", reply="hi")                                  # every request for "a"
        p.script(Play(status=500), Play(reply="ok"), model="b")          # one failure, then well for ever
        p.script(stream=[*tokens("one ", "two"), RESET], model="c")      # breaks after two tokens
        …  p.url  p.connections  p.requests  await p.wait_requests(2)

Not a model and not a server for anybody else: it listens on 127.0.0.1 and speaks ``/chat/completions`` and
``/models``. Time passes only where a ``Play`` says so, on the ``sleep`` that it is given.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Self

from engine.chaos.http1 import (
    GUARD_S,
    Incoming,
    Received,
    Sleep,
    begin,
    encoded,
    send_stream,
    send_whole,
    unless_left,
)
from engine.chaos.play import (
    DERIVED_USAGE,
    OK,
    PIECES,
    Chooser,
    Item,
    Pause,
    Play,
    chunk,
    finish,
    in_order,
    token,
)

ANY = "*"
ERRORS_FROM = 400


class ScriptedProvider:
    """The server. Models without a script get ``Play()``: the reply "ok"."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, sleep: Sleep = asyncio.sleep, keeps_requests: bool = True
    ) -> None:
        """``keeps_requests``: whether ``requests`` is filled; ``calls`` counts in any case."""
        self.connections = 0
        self.calls: Counter[str] = Counter()
        """Requests by model."""
        self.requests: list[Received] = []
        self.port = 0
        self._tls = tls
        self._sleep = sleep
        self._keeps = keeps_requests
        self._scripts: dict[str, Chooser] = {}
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
        self._scripts[model] = in_order(plays or [Play(**fields)])

    def choose_by(self, chooser: Chooser, model: str = ANY) -> None:
        """Answer requests for ``model`` with what ``chooser`` gives for each; replaces its script."""
        self._scripts[model] = chooser

    def requests_for(self, model: str) -> list[Received]:
        """What was asked of one model."""
        return [request for request in self.requests if request.model == model]

    async def wait_requests(self, count: int) -> list[Received]:
        """Return all requests once there are ``count``; ``TimeoutError`` when they do not come."""
        async with asyncio.timeout(GUARD_S), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    def _play_for(self, request: Received) -> Play:
        if request.path.endswith("/models"):
            return _models(self._scripts)
        chooser = self._scripts.get(request.model) or self._scripts.get(ANY)
        return Play() if chooser is None else chooser()

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
            self.calls[request.model] += 1
            if self._keeps:
                self.requests.append(request)
            async with self._arrived:
                self._arrived.notify_all()
            play = self._play_for(request)
            reusable = await unless_left(_send(play, request, writer, self._sleep), request, incoming)


async def _send(play: Play, request: Received, writer: asyncio.StreamWriter, sleep: Sleep) -> bool:
    if not await begin(play, writer, sleep):
        return False
    streamed = play.stream is not None or (request.json.get("stream") and play.body is None)
    if streamed and play.status == OK:
        items = play.stream if play.stream is not None else _stream_of(play, request)
        return await send_stream(play, items, "text/event-stream", writer, sleep)
    body = play.body if play.body is not None else _completion(play, request)
    data = json.dumps(body).encode() if isinstance(body, Mapping) else encoded(body)
    return await send_whole(play, data, "application/json", writer)


def _stream_of(play: Play, request: Received) -> Iterator[Item]:
    if play.first_token_s:
        yield Pause(play.first_token_s)
    yield token("", role="assistant")
    for number, piece in enumerate(PIECES.findall(play.reply) or [play.reply]):
        if number and play.pace_s:
            yield Pause(play.pace_s)
        yield token(piece)
    asked = bool(request.json.get("stream_options", {}).get("include_usage"))
    yield from finish(play.finish_reason, _usage(play, request) if asked else None)


def _usage(play: Play, request: Received) -> Mapping[str, object] | None:
    if play.usage is not DERIVED_USAGE:
        return play.usage
    sent = sum(len(str(message["content"]).split()) for message in request.json.get("messages", []))
    made = len(PIECES.findall(play.reply))
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def _completion(play: Play, request: Received) -> dict[str, object]:
    if play.status >= ERRORS_FROM:
        return {"error": {"message": f"scripted {play.status}", "type": "scripted", "code": None}}
    message = {"role": "assistant", "content": play.reply}
    return {
        **chunk([{"index": 0, "message": message, "finish_reason": play.finish_reason}]),
        "object": "chat.completion",
        "usage": _usage(play, request),
    }


def _models(scripts: Mapping[str, object]) -> Play:
    data = [{"id": name, "object": "model", "created": 1, "owned_by": "test"} for name in scripts if name != ANY]
    return Play(body={"object": "list", "data": data})
