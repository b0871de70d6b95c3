"""The scripted provider keeps its promises on the wire: each named fault is what its name says."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from dataclasses import dataclass, replace

import httpx
import pytest

from engine.chaos.faults import FAULTS, WELL, fault_named
from engine.chaos.play import Play, now_and_then
from engine.chaos.provider import ScriptedProvider
from engine.errors import UnknownName

GUARD_S = 5.0
ASKED = {"model": "m", "stream": True, "stream_options": {"include_usage": True}, "messages": []}
STATUSES = {
    "400": 400,
    "context-length": 400,
    "filter-400": 400,
    "401": 401,
    "402": 402,
    "403": 403,
    "404": 404,
    "408": 408,
    "409": 409,
    "413": 413,
    "422": 422,
    "425": 425,
    "quota": 429,
    "429": 429,
    "429-date": 429,
    "429-past": 429,
    "429-for-ever": 429,
    "429-garbage": 429,
    "500": 500,
    "502": 502,
    "503": 503,
    "504": 504,
    "529": 529,
    "redirect": 307,
}
CODES = {
    "context-length": "context_length_exceeded",
    "filter-400": "content_filter",
    "401": "invalid_api_key",
    "402": "insufficient_credits",
    "quota": "insufficient_quota",
    "404": "model_not_found",
}
RETRY_AFTER = {
    "429": "7",
    "429-date": "Wed, 21 Oct 2026 07:29:30 GMT",
    "429-past": "Wed, 21 Oct 2015 07:28:00 GMT",
    "429-for-ever": "1000000000",
    "429-garbage": "soon",
}
ENDLESS = ("huge", "huge-line", "trickle")
ENDS = {
    "reset": "reset",
    "reset-mid-stream": "reset",
    "close-mid-stream": "closed",
    "no-finish": "complete",
    "no-done": "complete",
    "error-event": "complete",
}
SILENT = {"hang": b"", "hang-after-headers": b"HTTP/1.1 200", "silence": b"an "}
PLAYED_ELSEWHERE = {19, 20, 21, 40, 41, 42}
"""Refused connections, DNS and TLS are not the server's to play; the last three are courses of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """Everything that came back on one connection, and how it ended."""

    raw: bytes
    end: str


async def wire(provider: ScriptedProvider) -> Wire:
    """One streamed request on a raw socket, read to its end."""
    reader, writer = await _send(provider)
    raw, end = b"", "closed"
    try:
        async with asyncio.timeout(GUARD_S):
            while piece := await reader.read(65_536):
                raw += piece
                if raw.endswith(b"\r\n0\r\n\r\n"):
                    end = "complete"
                    break
    except ConnectionResetError:
        end = "reset"
    writer.transport.abort()
    return Wire(raw=raw, end=end)


async def _send(provider: ScriptedProvider) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    body = json.dumps(ASKED).encode()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    return reader, writer


async def ask(provider: ScriptedProvider) -> httpx.Response:
    """One streamed request by a real client."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.post(f"{provider.url}/chat/completions", json=ASKED)


def events(text: str) -> list[dict[str, object]]:
    """The JSON events of a stream."""
    lines = (line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: "))
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("name", STATUSES)
async def test_a_status_fault_has_its_status_code_and_headers(provider: ScriptedProvider, name: str) -> None:
    """Status, error code and Retry-After stand in the answer as the catalogue has them."""
    provider.script(fault_named(name).play(7.0))
    answer = await ask(provider)
    assert answer.status_code == STATUSES[name]
    assert answer.headers.get("retry-after") == RETRY_AFTER.get(name)
    if name in CODES:
        assert answer.json()["error"]["code"] == CODES[name]
    if name in {"413", "502", "503", "504"}:
        assert answer.text.startswith("<html>")
    assert answer.headers.get("location", "") == (
        "" if name != "redirect" else fault_named(name).play().headers["location"]
    )


@pytest.mark.parametrize("name", ENDS)
async def test_a_broken_answer_breaks_the_way_its_name_says(provider: ScriptedProvider, name: str) -> None:
    """RST, FIN without the last chunk, or a proper end of a body that lacks something."""
    provider.script(fault_named(name).play())
    seen = await wire(provider)
    assert seen.end == ENDS[name]
    assert (b'"stop"' in seen.raw) is False
    assert (b"[DONE]" in seen.raw) is (name == "no-finish")
    assert (b'"error"' in seen.raw) is (name == "error-event")
    assert seen.raw.count(b'"content"') == {"reset-mid-stream": 40, "reset": 0, "error-event": 1}.get(name, 2)


@pytest.mark.parametrize("name", SILENT)
async def test_a_silent_provider_keeps_the_connection_and_says_nothing_more(
    provider: ScriptedProvider, name: str
) -> None:
    """It neither answers nor hangs up, and it notices when the client leaves."""
    provider.script(fault_named(name).play())
    reader, writer = await _send(provider)
    (request,) = await provider.wait_requests(1)
    if SILENT[name]:
        async with asyncio.timeout(GUARD_S):
            assert SILENT[name] in await reader.readuntil(SILENT[name])
    assert (request.answered.is_set(), provider.open_connections) == (False, 1)
    writer.transport.abort()
    await request.wait_disconnected()
    assert not request.answered.is_set()


@pytest.mark.parametrize("name", ENDLESS)
async def test_an_endless_answer_goes_on_until_the_client_leaves(name: str) -> None:
    """More than any cap comes if one reads on; the pauses of a trickle are the injected clock's."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await asyncio.sleep(0)

    async with ScriptedProvider(sleep=sleep) as provider:
        provider.script(fault_named(name).play(9.0))
        reader, writer = await _send(provider)
        async with asyncio.timeout(GUARD_S):
            head = await reader.readexactly(100_000)
        writer.transport.abort()
        await provider.requests[0].wait_disconnected()
    assert (head.count(b"\n\n") > 0) is (name != "huge-line")
    assert set(slept) == ({9.0} if name == "trickle" else set())


@pytest.mark.parametrize(("name", "whole"), [("slow-headers", b""), ("slow-first-token", b"HTTP/1.1 200")])
async def test_a_slow_provider_waits_where_its_name_says(name: str, whole: bytes) -> None:
    """Before the status line, or between the headers and the first token; then all is well."""
    waiting, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 2.5
        waiting.set()
        await go_on.wait()

    async with ScriptedProvider(sleep=sleep) as provider:
        provider.script(fault_named(name).play(2.5))
        reader, writer = await _send(provider)
        await waiting.wait()
        async with asyncio.timeout(GUARD_S):
            begun = await reader.readuntil(b"\r\n\r\n") if whole else b""
        assert begun.startswith(whole)
        go_on.set()
        async with asyncio.timeout(GUARD_S):
            assert b'"ok"' in await reader.readuntil(b"[DONE]")
        writer.transport.abort()


async def test_a_gzip_bomb_is_small_on_the_wire_and_huge_behind_it(provider: ScriptedProvider) -> None:
    """A thousand times its size: a client that decompresses first is out of memory."""
    play = fault_named("gzip-bomb").play()
    assert isinstance(play.body, bytes)
    provider.script(play)
    seen = (await wire_of_length(provider, len(play.body))).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in seen[0]
    assert len(gzip.decompress(seen[2])) > 900 * len(seen[2])


async def wire_of_length(provider: ScriptedProvider, size: int) -> bytes:
    """The head and ``size`` bytes of body, undecoded."""
    reader, writer = await _send(provider)
    async with asyncio.timeout(GUARD_S):
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(size)
    writer.transport.abort()
    return head + body


async def test_bad_answers_are_bad_in_their_own_way(provider: ScriptedProvider) -> None:
    """Malformed lines, foreign bodies, empty answers, unknown fields, refusals, filters, tool calls."""
    said: dict[str, str] = {}
    types: dict[str, str] = {}
    for name in FAULTS:
        if name not in {*STATUSES, *ENDS, *SILENT, *ENDLESS, "gzip-bomb"} and not FAULTS[name].timed:
            provider.script(fault_named(name).play())
            answer = await ask(provider)
            said[name], types[name] = answer.text, answer.headers["content-type"]
    assert "{oops" in said.pop("bad-line")
    assert (said.pop("not-json"), types["not-json"]) == ("hello", "text/plain")
    assert (types["html"], types["cut-json"]) == ("text/html", "application/json")
    assert said.pop("html").startswith("<html>")
    with pytest.raises(ValueError, match="Unterminated"):
        json.loads(said.pop("cut-json"))
    found = {name: events(text) for name, text in said.items()}
    deltas = {name: [c["delta"] for e in seen for c in e.get("choices", [])] for name, seen in found.items()}
    assert found["no-choices"][0] == {"choices": []}
    assert [deltas[name][0].get("content") for name in ("null-content", "empty")] == [None, ""]
    assert found["unknown-fields"][0]["weather"] == {"rain": True}
    assert deltas["refusal"][0]["refusal"] == "no"
    assert found["filter"][-1]["choices"][0]["finish_reason"] == "content_filter"
    assert len(deltas["tool-500-calls"][0]["tool_calls"]) == 500
    assert deltas["tool-bad-arguments"][0]["tool_calls"][0]["function"]["arguments"] == '{"a": '
    assert "".join(d.get("content") or "" for d in deltas["replay"]) == "ok"


async def test_token_counts_are_wrong_in_the_way_they_say(provider: ScriptedProvider) -> None:
    """The usage event is missing, negative, text, a billion, or over the limit."""
    counts: dict[str, object] = {}
    for name in ("missing", "negative", "text", "absurd", "over-limit"):
        provider.script(fault_named(f"usage-{name}").play())
        last = events((await ask(provider)).text)[-1]
        counts[name] = last["usage"]["completion_tokens"] if "usage" in last else None
    assert counts == {"missing": None, "negative": -1, "text": "few", "absurd": 10**9, "over-limit": 600}


def test_every_row_of_the_catalogue_that_a_provider_can_play_has_a_name() -> None:
    """Rows 1 to 43, but for those that no provider plays alone; the others name no row twice in vain."""
    rows = {row for fault in FAULTS.values() for row in fault.rows}
    assert rows == set(range(1, 44)) - PLAYED_ELSEWHERE
    assert [name for name, fault in FAULTS.items() if not fault.rows] == [WELL]
    with pytest.raises(UnknownName, match="did you mean 'silence'"):
        fault_named("silense")


def test_the_share_of_failing_answers_is_drawn_by_the_seed() -> None:
    """The same seed fails the same requests; another seed others; the share is kept."""
    bad, well = Play(status=500), Play()

    def drawn(seed: int) -> list[int]:
        choose = now_and_then(0.3, bad, well, random.Random(seed).random)
        return [choose().status for _ in range(1_000)]

    assert drawn(5) == drawn(5) != drawn(6)
    assert 250 < drawn(5).count(500) < 350


async def test_a_provider_that_keeps_no_requests_still_counts_them() -> None:
    """A long rehearsal does not fill the memory with its own questions."""
    async with ScriptedProvider(keeps_requests=False) as provider:
        provider.script(replace(Play(), reply="one"))
        for _ in range(3):
            assert (await ask(provider)).status_code == 200
    assert (provider.requests, provider.calls["m"]) == ([], 3)
