"""The scripted MCP server speaks the protocol when it is well, and breaks it in the way each fault says."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from engine.chaos import killer
from engine.chaos.mcp_http import ScriptedMcp
from engine.chaos.mcp_script import HUGE_BYTES, MCP_FAULTS, NOISE, McpScript, Then
from engine.errors import UnknownName
from tests.support.embedded import ROOT

INITIALIZE = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HTTP_ONLY = {"401", "session-expired", "sse-drop"}


def call(number: int = 7, text: str = "hi") -> dict[str, Any]:
    """A call of the one tool."""
    params = {"name": "echo", "arguments": {"text": text}}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def said(script: McpScript, message: dict[str, Any]) -> list[dict[str, Any]]:
    """What a message is answered with, decoded."""
    return [json.loads(line) for line in script.answer(json.dumps(message).encode() + b"\n").lines]


def test_a_well_server_shakes_hands_lists_its_tool_and_echoes() -> None:
    """Version, capabilities, schema and content as the protocol has them; notifications get no answer."""
    script = McpScript("well")
    (hello,) = said(script, INITIALIZE)
    (tools,) = said(script, LIST)
    (result,) = said(script, call())
    (unknown,) = said(script, {"jsonrpc": "2.0", "id": 3, "method": "resources/list"})
    assert (hello["id"], hello["result"]["protocolVersion"]) == (0, "2025-06-18")
    assert hello["result"]["capabilities"] == {"tools": {"listChanged": True}}
    assert [tool["name"] for tool in tools["result"]["tools"]] == ["echo"]
    assert result == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"content": [{"type": "text", "text": "hi"}], "isError": False},
    }
    assert unknown["error"]["code"] == -32601
    assert (said(script, INITIALIZED), said(script, {"id": 1}), script.answer(b"not json").lines) == ([], [], ())


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("is-error", {"id": 7, "isError": True}),
        ("method-not-found", {"id": 7, "code": -32601}),
        ("invalid-params", {"id": 7, "code": -32602}),
        ("wrong-id", {"id": "not-7", "isError": False}),
    ],
)
def test_an_answer_is_wrong_in_the_way_its_fault_says(fault: str, expected: dict[str, Any]) -> None:
    """Errors of the tool, of the protocol, and an answer to nobody's question."""
    (message,) = said(McpScript(fault), call())
    inner = message.get("result") or message.get("error")
    assert {"id": message["id"], **{key: inner[key] for key in expected if key != "id"}} == expected


def test_garbled_double_endless_and_missing_answers() -> None:
    """What is no JSON, what comes twice, what is far too large, and what never comes."""
    line = json.dumps(call()).encode()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(McpScript("malformed").answer(line).lines[0])
    assert [m["id"] for m in said(McpScript("two-answers"), call())] == [7, 7]
    noise, good = McpScript("noise").answer(line).lines
    assert (noise, json.loads(good)["id"]) == (NOISE, 7)
    assert len(McpScript("huge-result").answer(line).lines[0]) > HUGE_BYTES
    assert (McpScript("hang").answer(line).lines, McpScript("hang").answer(line).then) == ((), Then.HANG)


def test_a_tool_changes_under_its_name() -> None:
    """The second list has another description and another schema: what a pin has to notice (fault 53)."""
    script = McpScript("tools-changed")
    (first,), (second,) = said(script, LIST), said(script, LIST)
    before, after = first["result"]["tools"][0], second["result"]["tools"][0]
    assert before["name"] == after["name"]
    assert before["description"] != after["description"]
    assert before["inputSchema"] != after["inputSchema"]


def test_a_fault_may_begin_late() -> None:
    """The first calls are answered well."""
    script = McpScript("is-error", after=2)
    assert [said(script, call())[0]["result"]["isError"] for _ in range(4)] == [False, False, True, True]
    with pytest.raises(UnknownName):
        McpScript("no-such-fault")


@contextmanager
def process(*arguments: str) -> Generator[subprocess.Popen[bytes]]:
    """The server as a process, gone at the end."""
    command = (sys.executable, "-m", "engine.chaos.mcp_server", *arguments)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as running:
        try:
            yield running
        finally:
            killer.kill(running)


def exchange(running: subprocess.Popen[bytes], *messages: dict[str, Any]) -> list[bytes]:
    """Send messages and close stdin; every line that came back."""
    out, _ = running.communicate(b"".join(json.dumps(m).encode() + b"\n" for m in messages), timeout=30)
    return out.splitlines()


def test_over_stdio_a_whole_session_is_lines_of_json() -> None:
    """Three requests and a notification are three answers in order, and nothing else on stdout."""
    with process("well") as running:
        lines = exchange(running, INITIALIZE, INITIALIZED, LIST, call())
        assert [json.loads(line)["id"] for line in lines] == [0, 1, 7]
        assert running.returncode == 0


@pytest.mark.parametrize(("fault", "answers"), [("exit-at-start", 0), ("exit-mid-call", 2)])
def test_a_server_that_exits_leaves_in_the_middle(fault: str, answers: int) -> None:
    """With an exit code that says so, and without the answer that is waited for."""
    with process(fault) as running:
        assert len(exchange(running, INITIALIZE, call(), call())) == (1 if answers else 0)
        assert running.returncode == 3


def test_a_process_is_stopped_woken_and_killed_by_its_handle() -> None:
    """A stopped server answers nothing until it is woken; a killed one is gone, and may be killed again."""
    with process("well") as running:
        assert running.stdin is not None
        assert running.stdout is not None
        killer.stop(running)
        running.stdin.write(json.dumps(LIST).encode() + b"\n")
        running.stdin.flush()
        assert os.WIFSTOPPED(os.waitpid(running.pid, os.WUNTRACED)[1])
        killer.resume(running)
        assert json.loads(running.stdout.readline())["id"] == 1
        killer.kill(running)
        assert running.wait(timeout=30) == -signal.SIGKILL
        killer.kill(running)


class Client:
    """The least that streamable HTTP asks of a client."""

    def __init__(self, server: ScriptedMcp, http: httpx.AsyncClient) -> None:
        self._server = server
        self._http = http
        self.session = ""

    async def send(self, message: dict[str, Any]) -> httpx.Response:
        """One POST, with the session once there is one."""
        headers = {"accept": "application/json, text/event-stream", "mcp-session-id": self.session}
        answer = await self._http.post(self._server.url, json=message, headers=headers)
        self.session = answer.headers.get("mcp-session-id", self.session)
        return answer


async def test_over_http_requests_are_answered_as_events_within_a_session() -> None:
    """The session id comes with the first answer and is asked for in every later request."""
    async with ScriptedMcp(McpScript("well")) as server, httpx.AsyncClient(trust_env=False) as http:
        client = Client(server, http)
        hello = await client.send(INITIALIZE)
        accepted = await client.send(INITIALIZED)
        answer = await client.send(call())
        stranger = await Client(server, http).send(call())
        opened = await http.get(server.url)
    assert (hello.headers["content-type"], client.session) == ("text/event-stream", "session-0")
    assert (accepted.status_code, accepted.content) == (202, b"")
    assert json.loads(answer.text.removeprefix("event: message\ndata: "))["result"]["isError"] is False
    assert (stranger.status_code, opened.status_code) == (404, 405)


async def test_over_http_a_session_expires_once_and_can_be_made_anew() -> None:
    """404 until initialize is sent again (fault 55)."""
    script = McpScript("session-expired", after=1)
    async with ScriptedMcp(script) as server, httpx.AsyncClient(trust_env=False) as http:
        client = Client(server, http)
        await client.send(INITIALIZE)
        seen = [
            (await client.send(message)).status_code for message in (call(), call(), call(), INITIALIZE, call())
        ]
    assert seen == [200, 404, 404, 200, 200]


async def test_over_http_authorisation_breaks_drops_and_silence() -> None:
    """401 for everything; a stream that breaks in mid-message; a call that is never answered."""
    async with httpx.AsyncClient(trust_env=False) as http:
        async with ScriptedMcp(McpScript("401")) as server:
            assert (await Client(server, http).send(INITIALIZE)).status_code == 401
        for fault in ("sse-drop", "exit-mid-call"):
            async with ScriptedMcp(McpScript(fault)) as server:
                client = Client(server, http)
                await client.send(INITIALIZE)
                with pytest.raises(httpx.TransportError):
                    await client.send(call())
        async with ScriptedMcp(McpScript("hang")) as server:
            client = Client(server, http)
            await client.send(INITIALIZE)
            waiting = asyncio.create_task(client.send(call()))
            request = (await server.wait_requests(2))[-1]
            waiting.cancel()
            await request.wait_disconnected()
            assert not request.answered.is_set()


def test_every_fault_is_played_by_some_transport() -> None:
    """No name without a behaviour: each fault differs from `well` somewhere in this file's terms."""
    line = json.dumps(call()).encode()
    good = McpScript("well").answer(line)
    different = {fault for fault in MCP_FAULTS if McpScript(fault).answer(line) != good}
    assert set(MCP_FAULTS) - different == {"well", "exit-at-start", "tools-changed", "401", "session-expired"}
    assert set(MCP_FAULTS) >= HTTP_ONLY
