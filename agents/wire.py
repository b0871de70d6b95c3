"""The HTTP under a model call: which headers leave, how much may come back, and a handle to cut it at once.

A transport around httpx's own, given to the OpenAI SDK. It knows nothing of models or messages. The key lives
here and nowhere above: the SDK, its exceptions and its logs only ever hold a placeholder.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Protocol, Self

import httpx
from pydantic import SecretStr

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind
from configs.settings import Settings

CALL_HEADER = "x-switchgear-call"
"""Marks a request with the call it belongs to; removed before anything is sent."""
PASSED_HEADERS = ("accept", "content-type", "content-length", "transfer-encoding", "host")
"""All that leaves of what the SDK sets. Its others describe this machine, or come from the environment
(organisation and project of an OpenAI account) and would reach every provider."""
USER_AGENT = "switchgear"
ZLIB_ANY = 47  # zlib's own constant: accept a gzip or a zlib header
COMPRESSED = ("gzip", "deflate")
STEP_BYTES = 65_536
HearHeaders = Callable[[Mapping[str, str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """Bytes that one response may have, after decompression."""

    response_bytes: int
    event_bytes: int
    """Without a line end in between."""
    error_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """One event may be as large as the largest answer: some servers send the whole answer in one."""
        return cls(
            response_bytes=settings.http.response_bytes_max,
            event_bytes=settings.request.answer_bytes_max,
            error_bytes=settings.http.error_bytes_max,
        )


class Inflater(Protocol):
    """What ``zlib.decompressobj`` returns; the standard library does not name its type."""

    @property
    def unconsumed_tail(self) -> bytes:
        """Input that the last step left over."""
        ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most ``max_length`` bytes of output."""
        ...


class Wire:
    """The connection of one call, for closing it without waiting for garbage collection (fault 77)."""

    def __init__(self) -> None:
        self._body: CappedBody | None = None

    def carries(self, body: CappedBody) -> None:
        """Remember what is being read."""
        self._body = body

    async def cut(self) -> None:
        """Close the connection if the answer is not complete."""
        if self._body is not None:
            await self._body.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends only known headers, refuses what is not a stream, and caps what comes back.

    Raises httpx's transport errors, and ``CallFailed`` for answers that must not be read on.
    """

    def __init__(
        self, inner: httpx.AsyncBaseTransport, key: SecretStr | None, limits: WireLimits, heard: HearHeaders
    ) -> None:
        """``heard`` gets the headers of every response, before its body; it must not raise."""
        self._inner = inner
        self._heard = heard
        self._key = key
        self._limits = limits
        self._wires: dict[str, Wire] = {}

    def open(self, call_id: str) -> Wire:
        """Announce a call; requests that carry its id report to the returned wire."""
        wire = self._wires[call_id] = Wire()
        return wire

    def forget(self, call_id: str) -> None:
        """The call is over."""
        self._wires.pop(call_id, None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request`` with the key and without what the SDK adds."""
        wire = self._wires.get(request.headers.get(CALL_HEADER, ""))
        outgoing = httpx.Request(
            request.method,
            request.url,
            headers=self._headers(request),
            stream=request.stream,
            extensions=request.extensions,
        )
        response = await self._inner.handle_async_request(outgoing)
        self._heard(response.headers)
        body = CappedBody(response, self._limits)
        if wire is not None:
            wire.carries(body)  # before it can be refused, so that the call closes it in any case
        body.check()
        headers = [
            (k, v) for k, v in response.headers.raw if k.lower() not in {b"content-encoding", b"content-length"}
        ]
        return httpx.Response(response.status_code, headers=headers, stream=body, extensions=response.extensions)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._inner.aclose()

    def _headers(self, request: httpx.Request) -> dict[str, str]:
        headers = {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}
        headers["user-agent"] = USER_AGENT
        headers["accept-encoding"] = "identity"
        if self._key is not None:
            headers["authorization"] = f"Bearer {self._key.get_secret_value()}"
        return headers


class CappedBody(httpx.AsyncByteStream):
    """A response body that stops at its cap, which counts decompressed bytes.

    Bodies of error answers end silently where they cannot be read on: their class comes from the status (fault
    17). All others fail typed.
    """

    def __init__(self, response: httpx.Response, limits: WireLimits) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - an async transport gave it
        self._source = response.stream
        self._raw = aiter(response.stream)
        self._ok = response.is_success
        self._type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._encoding = response.headers.get("content-encoding", "identity").strip().lower()
        self._limits = limits
        self._closed = False

    def check(self) -> None:
        """Refuse at once what could not be read as an answer (fault 30)."""
        if self._ok and self._encoding not in {"identity", "", *COMPRESSED}:
            raise _failed(FailureKind.MALFORMED, "the answer has an encoding that was not asked for")
        if self._ok and self._type in {"text/html", "application/json"}:
            raise _failed(FailureKind.MALFORMED, f"the answer is {self._type}, not a stream of events")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._capped():
                yield piece
        except CallFailed:
            if self._ok:
                raise

    async def aclose(self) -> None:
        """Close the connection if it is still in use."""
        if not self._closed:
            self._closed = True
            await self._source.aclose()
            if isinstance(self._raw, AsyncGenerator):
                # Else the collector closes it, in a task of the loop's, some time after the call.
                await self._raw.aclose()

    async def _capped(self) -> AsyncIterator[bytes]:
        cap = self._limits.response_bytes if self._ok else self._limits.error_bytes
        taken = since_line_end = 0
        async for piece in self._plain():
            taken += len(piece)
            line_end = piece.rfind(b"\n")
            since_line_end = since_line_end + len(piece) if line_end < 0 else len(piece) - line_end - 1
            if taken > cap or since_line_end > self._limits.event_bytes:
                raise _failed(FailureKind.OVERSIZE, "the answer is larger than the cap on a response")
            yield piece

    async def _plain(self) -> AsyncIterator[bytes]:
        inflater = zlib.decompressobj(ZLIB_ANY) if self._encoding in COMPRESSED else None
        async for raw in self._raw:
            if inflater is None:
                yield raw
                continue
            for piece in _inflate(inflater, raw):
                yield piece


def _inflate(inflater: Inflater, raw: bytes) -> Iterator[bytes]:
    """Decompress in steps, so that a bomb is met by the cap before it is in memory (fault 34)."""
    while raw:
        try:
            piece = inflater.decompress(raw, STEP_BYTES)
        except zlib.error:
            raise _failed(FailureKind.MALFORMED, "the answer's compression is broken") from None
        if piece:
            yield piece
        raw = inflater.unconsumed_tail


def _failed(kind: FailureKind, detail: str) -> CallFailed:
    return CallFailed(Failure(kind=kind, detail=detail))


@cache
def verified_tls() -> ssl.SSLContext:
    """The one TLS context: certificates and host names are always verified (fault 21).

    Loading the certificates takes tens of milliseconds, so once. httpx's own choice of roots, which honours
    SSL_CERT_FILE and SSL_CERT_DIR.
    """
    return httpx.create_ssl_context(verify=True, trust_env=True)
