"""The toxic proxy does to bytes what each toxic says, in its direction, and can be changed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.chaos.proxy import Address, ToxicProxy, Toxics

GUARD_S = 5.0
HELLO = b"0123456789" * 10


class Echo:
    """A server that sends every byte back, piece by piece as they arrive."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.heard, self.ended = asyncio.Event(), asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while piece := await reader.read(65_536):
                self.pieces.append(piece)
                self.heard.set()
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.ended.set()
            writer.transport.abort()

    @property
    def received(self) -> bytes:
        """All of it."""
        return b"".join(self.pieces)


class Pauses:
    """A clock that only takes notes."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Return at once."""
        self.seconds.append(seconds)


@asynccontextmanager
async def proxied(seed: int = 1, path: Path | None = None) -> AsyncGenerator[tuple[ToxicProxy, Echo, Pauses]]:
    """An echo server behind a proxy."""
    echo, pauses = Echo(), Pauses()
    if path is None:
        server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
        address = Address(host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    else:
        server = await asyncio.start_unix_server(echo.serve, path)
        address = Address(path=str(path))
    async with ToxicProxy(address, seed=seed, sleep=pauses) as proxy:
        yield proxy, echo, pauses
    server.close()
    await server.wait_closed()


async def talk(proxy: ToxicProxy, data: bytes = HELLO) -> bytes:
    """Send ``data`` and read as much back, or up to the end; the socket is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        async with asyncio.timeout(GUARD_S):
            writer.write(data)
            found = b""
            while len(found) < len(data) and (piece := await reader.read(len(data))):
                found += piece
            return found
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_without_toxics_bytes_pass_as_they_are(tmp_path: Path, kind: str) -> None:
    """Over TCP and unix sockets, large and small, several connections at once."""
    async with proxied(path=tmp_path / "s" if kind == "unix" else None) as (proxy, _, pauses):
        said = await asyncio.gather(talk(proxy), talk(proxy, b"x" * 300_000), talk(proxy, b"y"))
        assert (said, proxy.connections, pauses.seconds) == ([HELLO, b"x" * 300_000, b"y"], 3, [])


async def test_latency_is_drawn_from_the_seed_in_its_direction_only() -> None:
    """Each piece waits latency ± jitter; the same seed waits the same; the other direction does not wait."""
    drawn: list[list[float]] = []
    for seed in (7, 7, 8):
        async with proxied(seed) as (proxy, _, pauses):
            proxy.set(Toxics(latency_s=0.2, jitter_s=0.05), "up")
            assert [await talk(proxy) for _ in range(4)] == [HELLO] * 4
            drawn.append(pauses.seconds)
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 4
    assert all(0.15 <= pause <= 0.25 for pause in drawn[0])


async def test_a_reset_peer_gets_rst_and_the_server_nothing() -> None:
    """The client sees a reset, not an end."""
    async with proxied() as (proxy, echo, _):
        proxy.set(Toxics(reset=True), "up")
        with pytest.raises(ConnectionResetError):
            await talk(proxy)
        await echo.ended.wait()
        assert echo.received == b""


async def test_swallowed_bytes_vanish_and_the_connection_stays_open() -> None:
    """Nothing comes back and nobody hangs up, until the toxic is taken away."""
    async with proxied() as (proxy, echo, _):
        proxy.set(Toxics(swallow=True), "down")
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"lost")
        await echo.heard.wait()
        proxy.set(Toxics())
        writer.write(b"found")
        async with asyncio.timeout(GUARD_S):
            back = await reader.readexactly(5)
        # What the proxy had not read yet when it was changed may pass: its end is the same.
        assert back == b"found" or (back + await reader.readexactly(4)) == b"lostfound"
        assert proxy.open_connections == 1
        writer.transport.abort()


async def test_a_slicer_cuts_what_is_sent_into_pieces() -> None:
    """Nothing is lost, and nothing arrives in larger pieces than the slice when the reader keeps up."""
    async with proxied() as (proxy, echo, _):
        proxy.set(Toxics(slice_bytes=7), "up")
        assert await talk(proxy) == HELLO
        assert echo.received == HELLO
        assert len(echo.pieces) > 1


async def test_limited_data_ends_the_connection_after_so_many_bytes() -> None:
    """The client gets the first thirty bytes and then the end."""
    async with proxied() as (proxy, _, _):
        proxy.set(Toxics(limit_bytes=30), "down")
        assert await talk(proxy) == HELLO[:30]


async def test_bandwidth_and_slow_close_take_the_time_they_say() -> None:
    """A hundred bytes at fifty a second take two seconds; the end is held back by its own."""
    async with proxied() as (proxy, echo, pauses):
        proxy.set(Toxics(bandwidth=50.0, slow_close_s=3.0), "up")
        assert await talk(proxy) == HELLO
        await echo.ended.wait()
    assert sum(pauses.seconds) == pytest.approx(2.0 + (3.0 if 3.0 in pauses.seconds else 0.0))
    assert max(pauses.seconds) <= 3.0


async def test_down_refuses_and_drops_and_up_listens_on_the_same_port() -> None:
    """Open connections end, new ones are refused, and afterwards all is as before."""
    async with proxied() as (proxy, _, _):
        port = proxy.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"a")
        async with asyncio.timeout(GUARD_S):
            assert await reader.readexactly(1) == b"a"
            await proxy.down()
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await talk(proxy)
        writer.transport.abort()
        await proxy.up()
        assert (await talk(proxy), proxy.port, proxy.is_down) == (HELLO, port, False)


async def test_a_server_that_is_not_there_ends_the_connection() -> None:
    """The proxy itself goes on."""
    async with proxied() as (proxy, _, _):
        there, proxy.upstream = proxy.upstream, Address(path="/nowhere/at/all")
        with pytest.raises(ConnectionResetError):
            await talk(proxy)
        proxy.upstream = there
        assert await talk(proxy) == HELLO
