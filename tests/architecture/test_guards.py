"""The guards of ``tests/support`` refuse what they promise to refuse, and let pass what tests need."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from blockbuster import BlockingError

import configs.kernel
from tests.support.clock import FakeClock
from tests.support.guards import NetworkGuard, NetworkRefused, is_loopback, scrubbed, tasks_left_behind
from tests.support.reports import sendable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "", None, b"127.0.0.1"])
def test_loopback_is_allowed(host: object) -> None:
    """Every form of this machine's own address passes."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "8.8.8.8", "::", "example.org", "localhost.example.org"])
def test_anything_else_is_not_loopback(host: str) -> None:
    """Other addresses and names that need a look-up do not pass."""
    assert not is_loopback(host)


def test_a_connection_beyond_loopback_is_refused_and_remembered(network: NetworkGuard) -> None:
    """The refusal comes before a packet is sent, and stays on record."""
    with socket.socket() as sock, pytest.raises(NetworkRefused):
        sock.connect(("192.0.2.1", 80))
    assert network.forgive() == ["socket.connect '192.0.2.1'"]


def test_a_name_look_up_is_refused(network: NetworkGuard) -> None:
    """Asking a name server is leaving the machine too."""
    with pytest.raises(NetworkRefused):
        socket.getaddrinfo("example.org", 80)
    assert len(network.forgive()) == 1


def test_a_swallowed_refusal_still_fails_the_test(network_guard: NetworkGuard) -> None:
    """Code that catches everything cannot hide an attempt: leaving the guard raises."""
    with (
        pytest.raises(NetworkRefused, match="tried to leave"),
        network_guard.watching(),
        contextlib.suppress(NetworkRefused),
    ):
        socket.getaddrinfo("example.org", 80)
    network_guard.forgive()


async def test_loopback_and_unix_sockets_work_under_the_guard(tmp_path: Path) -> None:
    """A server on 127.0.0.1 and one on a unix socket can both be reached."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(1))
        writer.close()

    async def ask(open_connection: Callable[[], Awaitable[Streams]]) -> bytes:
        reader, writer = await open_connection()
        writer.write(b"x")
        got = await reader.read()
        writer.close()
        await writer.wait_closed()
        return got

    path = str(tmp_path / "s")
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as tcp:
        port = tcp.sockets[0].getsockname()[1]
        assert await ask(lambda: asyncio.open_connection("127.0.0.1", port)) == b"x"
    async with await asyncio.start_unix_server(answer, path):
        assert await ask(lambda: asyncio.open_unix_connection(path)) == b"x"


def test_variables_that_change_results_are_scrubbed() -> None:
    """Settings, keys and tracing switches go; what processes need to run stays."""
    env = dict.fromkeys(
        ["SWITCHGEAR_PROFILE", "OPENAI_API_KEY", "GROQ_API_KEY", "LANGSMITH_TRACING", "PATH", "HOME"]
    )
    assert scrubbed(env) == ("SWITCHGEAR_PROFILE", "OPENAI_API_KEY", "GROQ_API_KEY", "LANGSMITH_TRACING")


def test_no_scrubbed_variable_reaches_a_test() -> None:
    """Only the switch that turns tracing off is left."""
    assert scrubbed(os.environ) == ("LANGSMITH_TRACING",)
    assert os.environ["LANGSMITH_TRACING"] == "false"


async def test_a_blocking_call_of_our_own_code_raises_in_the_loop(tmp_path: Path) -> None:
    """A file read on the event loop, made by a module under ``configs``, is an error."""
    planted = tmp_path / "f"
    planted.write_text("x")
    own = Path(configs.kernel.__file__).with_name("planted.py")
    namespace: dict[str, Callable[[Path], str]] = {}
    code = compile("def read(path):\n    return path.read_text()\n", str(own), "exec")
    exec(code, namespace)  # noqa: S102 - the planted module must seem to live in one of our packages
    with pytest.raises(BlockingError):
        namespace["read"](planted)
    assert await asyncio.to_thread(namespace["read"], planted) == "x"


async def test_a_task_that_outlives_its_test_is_named() -> None:
    """A pending task is reported by name; once it has ended there is nothing to report."""
    never = asyncio.Event()
    task = asyncio.create_task(never.wait(), name="forgotten")
    assert [line.split(":")[0] for line in await tasks_left_behind()] == ["forgotten"]
    task.cancel()
    assert await tasks_left_behind() == []


def test_the_fake_clock_moves_only_when_told() -> None:
    """Two readings are equal until ``advance``."""
    clock = FakeClock()
    before = clock()
    assert clock() == before
    assert clock.advance(2.5) == before + 2.5 == clock.now_s


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_the_fake_clock_refuses_impossible_steps(seconds: float) -> None:
    """A monotonic clock never goes back and never jumps to nowhere."""
    with pytest.raises(ValueError, match="cannot move"):
        FakeClock().advance(seconds)


def test_every_async_test_gets_the_task_check(pytester: pytest.Pytester) -> None:
    """A test that leaves a task running fails, although its own body passed."""
    pytester.makeconftest(
        "from tests.conftest import *  # noqa: F403\nfrom tests.conftest import _clean_environment"
    )
    pytester.makepyfile(
        """
        import asyncio

        async def test_leaky():
            keep = asyncio.create_task(asyncio.Event().wait(), name="leak")
            globals()["keep"] = keep
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-o", "asyncio_mode=auto")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*tasks left behind*leak*"])


def test_a_failure_about_invalid_text_can_be_reported() -> None:
    """Lone surrogates become escapes wherever they stand; everything else stays as it is."""
    report = {"text": "a\udcffb", "lines": ["\ud800", ("x", 1)], "when": None}
    assert sendable(report) == {"text": r"a\udcffb", "lines": [r"\ud800", ("x", 1)], "when": None}
