"""The folder of one embedded backend: what lies where, who may use it, and where its socket goes.

``<data_dir>/embedded/<name>/``, 0700::

    start.lock    held while someone attaches and, if need be, starts
    users.lock    shared by every user for as long as it is attached; exclusive for a minder that is stopping
    minder.lock   held by the minder for its whole life
    child.lock    held by the server for its whole life; contains its pid
    ready.json    what the minder says of the server (0600, it holds the secret)
    secret        what callers must show; kept, so that who outlives a minder can go on with the next one
    endpoint.json the port of a server that chose its own; kept, so that the next one takes the same if it is free
    socket        the unix socket, or a link to a private folder with a shorter path that holds it
    minder.log, server.log
    data/         what the server keeps
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from memory.embedded.values import Running
from memory.errors import FolderNotUsable

SHORT_PREFIX = "switchgear-"
REDIS_PREFIX = re.compile(r"^\d+:[A-Z] .{24} [*#.-] ")
LOG_TAIL_LINES = 4
LOG_TAIL_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Home:
    """Paths in the folder of one backend."""

    folder: Path

    @property
    def start_lock(self) -> Path:
        """Held while attaching."""
        return self.folder / "start.lock"

    @property
    def users_lock(self) -> Path:
        """Shared by users."""
        return self.folder / "users.lock"

    @property
    def minder_lock(self) -> Path:
        """Held by the minder."""
        return self.folder / "minder.lock"

    @property
    def child_lock(self) -> Path:
        """Held by the server."""
        return self.folder / "child.lock"

    @property
    def ready(self) -> Path:
        """What runs."""
        return self.folder / "ready.json"

    @property
    def endpoint(self) -> Path:
        """Where a server on loopback listens."""
        return self.folder / "endpoint.json"

    @property
    def secret(self) -> Path:
        """What callers must show."""
        return self.folder / "secret"

    @property
    def socket(self) -> Path:
        """The unix socket, or a link to the folder that holds it."""
        return self.folder / "socket"

    @property
    def minder_log(self) -> Path:
        """Standard error of the minder."""
        return self.folder / "minder.log"

    @property
    def server_log(self) -> Path:
        """Output of the server."""
        return self.folder / "server.log"

    @property
    def data(self) -> Path:
        """Working folder of the server."""
        return self.folder / "data"


def home_of(data_dir: Path, name: str) -> Home:
    """Where the backend ``name`` of a data folder lives. Makes nothing."""
    return Home(data_dir.expanduser().resolve() / "embedded" / name)


def make_home(data_dir: Path, name: str) -> Home:
    """Make the folder of a backend, or check the one that is there. Raises ``FolderNotUsable``."""
    home = home_of(data_dir, name)
    with usable(home.folder):
        home.folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (home.folder.parent, home.folder, home.data):
            path.mkdir(mode=0o700, exist_ok=True)
            _make_private(path)
    return home


@contextlib.contextmanager
def usable(folder: Path) -> Generator[None]:
    """Turn what the file system refuses inside the block into ``FolderNotUsable``."""
    try:
        yield
    except OSError as exc:
        where = exc.filename if isinstance(exc.filename, str) else str(folder)
        raise FolderNotUsable(str(folder), f"is not usable: {exc.strerror}: {where}") from exc


def _make_private(path: Path) -> None:
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode):
        raise FolderNotUsable(str(path), "must be a folder, not a link or a file")
    if seen.st_uid != os.geteuid():
        raise FolderNotUsable(
            str(path),
            f"belongs to user {seen.st_uid}, this process is user {os.geteuid()}",
            hint="run as that user, or choose another folder with `data_dir` or SWITCHGEAR_HOME",
        )
    if stat.S_IMODE(seen.st_mode) & 0o077:
        path.chmod(0o700)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, readable by its owner only. Raises ``OSError``."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
            file.write(data)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_ready(home: Home) -> Running | None:
    """What the minder last said; ``None`` for nothing and for what is not its writing (a torn disk)."""
    try:
        return Running.from_json(home.ready.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def log_tail(path: Path, secret: str = "") -> str:
    """The last lines of a log, for an error message: without Redis' prefixes and without the secret."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [REDIS_PREFIX.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    tail = " | ".join(lines[-LOG_TAIL_LINES:])
    return tail.replace(secret, "…") if secret else tail


def remove_leftovers(home: Home) -> None:
    """Remove what a start or a run made; the caller holds the minder's lock."""
    home.ready.unlink(missing_ok=True)
    if home.socket.is_symlink():
        _remove_short_folder(home.socket.readlink())
    home.socket.unlink(missing_ok=True)


def _remove_short_folder(short: Path) -> None:
    """Remove a folder that ``place_socket`` made; anything that does not look like one is left alone."""
    with contextlib.suppress(FileNotFoundError):
        seen = short.lstat()
        ours = stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid()
        if ours and short.name.startswith(SHORT_PREFIX):
            (short / "socket").unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # someone put more into it: not ours to remove
                short.rmdir()
