"""A scripted MCP server over streamable HTTP, on loopback: one endpoint, sessions by header, answers as events.

Requests are answered as ``text/event-stream``, notifications by 202, and GET (a stream of the server's own
messages) by 405, as the specification allows. See ``mcp_script.py`` for the faults.
"""

from __future__ import annotations

import asyncio
import itertools

from engine.chaos.http1 import Received, send_stream, send_whole
from engine.chaos.mcp_script import McpScript, Then
from engine.chaos.play import END, HANG, RESET, Item, Play
from engine.chaos.server import LoopbackServer

SESSION = "mcp-session-id"
ACCEPTED, UNAUTHORIZED, NOT_FOUND, NOT_ALLOWED = 202, 401, 404, 405


class ScriptedMcp(LoopbackServer):
    """``async with ScriptedMcp(McpScript("hang")) as server:`` — its address is ``server.url``."""

    def __init__(self, script: McpScript) -> None:
        super().__init__()
        self.script = script
        self._sessions = map("session-{}".format, itertools.count())
        self._session = ""
        self._expired = False

    @property
    def url(self) -> str:
        """The one endpoint."""
        return f"{self.origin}/mcp"

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        status = self._refused(request)
        if status:
            return await send_whole(Play(status=status), b"", "text/plain", writer)
        if request.json.get("method") == "initialize":
            self._session = next(self._sessions)
        reply = self.script.answer(request.body)
        headers = {SESSION: self._session}
        if not reply.lines and reply.then is Then.GO_ON:
            return await send_whole(Play(status=ACCEPTED, headers=headers), b"", "text/plain", writer)
        items: list[Item] = [b"event: message\ndata: " + line + b"\n" for line in reply.lines]
        items.append({Then.GO_ON: END, Then.HANG: HANG}.get(reply.then, RESET))
        return await send_stream(Play(headers=headers), items, "text/event-stream", writer, self._sleep)

    def _refused(self, request: Received) -> int:
        """The status of a refusal, or 0."""
        if request.method == "GET":
            return NOT_ALLOWED
        if self.script.fault == "401":
            return UNAUTHORIZED
        if request.json.get("method") == "initialize":
            return 0
        if self.script.fault == "session-expired" and self.script.active and not self._expired:
            self._expired = True
            self._session = ""
        return NOT_FOUND if request.headers.get(SESSION, "") != self._session else 0
