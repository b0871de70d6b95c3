"""The scripted provider does what its scripts say, so that a test of the adapter tests the adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.provider import (
    CLOSE,
    DONE,
    RESET,
    Play,
    ScriptedProvider,
    closed_port,
    error_event,
    finish,
    token,
    tokens,
)

ASK = {"model": "a", "messages": [{"role": "user", "content": "two words"}]}


@asynccontextmanager
async def client(p: ScriptedProvider) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client of the provider, without proxies."""
    async with httpx.AsyncClient(base_url=p.url, trust_env=False, timeout=5) as http:
        yield http


def events(text: str) -> list[dict[str, object]]:
    """Decoded events of a stream, without the end marker."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


async def test_a_plain_answer_carries_text_usage_and_finish_reason(provider: ScriptedProvider) -> None:
    """Not streamed: one JSON object with counts that fit."""
    provider.script(model="a", reply="hi there you")
    async with client(provider) as http:
        answer = (await http.post("/chat/completions", json=ASK)).json()
    assert answer["choices"][0]["message"]["content"] == "hi there you"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


@pytest.mark.parametrize("asked", [True, False])
async def test_a_streamed_answer_reports_usage_only_when_asked(provider: ScriptedProvider, asked: bool) -> None:
    """Pieces join to the reply; the usage chunk exists exactly with include_usage."""
    provider.script(reply="hi there")
    async with client(provider) as http:
        body = {**ASK, "stream": True, "stream_options": {"include_usage": asked}}
        text = (await http.post("/chat/completions", json=body)).text
    sent = events(text)
    assert "".join(c["delta"].get("content") or "" for e in sent for c in e["choices"]) == "hi there"
    assert [e["usage"]["completion_tokens"] for e in sent if "usage" in e] == ([2] if asked else [])
    assert text.endswith(DONE)


async def test_plays_are_used_in_order_and_the_last_one_stays(provider: ScriptedProvider) -> None:
    """A failure twice, then well for ever; another model is not touched by it."""
    provider.script(Play(status=500), Play(status=503), Play(reply="ok"), model="a")
    async with client(provider) as http:
        got = [(await http.post("/chat/completions", json=ASK)).status_code for _ in range(4)]
        other = (await http.post("/chat/completions", json={**ASK, "model": "b"})).status_code
    assert got == [500, 503, 200, 200]
    assert other == 200


async def test_what_arrived_is_on_record(provider: ScriptedProvider) -> None:
    """Headers, body and the connection of every request; one connection serves several."""
    async with client(provider) as http:
        for _ in range(2):
            await http.post("/chat/completions", json=ASK, headers={"Authorization": "Bearer k"})
    assert [(r.model, r.headers["authorization"], r.connection) for r in provider.requests] == [
        ("a", "Bearer k", 1)
    ] * 2
    assert provider.connections == 1
    assert provider.requests_for("b") == []


async def test_a_gate_holds_the_answer_until_it_is_set(provider: ScriptedProvider) -> None:
    """The request has arrived, and no answer comes before the event."""
    gate = asyncio.Event()
    provider.script(gate=gate)
    async with client(provider) as http:
        asking = asyncio.create_task(http.post("/chat/completions", json=ASK))
        await provider.wait_requests(1)
        assert not asking.done()
        gate.set()
        assert (await asking).status_code == 200


async def test_a_client_that_leaves_is_noticed(provider: ScriptedProvider) -> None:
    """In the middle of a stream that waits, closing the client sets ``disconnected``."""
    provider.script(stream=[token("one"), asyncio.Event()])
    async with client(provider) as http:
        async with http.stream("POST", "/chat/completions", json=ASK) as response:
            assert b"one" in await anext(response.aiter_bytes())
            request = provider.requests[0]
            assert not request.disconnected.is_set()
        await request.wait_disconnected(within_s=1)
    assert not request.answered.is_set()


async def test_a_client_that_leaves_an_endless_stream_is_noticed(provider: ScriptedProvider) -> None:
    """A server that never stops writing still sees the end of the connection."""

    def endless() -> object:
        while True:
            yield token("x")

    provider.script(stream=endless())
    async with client(provider) as http:
        async with http.stream("POST", "/chat/completions", json=ASK) as response:
            await anext(response.aiter_bytes())
            request = provider.requests[0]
            assert not request.disconnected.is_set()
        await request.wait_disconnected(within_s=1)
        assert not request.answered.is_set()


@pytest.mark.parametrize(
    ("play", "error"),
    [
        (Play(reset=True), httpx.ReadError),
        (Play(stream=[*tokens("a", "b"), RESET]), httpx.ReadError),
        (Play(stream=[*tokens("a", "b"), CLOSE]), httpx.RemoteProtocolError),
    ],
)
async def test_connections_break_as_scripted(
    provider: ScriptedProvider, play: Play, error: type[Exception]
) -> None:
    """Before the headers, in the middle of a stream, and by an end of file that HTTP does not allow."""
    provider.script(play)
    async with client(provider) as http:
        with pytest.raises(error):
            await http.post("/chat/completions", json={**ASK, "stream": True})
    assert provider.requests[0].model == "a"


async def test_statuses_headers_bodies_and_in_band_errors_are_free(provider: ScriptedProvider) -> None:
    """Any status with any header and body; an error event inside a stream."""
    provider.script(
        Play(status=429, headers={"Retry-After": "7"}, body="<html>slow down</html>"),
        Play(stream=[token("a"), error_event("gone", code="overloaded"), *finish()]),
    )
    async with client(provider) as http:
        refused = await http.post("/chat/completions", json=ASK)
        broken = await http.post("/chat/completions", json={**ASK, "stream": True})
    assert (refused.status_code, refused.headers["retry-after"], refused.text[:6]) == (429, "7", "<html>")
    assert events(broken.text)[1] == {"error": {"message": "gone", "code": "overloaded"}}


async def test_models_are_listed(provider: ScriptedProvider) -> None:
    """The scripted names, for health checks."""
    provider.script(model="a", reply="x")
    async with client(provider) as http:
        assert [m["id"] for m in (await http.get("/models")).json()["data"]] == ["a"]


async def test_a_stopped_provider_and_a_closed_port_refuse() -> None:
    """After ``stop`` nothing listens, as on ``closed_port``."""
    async with ScriptedProvider() as p:
        url = p.url
    for target in (url, f"http://127.0.0.1:{closed_port()}/v1"):
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.ConnectError):
                await http.post(f"{target}/chat/completions", json=ASK)
