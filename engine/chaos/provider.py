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
from typing import Any

from engine.chaos.http1 import Received, Sleep, begin, encoded, send_stream, send_whole
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
from engine.chaos.server import LoopbackServer

ANY = "*"
ERRORS_FROM = 400


class ScriptedProvider(LoopbackServer):
    """The server. Models without a script get ``Play()``: the reply "ok"."""

    def __init__(
        self, tls: ssl.SSLContext | None = None, *, sleep: Sleep = asyncio.sleep, keeps_requests: bool = True
    ) -> None:
        """``calls`` counts requests by model, also when ``requests`` is not filled (``keeps_requests``)."""
        super().__init__(tls, sleep=sleep, keeps_requests=keeps_requests)
        self.calls: Counter[str] = Counter()
        self._scripts: dict[str, Chooser] = {}

    @property
    def url(self) -> str:
        """Base URL as a provider's settings want it."""
        return f"{self.origin}/v1"

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

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        if request.path.endswith("/models"):
            play = _models(self._scripts)
        else:
            self.calls[request.model] += 1
            chooser = self._scripts.get(request.model) or self._scripts.get(ANY)
            play = Play() if chooser is None else chooser()
        return await _send(play, request, writer, self._sleep)


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
