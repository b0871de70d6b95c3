"""Make ``.venv`` match ``uv.lock``: find or fetch uv, let it install, stamp the result.

Runs on the standard library of Python 3.11 or newer, before anything is installed. Not a packaging tool: every
decision about versions is in ``pyproject.toml`` and ``uv.lock``. One lock file keeps concurrent calls apart.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
UV_HOME = ROOT / ".uv"
STAMP = VENV / ".ready"
INPUTS = (ROOT / "pyproject.toml", ROOT / "uv.lock", Path(__file__).resolve())
UV_PINNED = "0.13.8"
UV_OLDEST = (0, 11, 0)  # the same as `required-version` in pyproject.toml
EXTRAS = ("local", "dev")


class SetupFailed(Exception):
    """Set-up cannot go on; the message says what to do."""


def is_current(stamp: Path, inputs: tuple[Path, ...]) -> bool:
    """Whether the last set-up is newer than everything it was made from."""
    return stamp.exists() and all(stamp.stat().st_mtime_ns >= source.stat().st_mtime_ns for source in inputs)


def version_of(text: str) -> tuple[int, ...] | None:
    """The version in the output of ``uv --version``, or ``None`` when there is none."""
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", text)
    return tuple(int(part) for part in found.groups()) if found else None


def pip_environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` with the machine's certificates passed on: pip before 24.2 looks only at its own bundle."""
    bundle = env.get("SSL_CERT_FILE", "")
    if "PIP_CERT" in env or not bundle or not Path(bundle).is_file():
        return dict(env)
    return {**env, "PIP_CERT": bundle}


def uv_environment(env: Mapping[str, str]) -> dict[str, str]:
    """``env`` for uv: system certificates, the interpreter we found and no other, this project's ``.venv``."""
    dropped = {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON"}
    kept = {name: value for name, value in env.items() if name not in dropped}
    return {**kept, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}


def usable_uv(candidate: str | None) -> str | None:
    """``candidate`` if it runs and is recent enough."""
    if not candidate:
        return None
    try:
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = version_of(answer.stdout) if answer.returncode == 0 else None
    return candidate if version is not None and version >= UV_OLDEST else None


def fetch_uv() -> str:
    """Install the pinned uv into ``.uv`` with pip and return its path."""
    uv = UV_HOME / "venv" / "bin" / "uv"
    if found := usable_uv(str(uv)):
        return found
    say(f"uv is not installed: fetching uv {UV_PINNED} into .uv/")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(uv.parent.parent)], check=True)
    except subprocess.CalledProcessError as exc:
        raise SetupFailed(
            f"{sys.executable} cannot make a virtual environment; install its venv module "
            "(Debian and Ubuntu: apt install python3-venv) or install uv yourself"
        ) from exc
    python = str(uv.parent / "python")
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"uv=={UV_PINNED}"]
    try:
        subprocess.run(command, check=True, env=pip_environment(os.environ))
    except subprocess.CalledProcessError as exc:
        raise SetupFailed(
            f"pip could not install uv {UV_PINNED}: check the network; behind a proxy set SSL_CERT_FILE to its "
            "certificates, or install uv yourself"
        ) from exc
    if found := usable_uv(str(uv)):
        return found
    raise SetupFailed(f"uv {UV_PINNED} was installed at {uv} but does not run")


def find_uv() -> str:
    """The uv on PATH if it will do, else our own."""
    return usable_uv(shutil.which("uv")) or fetch_uv()


def sync(uv: str) -> None:
    """Install exactly what ``uv.lock`` says, with the interpreter that runs this file."""
    extras = [flag for extra in EXTRAS for flag in ("--extra", extra)]
    command = [uv, "sync", "--locked", "--python", sys.executable, *extras]
    try:
        subprocess.run(command, check=True, cwd=ROOT, env=uv_environment(os.environ))
    except subprocess.CalledProcessError as exc:
        raise SetupFailed(f"`{' '.join(command)}` failed, see its message above") from exc


def say(text: str) -> None:
    """Tell the person at the terminal; stderr, so that a piped target keeps its stdout."""
    print(f"setup: {text}", file=sys.stderr, flush=True)


def set_up() -> None:
    """Install, unless nothing changed since the last time."""
    if is_current(STAMP, INPUTS):
        return
    began_ns = time.time_ns()
    sync(find_uv())
    STAMP.touch()
    os.utime(STAMP, ns=(began_ns, began_ns))  # what changed while uv worked is newer, and is seen next time
    say("ready: .venv/bin/switchgear")


def main(arguments: list[str]) -> int:
    """Set up; or, given arguments, run uv with them (``make lock``)."""
    UV_HOME.mkdir(exist_ok=True)
    with (UV_HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if arguments:
                command = [find_uv(), *arguments]
                return subprocess.run(command, cwd=ROOT, env=uv_environment(os.environ), check=False).returncode
            set_up()
        except SetupFailed as exc:
            say(str(exc))
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
