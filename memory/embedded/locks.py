"""Advisory file locks by ``flock``: the kernel lets go of them when their holder dies, however it dies.

Not POSIX ``fcntl`` locks, which a process loses as soon as it closes *any* descriptor of the file. A lock here
belongs to the open file: a child that inherits the descriptor shares it.
"""

from __future__ import annotations

import os
import sys
from io import FileIO
from pathlib import Path

if sys.platform != "win32":
    import fcntl

    flock = fcntl.flock
else:

    def flock(fd: FileIO, operation: int, /) -> None:
        """Never reached: ``attach`` refuses this platform first."""
        raise OSError(f"no flock here for {fd.name}, {operation}")


SUPPORTED = sys.platform != "win32"
SHARED, EXCLUSIVE, NO_WAIT = 1, 2, 4  # LOCK_SH, LOCK_EX, LOCK_NB of flock(2), the same on Linux, BSD and macOS


def open_lock(path: Path) -> FileIO:
    """Open a lock file, made when missing, readable by its owner only and inherited only on purpose (PEP 446)."""
    return FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")


def try_exclusive(file: FileIO) -> bool:
    """Take the lock for one holder, without waiting; whether it worked."""
    return _try(file, EXCLUSIVE)


def try_shared(file: FileIO) -> bool:
    """Take the lock beside other sharers, without waiting; whether it worked."""
    return _try(file, SHARED)


def take_exclusive(file: FileIO) -> None:
    """Take the lock for one holder, however long that takes."""
    flock(file, EXCLUSIVE)


def is_held(path: Path) -> bool:
    """Whether someone holds the lock exclusively. Makes nothing; a file that does not exist is not held."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    with FileIO(fd) as file:
        return not try_shared(file)


def _try(file: FileIO, kind: int) -> bool:
    try:
        flock(file, kind | NO_WAIT)
    except BlockingIOError:
        return False
    return True
