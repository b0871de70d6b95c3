"""What the real MCP client raises over its HTTP transport, as the adapter reads it (faults 49 to 55)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from configs.kernel import Failure, Outcome
from engine.resilience.classify import classify
from mcp_tools.translate import failure_of

Answer = Callable[[httpx2.Request, object], httpx2.Response]
INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "scripted", "version": "1"},
}


def result(call_id: object, found: dict[str, object]) -> httpx2.Response:
    """A JSON-RPC result."""
    return httpx2.Response(200, json={"jsonrpc": "2.0", "id": call_id, "result": found})


def error(call_id: object, code: int, status: int = 200) -> httpx2.Response:
    """A JSON-RPC error."""
    broken = {"jsonrpc": "2.0", "id": call_id, "error": {"code": code, "message": "secret-words"}}
    return httpx2.Response(status, json=broken)


def status(code: int) -> Answer:
    """An HTTP status and a page."""
    return lambda request, call_id: httpx2.Response(code, text="secret-words")


def raises(cls: type[httpx2.TransportError]) -> Answer:
    """A broken connection."""

    def answer(request: httpx2.Request, call_id: object) -> httpx2.Response:
        raise cls("secret-words", request=request)

    return answer


def scripted(on_call: Answer) -> httpx2.MockTransport:
    """A server with one tool, whose calls are answered by ``on_call``."""

    async def answer(request: httpx2.Request) -> httpx2.Response:
        if request.method != "POST":
            return httpx2.Response(405)
        message = json.loads(await request.aread())
        call_id = message.get("id")
        match message["method"]:
            case "server/discover":
                return error(call_id, -32601, 400)
            case "initialize":
                ready = result(call_id, dict(INITIALIZED))
                ready.headers["mcp-session-id"] = "s1"
                return ready
            case "tools/list":
                return result(call_id, {"tools": [{"name": "tool", "inputSchema": {"type": "object"}}]})
            case "tools/call":
                return on_call(request, call_id)
            case _:
                return httpx2.Response(202)

    return httpx2.MockTransport(answer)


@asynccontextmanager
async def session(on_call: Answer) -> AsyncIterator[Client]:
    """A real client, connected to the scripted server."""
    async with (
        httpx2.AsyncClient(transport=scripted(on_call)) as http,
        Client(streamable_http_client("http://tools.example/mcp", http_client=http)) as client,
    ):
        yield client


async def seen(on_call: Answer) -> Failure | None:
    """How the adapter reads what a tool call raises, wherever it comes out."""
    try:
        async with session(on_call) as client:
            await client.call_tool("tool", {}, read_timeout_seconds=5)
    except Exception as exc:  # noqa: BLE001 - whatever the SDK raises is what is wanted
        return failure_of(exc)
    raise AssertionError("nothing was raised")


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(
    ("on_call", "outcome", "code"),
    [
        (lambda request, call_id: error(call_id, -32602), Outcome.CALLER, "-32602"),
        (lambda request, call_id: error(call_id, -32601, 404), Outcome.MISSING, "-32601"),
        (lambda request, call_id: error(call_id, -32000), Outcome.FAIL, "-32000"),
        (status(404), Outcome.FAIL, "session_expired"),
        (status(503), Outcome.FAIL, "-32603"),
        (status(202), Outcome.FAIL, "-32600"),
        (lambda request, call_id: httpx2.Response(200, text="{"), Outcome.FAIL, "-32600"),
        (
            lambda request, call_id: httpx2.Response(200, text="{", headers={"content-type": "application/json"}),
            Outcome.FAIL,
            "-32700",
        ),
        (
            lambda request, call_id: httpx2.Response(307, headers={"location": "http://elsewhere.example/"}),
            Outcome.MISSING,
            "-32600",
        ),
        (raises(httpx2.ConnectError), Outcome.FAIL, None),
        (raises(httpx2.ReadTimeout), Outcome.FAIL, None),
        (raises(httpx2.ReadError), Outcome.FAIL, None),
    ],
)
async def test_what_the_client_raises_is_read_and_never_quoted(
    on_call: Answer, outcome: Outcome, code: str | None
) -> None:
    """Errors of the protocol, of HTTP and of the connection below; a broken transport comes out in a group."""
    failure = await seen(on_call)
    assert failure is not None
    assert (classify(failure), failure.code) == (outcome, code)
    assert "secret" not in failure.detail
    assert "example" not in failure.detail


@pytest.mark.req("brk.classify")
async def test_a_tool_that_reports_an_error_has_answered() -> None:
    """Fault 51: ``is_error`` is a result for the model, and nothing is raised that could be counted."""

    def reports(request: httpx2.Request, call_id: object) -> httpx2.Response:
        return result(call_id, {"content": [{"type": "text", "text": "no such file"}], "isError": True})

    async with session(reports) as client:
        answer = await client.call_tool("tool", {})
    assert answer.is_error
