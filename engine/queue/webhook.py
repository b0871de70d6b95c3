"""Posts the result of a ticket to its caller's URL: signed, bounded, to public hosts only.

A name is resolved once, every address of it is judged (``configs.webhook_url``), and the connection goes to the
address that was judged, so that a second look-up cannot lead elsewhere. Redirects and proxies of the environment
are not followed, and the reply's body is not read. When to try again is the worker's decision.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

import httpx
from pydantic import SecretStr

from configs.settings import QueueSettings
from configs.webhook_url import is_listed, is_public, literal, webhook_problem
from engine.queue.contract import Hook
from engine.ticket import Ticket

SIGNATURE = "x-switchgear-signature"
TICKET = "x-switchgear-ticket"


class WebhookPost:
    """Posts results, one at a time per call. Close it at the end."""

    def __init__(self, settings: QueueSettings, secret: SecretStr | None) -> None:
        self._listed = settings.webhook_hosts
        self._timeout_s = settings.webhook_timeout_s
        self._secret = secret
        self._client = httpx.AsyncClient(follow_redirects=False, trust_env=False, timeout=self._timeout_s)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def __call__(self, hook: Hook) -> bool:
        """Whether the other side took it: any 2xx within ``queue.webhook_timeout_s``."""
        if webhook_problem(hook.url, self._listed) is not None:
            return False
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._post(urlsplit(hook.url), payload(hook.ticket), hook.ticket.id)
        except (TimeoutError, OSError, UnicodeError, httpx.HTTPError, httpx.InvalidURL):
            return False

    async def _post(self, parts: SplitResult, body: bytes, ticket_id: str) -> bool:
        host = parts.hostname or ""
        address = await self._address(parts, host)
        if address is None:
            return False
        request = self._client.build_request(
            "POST",
            _at(parts, address),
            content=body,
            headers={"host": parts.netloc, "content-type": "application/json", TICKET: ticket_id}
            | self._signed(body),
            extensions={"sni_hostname": host},
        )
        reply = await self._client.send(request, stream=True)
        await reply.aclose()
        return reply.is_success

    async def _address(self, parts: SplitResult, host: str) -> str | None:
        """Where to connect; ``None`` when an address of the host is not public and nobody vouches for the host."""
        found = await asyncio.get_running_loop().getaddrinfo(host, parts.port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        return addresses[0] if is_listed(parts, self._listed) or _all_public(addresses) else None

    def _signed(self, body: bytes) -> dict[str, str]:
        return {} if self._secret is None else {SIGNATURE: signature(body, self._secret)}


def payload(ticket: Ticket) -> bytes:
    """What is posted: ``ticket``, ``status``, and ``answer`` (text, agent, model, request_id) or ``error`` (code,
    message); what does not apply is null.
    """
    answer, error = ticket.answer, ticket.error
    document = {
        "ticket": ticket.id,
        "status": ticket.status.value,
        "answer": None
        if answer is None
        else {"text": answer.text, "agent": answer.agent, "model": answer.model, "request_id": answer.request_id},
        "error": None if error is None else {"code": error.code, "message": error.message},
    }
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "backslashreplace")


def signature(body: bytes, secret: SecretStr) -> str:
    """``sha256=`` and the HMAC-SHA-256 of the body as it was sent, in hex (RFC 2104)."""
    return f"sha256={hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()}"


def _all_public(addresses: Iterable[str]) -> bool:
    judged = [literal(address) for address in addresses]
    return bool(judged) and all(address is not None and is_public(address) for address in judged)


def _at(parts: SplitResult, address: str) -> str:
    host = f"[{address}]" if ":" in address else address
    port = "" if parts.port is None else f":{parts.port}"
    return parts._replace(netloc=f"{host}{port}", fragment="").geturl()
