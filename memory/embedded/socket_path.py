"""Where a backend's unix socket goes. Of the starter only: the minder is told the result."""

from __future__ import annotations

import errno
import socket
import tempfile
from pathlib import Path

from memory.embedded.folder import SHORT_PREFIX, Home


def place_socket(home: Home) -> Path:
    """Choose where the server listens: in its folder, else in a fresh private folder under the temporary one.

    The second is for paths over the platform's limit (unix(7): 107 bytes on Linux), paths that a URL cannot carry,
    and file systems without sockets (shared folders of virtual machines). ``mkdtemp`` makes a name that nobody can
    guess or take first; the link in the backend's folder lets the next start clean up after a ``kill -9``. Raises
    ``OSError``.
    """
    if str(home.socket).isprintable() and _can_bind(home.socket):
        return home.socket
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - mkdtemp makes the private folder in it
        short = Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=parent))
        if parent.isprintable() and _can_bind(short / "socket"):
            home.socket.symlink_to(short)
            return short / "socket"
        short.rmdir()
    raise OSError(errno.ENAMETOOLONG, "no folder has a path short enough for a unix socket", tempfile.gettempdir())


def _can_bind(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as trial:
        try:
            trial.bind(str(path))
        except OSError:
            return False
    path.unlink()
    return True
