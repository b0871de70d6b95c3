"""What every test is kept from doing: leaving this machine, blocking the event loop, leaving tasks behind.

The guards act inside the test process only; a child process that a test starts is outside their reach.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import cast

from blockbuster import BlockBuster

OWN_PACKAGES = ("engine", "agents", "memory", "mcp_tools", "configs")
SCRUBBED_PREFIXES = ("SWITCHGEAR_", "LANGSMITH_", "LANGCHAIN_", "LANGGRAPH_", "OTEL_", "OPENAI_", "ANTHROPIC_")
SCRUBBED_SUFFIXES = ("_API_KEY", "_PROXY", "_proxy")
# (file the blocking call may come from, function in it, why it may)
MAY_BLOCK: tuple[tuple[str, str, str], ...] = ()
SETTLE_ROUNDS = 10  # loop passes that a cancelled task gets to end in, before it counts as left behind


class NetworkRefused(Exception):
    """A test tried to reach something beyond loopback. Not an ``OSError``, which a retry would swallow."""


def is_scrubbed(name: str) -> bool:
    """Whether an environment variable could change what a test sees."""
    return name.startswith(SCRUBBED_PREFIXES) or name.endswith(SCRUBBED_SUFFIXES)


def scrubbed(env: Iterable[str]) -> tuple[str, ...]:
    """Names in ``env`` to remove before a test."""
    return tuple(name for name in env if is_scrubbed(name))


def is_loopback(host: object) -> bool:
    """Whether a host is this machine. Of names only ``localhost`` is: resolving another asks a server."""
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host is None or host in {"", "localhost"}:
        return True
    try:
        return ipaddress.ip_address(str(host).split("%", 1)[0]).is_loopback
    except ValueError:
        return False


class NetworkGuard:
    """Refuses and remembers every attempt to leave loopback, by Python's audit events.

    Audit hooks see what monkeypatched sockets miss (C callers of ``connect``, name look-ups). They cannot be
    removed, so one is installed per process and does nothing while ``active`` is false.
    """

    def __init__(self) -> None:
        self.active = False
        self.refused: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[object, ...]) -> None:
        if not self.active or not event.startswith("socket."):
            return
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            sock, address = args[0], args[1]
            if isinstance(sock, socket.socket) and sock.family not in {socket.AF_INET, socket.AF_INET6}:
                return
            if isinstance(address, tuple) and address:
                self._judge(event, cast("tuple[object, ...]", address)[0])
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._judge(event, args[0])

    def _judge(self, event: str, host: object) -> None:
        if not is_loopback(host):
            self.refused.append(f"{event} {host!r}")
            raise NetworkRefused(f"{event} to {host!r}: tests stay on loopback")

    @contextmanager
    def watching(self) -> Generator[NetworkGuard]:
        """Refuse for the length of one test; fails it at the end even if its code swallowed the refusal."""
        self.refused.clear()
        self.active = True
        try:
            yield self
        finally:
            self.active = False
        if self.refused:
            raise NetworkRefused(f"this test tried to leave loopback: {'; '.join(self.refused)}")

    def forgive(self) -> list[str]:
        """What was refused so far, and forget it: for tests of the guard itself."""
        seen, self.refused[:] = list(self.refused), []
        return seen


def loop_guard() -> BlockBuster:
    """A detector of blocking calls that our own packages make on the event loop."""
    guard = BlockBuster(scanned_modules=list(OWN_PACKAGES))
    for function in guard.functions.values():
        for filename, name, _reason in MAY_BLOCK:
            function.can_block_in(filename, name)
    return guard


async def tasks_left_behind() -> list[str]:
    """Tasks still pending after everything that was cancelled had its chance to end."""
    mine = asyncio.current_task()
    for _ in range(SETTLE_ROUNDS):
        await asyncio.sleep(0)
    pending = [task for task in asyncio.all_tasks() if task is not mine and not task.done()]
    return sorted(f"{task.get_name()}: {task.get_coro()!r}" for task in pending)


def scrub_environment() -> None:
    """Scrub this process before the first import of anything that reads the environment once."""
    for name in scrubbed(os.environ):
        del os.environ[name]
    os.environ["LANGSMITH_TRACING"] = "false"
