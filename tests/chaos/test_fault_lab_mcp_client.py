"""The scripted MCP server against the protocol's real client, over both transports: its faults arrive as meant."""

from __future__ import annotations

import sys

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from engine.chaos.mcp_http import ScriptedMcp
from engine.chaos.mcp_script import McpScript
from tests.support.embedded import ROOT

BOTH = {
    "well": "hi",
    "is-error": "error: the tool failed",
    "two-answers": "hi",
    "method-not-found": "MCPError -32601",
    "invalid-params": "MCPError -32602",
    "exit-mid-call": "MCPError -32000",
}
CASES = [
    *((transport, fault, seen) for transport in ("http", "stdio") for fault, seen in BOTH.items()),
    ("stdio", "exit-at-start", "MCPError -32000"),
    ("stdio", "noise", "hi"),
    ("http", "401", "MCPError -32603"),
    ("http", "malformed", "MCPError -32700"),
    ("http", "sse-drop", "MCPError -32000"),
]


async def call(client: Client) -> str:
    """The tool's text, marked when the tool calls it an error."""
    result = await client.call_tool("echo", {"text": "hi"})
    text = "".join(getattr(part, "text", "") for part in result.content)
    return f"error: {text}" if result.is_error else text


async def over_http(fault: str) -> str:
    """One call over streamable HTTP."""
    async with (
        ScriptedMcp(McpScript(fault)) as server,
        httpx2.AsyncClient() as http,
        Client(streamable_http_client(server.url, http_client=http)) as client,
    ):
        return await call(client)


async def over_stdio(fault: str) -> str:
    """One call of a process."""
    command = ["-m", "engine.chaos.mcp_server", fault]
    parameters = StdioServerParameters(command=sys.executable, args=command, cwd=ROOT)
    async with Client(stdio_client(parameters)) as client:
        return await call(client)


@pytest.mark.parametrize(("transport", "fault", "seen"), CASES)
async def test_the_real_client_meets_each_fault_as_it_is_meant(transport: str, fault: str, seen: str) -> None:
    """Results, errors of the tool, errors of the protocol, and servers that leave."""
    try:
        met = await (over_http(fault) if transport == "http" else over_stdio(fault))
    except* MCPError as group:
        met = f"MCPError {_innermost(group).code}"
    assert met == seen


def _innermost(group: BaseExceptionGroup[MCPError]) -> MCPError:
    first = group.exceptions[0]
    return _innermost(first) if isinstance(first, BaseExceptionGroup) else first
