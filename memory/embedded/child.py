"""One server process of a minder: start it so that it cannot outlive its minder, see it end, stop it.

Holds ``child.lock`` through its inherited descriptor, so that the next server of the folder starts only when this
one is really gone: two Redis servers on one append-only file would destroy it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, cast

from memory.embedded.folder import Home
from memory.embedded.locks import open_lock, try_exclusive
from memory.embedded.values import Plan

PR_SET_PDEATHSIG = 1
DIES_WITH_PARENT = sys.platform == "linux"


class Child:
    """The process, from start to end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def ended(self) -> str | None:
        """How it ended, in words; ``None`` while it runs. Reaps it."""
        code = self._process.poll()
        if code is None:
            return None
        if code >= 0:
            return f"exited with status {code}"
        return f"was killed by {signal.Signals(-code).name}"

    def ask_to_stop(self) -> None:
        """SIGTERM: Redis syncs its file and leaves."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL to it and to what it started, unless it has ended; returns when the kernel has taken it away."""
        if self._process.poll() is None:  # reaped means that the group's number may be someone else's
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


def take_child_lock(home: Home, wait: Callable[[], bool]) -> FileIO:
    """The lock that the next child will inherit, once no earlier child of this folder is left.

    ``wait`` pauses briefly and says whether to go on; ``TimeoutError`` when it does not.
    """
    lock = open_lock(home.child_lock)
    if not DIES_WITH_PARENT and not try_exclusive(lock):
        end_leftover(home.child_lock)
    while not try_exclusive(lock):
        if not wait():
            lock.close()
            raise TimeoutError("an earlier server of this folder does not end")
    return lock


def end_leftover(child_lock: Path) -> None:
    """Kill the server whose minder died where the kernel does not do it (macOS).

    Its pid cannot have been reused: the caller saw the lock held, and only that process holds it.
    """
    with suppress(ValueError, ProcessLookupError):
        os.kill(int(child_lock.read_text()), signal.SIGKILL)


def start_child(plan: Plan, home: Home, lock: FileIO) -> Child:
    """Start the server with ``lock``, which this process lets go of. Raises ``OSError``.

    The caller is single-threaded towards Python and is the thread whose death kills the child (prctl(2)).
    """
    with lock, home.server_log.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 - argv comes from our own specs
            plan.argv,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=home.data,
            env=plan.env,
            pass_fds=(lock.fileno(),),
            process_group=0,
            preexec_fn=_die_with(os.getpid()) if DIES_WITH_PARENT else None,  # noqa: PLW1509 - prctl needs it
        )
        os.ftruncate(lock.fileno(), 0)
        os.pwrite(lock.fileno(), str(process.pid).encode(), 0)
    with (
        suppress(BrokenPipeError),
        cast("IO[bytes]", process.stdin) as stdin,
    ):  # it may have died already; `ended` says how
        stdin.write(plan.config.encode(errors="surrogateescape"))
    return Child(process)


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork, which must not allocate much

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return in_child
