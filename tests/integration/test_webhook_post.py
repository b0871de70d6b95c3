"""Webhooks against a server on loopback: what is posted, how it is signed, and what is never connected to."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from ssl import create_default_context

import httpx
import pytest
from pydantic import SecretStr

from configs.settings import QueueSettings
from engine.queue.contract import Hook
from engine.queue.webhook import WebhookPost
from engine.ticket import HookStatus, Ticket, TicketError, TicketStatus
from tests.support.provider import Play, ScriptedProvider
from tests.support.queues import ANSWER
from tests.support.throwaway_tls import self_signed

DONE = Ticket(
    id="t-1",
    status=TicketStatus.DONE,
    priority="low",
    tenant_id="default",
    user_id="ada",
    created_s=1.0,
    expires_s=2.0,
    attempts=1,
    answer=ANSWER,
    webhook=HookStatus.PENDING,
)
FAILED = replace(
    DONE, status=TicketStatus.FAILED, answer=None, error=TicketError(code="worker_lost", message="☕")
)
ADDRESSES = {"mixed.example": ("8.8.8.8", "127.0.0.1"), "public.example": ("8.8.8.8",)}
SECRET = SecretStr("köy")


def listed(provider: ScriptedProvider, *hosts: str, timeout_s: float = 2.0) -> QueueSettings:
    """Settings whose operator vouches for this server under these names."""
    names = tuple(f"{host}:{provider.port}" for host in hosts or ("127.0.0.1", "localhost"))
    return QueueSettings(webhook_hosts=names, webhook_timeout_s=timeout_s)


@asynccontextmanager
async def poster(settings: QueueSettings, secret: SecretStr | None = None) -> AsyncIterator[WebhookPost]:
    """One that is closed at the end."""
    post = await asyncio.to_thread(WebhookPost, settings, secret)
    try:
        yield post
    finally:
        await post.aclose()


def hook(url: str, ticket: Ticket = DONE) -> Hook:
    """A webhook that is due."""
    return Hook(ticket=ticket, url=url, tries=1)


def resolving(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every name and odd spelling lead to loopback, as a hostile server does; what was asked."""
    asked: list[str] = []

    async def resolve(host: str, port: int | None, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        addresses = ADDRESSES.get(host, ("127.0.0.1",))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port or 0)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    return asked


def recording(post: WebhookPost) -> list[str]:
    """Where it would have connected to; every request is taken."""
    sent: list[str] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append(str(request.url))
        return httpx.Response(200)

    post._client = httpx.AsyncClient(transport=httpx.MockTransport(take))
    return sent


@pytest.mark.req("run.queue")
async def test_a_result_is_posted_as_json_with_a_signature_over_the_very_bytes(provider: ScriptedProvider):
    """Ticket, status, text and who gave it; whoever has the key can check that it came from here."""
    async with poster(listed(provider), SECRET) as post:
        assert await post(hook(f"http://localhost:{provider.port}/hook?x=1#frag")) is True
    [request] = provider.requests
    assert (request.method, request.path) == ("POST", "/hook?x=1")
    assert request.headers["host"] == f"localhost:{provider.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-switchgear-ticket"] == "t-1"
    expected = hmac.new("köy".encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-switchgear-signature"] == f"sha256={expected}"
    assert json.loads(request.body) == {
        "ticket": "t-1",
        "status": "done",
        "answer": {"text": "forty-two ☕", "agent": "general", "model": "m", "request_id": "r"},
        "error": None,
    }


@pytest.mark.req("run.queue")
async def test_a_failure_is_posted_with_its_code_and_without_a_key_nothing_is_signed(provider: ScriptedProvider):
    """The other end of a ticket; a missing signature is no empty one."""
    async with poster(listed(provider)) as post:
        assert await post(hook(f"http://127.0.0.1:{provider.port}/", FAILED)) is True
    [request] = provider.requests
    assert "x-switchgear-signature" not in request.headers
    assert request.json["error"] == {"code": "worker_lost", "message": "☕"}
    assert request.json["answer"] is None


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (204, True), (404, False), (410, False), (429, False), (500, False)]
)
async def test_only_a_2xx_counts_as_taken(provider: ScriptedProvider, status: int, taken: bool):
    """Everything else is tried again by the worker."""
    provider.script(status=status, body="")
    async with poster(listed(provider)) as post:
        assert await post(hook(f"http://127.0.0.1:{provider.port}/")) is taken


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(provider: ScriptedProvider, status: int):
    """Fault 39: a listed host cannot send us on to one that is not."""
    provider.script(status=status, headers={"location": f"{provider.url}/elsewhere"}, body="")
    async with poster(listed(provider)) as post:
        assert await post(hook(f"http://127.0.0.1:{provider.port}/")) is False
    assert len(provider.requests) == 1


@pytest.mark.req("run.queue")
@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/", "https://127.0.0.1/", "https://localhost/", "https://2130706433/"),
        *("https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://[::1]/"),
        *("https://[::ffff:127.0.0.1]/", "https://0.0.0.0/", "https://0/", "https://localhost./"),
        *("https://public.example:8443/", "http://public.example/", "https://mixed.example/"),
    ],
)
async def test_a_private_host_is_never_connected_to_however_it_is_spelt(monkeypatch: pytest.MonkeyPatch, url: str):
    """SSRF: what a URL spells and what it resolves to are judged before each post; a legitimate twin goes out."""
    resolving(monkeypatch)
    async with poster(QueueSettings()) as post:
        sent = recording(post)
        assert await post(hook(url)) is False
        assert sent == []
        assert await post(hook("https://public.example/")) is True
        assert sent == ["https://8.8.8.8/"]


@pytest.mark.req("run.queue")
async def test_a_name_is_resolved_once_and_the_judged_address_is_the_one_used(
    provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
):
    """Rebinding: a second look-up could lead elsewhere; the receiver still reads its own name."""
    asked = resolving(monkeypatch)
    async with poster(listed(provider, "hooks.internal")) as post:
        assert await post(hook(f"http://hooks.internal:{provider.port}/")) is True
    assert provider.requests[0].headers["host"] == f"hooks.internal:{provider.port}"
    assert asked == ["hooks.internal"]


@pytest.mark.req("run.queue")
async def test_a_receiver_that_hangs_or_is_not_there_costs_one_timeout(provider: ScriptedProvider):
    """Bounded in time, and an answer like any other: not taken."""
    provider.script(Play(gate=asyncio.Event()))
    async with poster(listed(provider, timeout_s=0.2)) as post:
        assert await post(hook(f"http://127.0.0.1:{provider.port}/")) is False
        await provider.stop()
        assert await post(hook(f"http://127.0.0.1:{provider.port}/")) is False
        assert await post(hook("http://not a url/")) is False


@pytest.mark.req("run.queue")
async def test_an_endless_reply_is_not_read(provider: ScriptedProvider):
    """What the receiver has to say beyond its status is of no interest."""
    provider.script(Play(stream=(b"x" * 1_000 for _ in range(10**9))))
    async with poster(listed(provider)) as post:
        assert await post(hook(f"http://127.0.0.1:{provider.port}/")) is True
    await provider.requests[0].wait_disconnected()
    assert not provider.requests[0].answered.is_set()


@pytest.mark.req("run.queue")
async def test_a_certificate_is_checked_against_the_name_although_an_address_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Connecting to the judged address weakens nothing: untrusted or somebody else's certificates are refused."""
    context = await asyncio.to_thread(self_signed, tmp_path)
    trusting = await asyncio.to_thread(create_default_context, cafile=tmp_path / "server.pem")
    resolving(monkeypatch)
    async with (
        ScriptedProvider(context) as provider,
        poster(listed(provider, "127.0.0.1", "hooks.internal")) as post,
    ):
        assert await post(hook(f"https://127.0.0.1:{provider.port}/")) is False  # nobody trusts it
        await post.aclose()
        post._client = httpx.AsyncClient(verify=trusting, trust_env=False)
        assert await post(hook(f"https://127.0.0.1:{provider.port}/")) is True
        assert await post(hook(f"https://hooks.internal:{provider.port}/")) is False  # it is for 127.0.0.1 only
        assert len(provider.requests) == 1
