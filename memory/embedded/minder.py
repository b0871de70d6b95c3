"""The minder: one small process per backend and data folder that starts a server, watches it and stops it.

Run as ``python -m memory.embedded.minder NAME DATA_DIR`` with a ``Plan`` on standard input; the arguments are
there for ``ps``. It answers on standard output with one JSON line, ``{"ready": …}`` or ``{"failed": …}``,
and then lives until nobody shares ``users.lock`` any more. It holds ``minder.lock``, inherited, all its life.

Not a daemon of the machine: it serves one folder, listens to nothing, and dies with its last user.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from memory.embedded.child import Child, start_child, take_child_lock
from memory.embedded.folder import Home, log_tail, remove_leftovers, write_private
from memory.embedded.locks import open_lock
from memory.embedded.probe import Health, ask, keeps_strangers_out
from memory.embedded.values import Plan, Running, State
from memory.embedded.wake import Dismissed, Wake

STEP_S = 0.005
HUNG_PROBES = 5
"""Unanswered in a row, spread over ``hung_s``: a paused machine must not look like a hung server."""


class ChildEnded(Exception):
    """The server ended, or had to be ended, while it was wanted; the text says how."""


class Minder:
    """The life of one server over all its restarts."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._home = Home(Path(plan.folder))
        self._users = open_lock(self._home.users_lock)
        self._wake = Wake(self._users)
        self._child: Child | None = None
        self._address = plan.address or ""
        self._version = ""
        self._started_at_s = time.time()
        self._restarts = 0

    def run(self) -> None:
        """Until dismissed. Always leaves the folder without server, socket and ``ready.json``."""
        failure = f"the minder broke, see {self._home.minder_log}"
        try:
            self._start_first()
            answer({"ready": self._publish("ready")})
            self._keep_alive()
        except Dismissed:
            failure = "nobody waited for it any more"
        except (ChildEnded, OSError) as exc:
            failure = str(exc)
        finally:
            self._clear_folder()
            self._stop_child()
            os.close(self._plan.lock_fd)  # first, so that a starter who hears of a failure finds the folder free
            answer({"failed": failure})  # heard only by a starter that was told nothing yet

    def _start_first(self) -> None:
        """``_start``, a second time without the snapshot when the server dies on it."""
        try:
            self._start()
        except ChildEnded as exc:
            if not self._remove_snapshots():
                raise
            self._note(f"starting again without its snapshot: {exc}")
            self._start()

    def _remove_snapshots(self) -> bool:
        """Whether there were any."""
        found = [path for pattern in self._plan.snapshots for path in self._home.data.glob(pattern)]
        for path in found:
            path.unlink(missing_ok=True)
        return bool(found)

    def _start(self) -> None:
        """Start a server and wait until it is well. Raises ``ChildEnded``, ``OSError``, ``TimeoutError``."""
        deadline_s = time.monotonic() + self._plan.start_s

        def pause() -> bool:
            self._wake.wait(STEP_S)
            return time.monotonic() < deadline_s

        self._child = start_child(self._plan, self._home, take_child_lock(self._home, pause))
        health = None
        while health is None or not health.ok:
            if not pause():
                said = health.detail if health else "no answer"
                raise TimeoutError(f"not ready after {self._plan.start_s:g} s: {said}")
            self._raise_if_ended()
            health = self._ask()
        self._admit(health)

    def _admit(self, health: Health) -> None:
        """Refuse a server with known holes, however well it feels."""
        plan = self._plan
        self._version = health.version or self._version
        if plan.min_version is not None and _parts(self._version) < _parts(plan.min_version):
            raise OSError(f"version {self._version} is too old, at least {plan.min_version} is needed")
        if not keeps_strangers_out(plan.probe, self._address, plan.probe_s):
            raise OSError("the server does not check its password")
        self._remove_snapshots()

    def _ask(self) -> Health | None:
        if self._plan.address is None and not self._find_endpoint():
            return None
        return ask(self._plan.probe, self._address, self._plan.secret, self._plan.probe_s)

    def _find_endpoint(self) -> bool:
        """Read the address that this very child wrote, not that of the one before."""
        with suppress(FileNotFoundError, ValueError):
            endpoint = json.loads(self._home.endpoint.read_bytes())
            if self._child is not None and endpoint["pid"] == self._child.pid:
                self._address, self._version = endpoint["address"], endpoint["version"]
                return True
        return False

    def _keep_alive(self) -> NoReturn:
        """Restart the server whenever it ends; left only by ``Dismissed``."""
        plan = self._plan
        backoff_s = plan.backoff_s
        while True:
            well_since_s = time.monotonic()
            try:
                self._watch()
            except ChildEnded as exc:
                failure = str(exc)
            if time.monotonic() - well_since_s > plan.backoff_s_max:
                backoff_s = plan.backoff_s
            while failure:
                self._restarts += 1
                self._note(f"restart {self._restarts} in {backoff_s:g} s: {failure}")
                self._publish("restarting", failure)
                self._pause(backoff_s)
                backoff_s = min(2 * backoff_s, plan.backoff_s_max)
                failure = self._try_again()
            self._publish("ready")

    def _try_again(self) -> str:
        """One more start; why it failed, or nothing."""
        try:
            self._start()
        except (ChildEnded, OSError) as exc:
            self._stop_child()
            return str(exc)
        return ""

    def _watch(self) -> NoReturn:
        """While the server is well. Raises ``ChildEnded`` when it is not, ``Dismissed`` when nobody cares."""
        every_s = self._plan.hung_s / HUNG_PROBES if self._plan.hung_s is not None else None
        next_s = time.monotonic() + every_s if every_s is not None else None
        missed = 0
        while True:
            self._wake.wait(max(0.0, next_s - time.monotonic()) if next_s is not None else None)
            self._raise_if_ended()
            if every_s is None or next_s is None or time.monotonic() < next_s:
                continue
            next_s = time.monotonic() + every_s
            missed = missed + 1 if self._ask() is None else 0
            if missed >= HUNG_PROBES and self._child is not None:
                self._child.kill()
                raise ChildEnded(f"did not answer for {self._plan.hung_s:g} s and was killed")

    def _pause(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            self._wake.wait(left_s)

    def _raise_if_ended(self) -> None:
        how = self._child.ended() if self._child is not None else None
        if how is not None:
            tail = log_tail(self._home.server_log, self._plan.secret)
            raise ChildEnded(f"the server {how}" + (f"; its log ends: {tail}" if tail else ""))

    def _publish(self, state: State, detail: str = "") -> dict[str, object]:
        plan, child = self._plan, self._child
        running = Running(
            state=state,
            address=self._address,
            secret=plan.secret,
            version=self._version,
            minder_pid=os.getpid(),
            pid=child.pid if child is not None else 0,
            host=os.uname().nodename,
            started_at_s=self._started_at_s,
            restarts=self._restarts,
            detail=detail,
        )
        document = running.to_json()
        try:
            write_private(self._home.ready, document)
        except OSError as exc:
            if state == "ready" and self._restarts == 0:
                raise
            self._note(f"cannot write {self._home.ready}: {exc}")  # users still have the old address, which holds
        return json.loads(document)

    def _stop_child(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if self._is_my_folder():
            child.ask_to_stop()
        else:
            child.kill()  # a clean exit would remove the socket of whoever has this path now
        until_s = time.monotonic() + self._plan.stop_s
        while child.ended() is None and (left_s := until_s - time.monotonic()) > 0:
            self._wake.settle(left_s)
        child.kill()

    def _clear_folder(self) -> None:
        """Remove our traces."""
        with suppress(OSError):
            if self._is_my_folder():
                remove_leftovers(self._home)

    def _is_my_folder(self) -> bool:
        """Whether the path still leads to the folder we started in: it may have been deleted and made again."""
        try:
            there = self._home.users_lock.stat()
        except OSError:
            return False
        mine = os.fstat(self._users.fileno())
        return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    @staticmethod
    def _note(text: str) -> None:
        """One line for ``minder.log``."""
        with suppress(OSError):
            sys.stderr.write(f"{text}\n")


def answer(document: dict[str, object]) -> None:
    """Tell the starter, once: afterwards standard output leads nowhere. A starter that has gone is no error."""
    with suppress(OSError):
        os.write(1, json.dumps(document).encode() + b"\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def main() -> None:
    """Read the plan, leave the starter's process tree, mind."""
    plan = Plan.from_json(sys.stdin.buffer.read())
    if os.fork():  # the starter reaps this process at once and never sees the minder as its child
        os._exit(0)
    Minder(plan).run()
    os._exit(0)  # not a return: a thread may still wait for the users' lock


if __name__ == "__main__":
    main()
