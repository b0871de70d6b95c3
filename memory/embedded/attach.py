"""Attach to a backend of a data folder, starting it when nobody has: the engine's only door to ``embedded``.

The rules, all of them on ``flock`` (``memory/embedded/folder.py`` lists the files)::

    attach   start.lock exclusive → users.lock shared (waits for a minder that is stopping)
             → minder.lock free?  start a minder that inherits it, and wait for its answer
             → minder.lock held?  wait until ready.json names a server that answers
             → start.lock free; users.lock stays shared for as long as the attachment lives
    leave    users.lock free. The minder, which waits for it exclusively, stops the server and goes

Blocking work happens in a thread. Nothing here knows what a Redis or a model is.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from configs.settings import EmbeddedSettings
from memory.embedded import locks
from memory.embedded.attempt import STEP_S, Attempt
from memory.embedded.folder import Home, make_home, read_ready, usable
from memory.embedded.launch import installed, launch
from memory.embedded.probe import ask
from memory.embedded.values import BackendSpec, Phase, Progress, Running
from memory.errors import FolderNotUsable

STOP_NOTICE_S = 0.25
"""How long ``leave`` looks for a sign that the backend is stopping before it takes it to be wanted by others."""


class Attachment:
    """One user of a running backend. Leave it, or use it as ``async with``; the process' end leaves it too.

    A server that crashes is restarted with the same address and secret. When the minder itself was killed, attach
    again and leave this one: a unix socket and the secret are then still the same, a port usually.
    """

    def __init__(self, name: str, home: Home, running: Running, users: FileIO, settings: EmbeddedSettings) -> None:
        self.name = name
        self.address = running.address
        """``unix:///path`` for redis-py, or the base URL of an OpenAI-compatible server."""
        self.secret: SecretStr | None = SecretStr(running.secret)
        """Password of Redis' default user, or API key."""
        self.version = running.version
        self._home = home
        self._users = users
        self._stop_s = settings.stop_s

    async def leave(self) -> None:
        """Stop using the backend. Returns when it has stopped, if this was its last user. May be called twice."""
        if not self._users.closed:
            await asyncio.to_thread(self._leave)

    def abandon(self) -> None:
        """Stop using the backend without waiting for anything."""
        self._users.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    def _leave(self) -> None:
        last = locks.try_exclusive(self._users)  # works only when nobody else shares it
        self.abandon()
        if not last:
            with suppress(FileNotFoundError), locks.open_lock(self._home.users_lock) as users:
                last = not locks.try_shared(users)  # the minder was quicker
        now_s = time.monotonic()
        while last and locks.is_held(self._home.minder_lock) and time.monotonic() < now_s + self._stop_s:
            if time.monotonic() > now_s + STOP_NOTICE_S and self._home.ready.exists():
                return  # someone attached in between
            time.sleep(STEP_S)


async def attach(
    spec: BackendSpec,
    data_dir: Path,
    settings: EmbeddedSettings,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> Attachment:
    """Use the backend ``spec`` of ``data_dir``, starting it if nobody does. Several at once may ``gather``.

    ``progress`` is called on the event loop. Cancelling leaves no lock and no process behind. Raises
    ``BackendNotInstalled``, ``BackendFileError``, ``BackendUnavailable``, ``FolderNotUsable``.
    """
    loop = asyncio.get_running_loop()

    def say(phase: Phase) -> None:
        if progress is not None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody is looking
                loop.call_soon_threadsafe(progress, Progress(backend=spec.name, phase=phase))

    attempt = Attempt(spec, settings, say)
    work = asyncio.ensure_future(asyncio.to_thread(_attach, attempt, data_dir))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        attempt.give_up()
        work.add_done_callback(_release)
        await asyncio.wait((work,))
        raise


def _release(work: asyncio.Future[Attachment]) -> None:
    if not work.cancelled() and work.exception() is None:
        work.result().abandon()


def _attach(attempt: Attempt, data_dir: Path) -> Attachment:
    """The whole attempt, in its own thread."""
    name = attempt.spec.name
    installed(attempt.spec)
    home = make_home(data_dir, name)
    with usable(home.folder), locks.open_lock(home.start_lock) as start:
        attempt.wait_for(lambda: locks.try_exclusive(start), "another process is still starting it")
        users = locks.open_lock(home.users_lock)
        try:
            attempt.wait_for(lambda: locks.try_shared(users), "the one before is still stopping")
            running = _running(attempt, home)
            attempt.go_on("it came up too late")
        except BaseException:
            users.close()
            raise
    attempt.say("ready")
    return Attachment(name, home, running, users, attempt.settings)


def _running(attempt: Attempt, home: Home) -> Running:
    """The server of this folder: the one that runs, or a new one."""
    while True:
        with locks.open_lock(home.minder_lock) as minder:
            if locks.try_exclusive(minder):
                return launch(attempt, home, minder)
        running = read_ready(home)
        if running is not None and _answers(attempt, running):
            return running
        if running is not None and running.state == "ready" and running.host != os.uname().nodename:
            raise FolderNotUsable(
                str(home.folder),
                f"is in use by the machine {running.host!r}, which cannot be reached from here",
                hint="give each machine its own folder with `data_dir` or SWITCHGEAR_HOME",
            )
        attempt.pause(_obstacle(running))


def _answers(attempt: Attempt, running: Running) -> bool:
    if running.state != "ready":  # it may answer already, but its minder has not examined it yet
        return False
    health = ask(attempt.spec.probe, running.address, running.secret, attempt.settings.probe_s)
    return health is not None and health.ok


def _obstacle(running: Running | None) -> str:
    if running is None:
        return "it is starting and not ready yet"
    if running.state == "restarting":
        return f"it is being restarted: {running.detail}"
    return f"the server with pid {running.pid} does not answer"
