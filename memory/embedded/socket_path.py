"""Where a backend's unix socket goes. Of the starter only: the minder is told the result."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
from pathlib import Path

from memory.embedded.folder import SHORT_PREFIX, Home

SOCKET_PATH_MAX = 107 if sys.platform == "linux" else 103
"""Bytes of ``sun_path`` without its closing NUL: unix(7) says 108 on Linux, 104 on BSD and macOS."""
SHORT_NAME_MAX = len(SHORT_PREFIX) + 32


def place_socket(home: Home) -> Path:
    """Choose where the server listens: in its folder, else in a fresh private folder under the temporary one.

    The second is for paths over the platform's limit, paths that a URL cannot carry, and file systems without
    sockets (shared folders of virtual machines). ``mkdtemp`` makes a name nobody can guess or take first; the
    link left in the backend's folder lets the next start clean up after a ``kill -9``. Raises ``OSError``.
    """
    if _fits(home.socket) and _can_bind(home.socket):
        return home.socket
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp below makes the private folder
        if len(os.fsencode(parent)) + SHORT_NAME_MAX <= SOCKET_PATH_MAX and parent.isprintable():
            short = Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=parent))
            home.socket.symlink_to(short)
            return short / "socket"
    raise OSError(errno.ENAMETOOLONG, "no folder has a path short enough for a unix socket", tempfile.gettempdir())


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_MAX and str(path).isprintable()


def _can_bind(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.bind(str(path))
        except OSError:
            return False
    path.unlink()
    return True
