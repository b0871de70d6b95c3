"""Stops, wakes and kills processes that the caller has started itself, never one known by number only."""

from __future__ import annotations

import os
import signal
import subprocess
from asyncio.subprocess import Process

Started = subprocess.Popen[bytes] | Process
"""The handle is the proof: whoever holds it has started the process, and its pid cannot have been given away."""


def kill(process: Started) -> None:
    """SIGKILL: no clean-up, as in a crash or out of memory. Nothing happens when it has ended already."""
    _send(process, signal.SIGKILL)


def stop(process: Started) -> None:
    """SIGSTOP: it keeps its connections and answers nothing, as in a long pause (fault 72)."""
    _send(process, signal.SIGSTOP)


def resume(process: Started) -> None:
    """SIGCONT after ``stop``."""
    _send(process, signal.SIGCONT)


def _send(process: Started, what: signal.Signals) -> None:
    ended = process.poll() if isinstance(process, subprocess.Popen) else process.returncode
    if ended is None:
        os.kill(process.pid, what)
