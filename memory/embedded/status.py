"""What runs in a data folder, for ``switchgear doctor``. Starts nothing, makes nothing, asks no server."""

from __future__ import annotations

import time
from pathlib import Path

from memory.embedded.folder import Home, home_of, read_ready, usable
from memory.embedded.locks import is_held
from memory.embedded.values import BackendStatus


def status(data_dir: Path) -> tuple[BackendStatus, ...]:
    """Every backend that this folder ever had, by name; a folder that does not exist has none.

    Raises ``FolderNotUsable`` when the folder cannot be read.
    """
    parent = home_of(data_dir, "_").folder.parent
    with usable(parent):
        if not parent.is_dir():
            return ()
        return tuple(_one(Home(folder)) for folder in sorted(parent.iterdir()) if folder.is_dir())


def _one(home: Home) -> BackendStatus:
    name = home.folder.name
    if not is_held(home.minder_lock):
        return BackendStatus(name=name, state="stopped")
    running = read_ready(home)
    if running is None:
        return BackendStatus(name=name, state="starting")
    return BackendStatus(
        name=name,
        state=running.state,
        address=running.address,
        version=running.version,
        pid=running.pid,
        minder_pid=running.minder_pid,
        uptime_s=max(0.0, time.time() - running.started_at_s),
        restarts=running.restarts,
        detail=running.detail,
    )
