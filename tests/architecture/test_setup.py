"""What ``make setup`` decides before anything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.setup import is_current, pip_environment, usable_uv, uv_environment, version_of
from tests.architecture.sources import ROOT


def _program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("uv 0.13.8 (x86_64-unknown-linux-gnu)", (0, 13, 8)),
        ("uv 1.0.0", (1, 0, 0)),
        ("pyenv: uv: not found", None),
    ],
)
def test_the_version_of_uv_is_read(text: str, version: tuple[int, ...] | None) -> None:
    """Numbers compare as numbers; anything else is no version."""
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("body", "usable"),
    [("echo uv 0.13.8", True), ("echo uv 0.9.30", False), ("exit 127", False), ("echo hello", False)],
)
def test_only_a_recent_uv_that_runs_is_used(tmp_path: Path, body: str, usable: bool) -> None:
    """Old ones, broken shims and other programs are passed over."""
    candidate = _program(tmp_path / "uv", body)
    assert usable_uv(candidate) == (candidate if usable else None)


def test_no_uv_is_no_error(tmp_path: Path) -> None:
    """Neither an empty PATH nor a missing file raises."""
    assert usable_uv(None) is None
    assert usable_uv(str(tmp_path / "uv")) is None


def test_pip_gets_the_machines_certificates(tmp_path: Path) -> None:
    """SSL_CERT_FILE is passed on when it exists, and never overrides what was set for pip itself."""
    bundle = tmp_path / "certificates.pem"
    bundle.touch()
    assert pip_environment({"SSL_CERT_FILE": str(bundle)})["PIP_CERT"] == str(bundle)
    assert pip_environment({"SSL_CERT_FILE": str(bundle), "PIP_CERT": "own"})["PIP_CERT"] == "own"
    assert "PIP_CERT" not in pip_environment({"SSL_CERT_FILE": str(tmp_path / "gone")})
    assert "PIP_CERT" not in pip_environment({})


def test_uv_keeps_to_this_project() -> None:
    """An active environment of someone else is forgotten; no interpreter is downloaded."""
    env = uv_environment({"VIRTUAL_ENV": "elsewhere", "UV_PROJECT_ENVIRONMENT": "elsewhere", "PATH": "p"})
    assert env["PATH"] == "p"
    assert env["UV_PYTHON_DOWNLOADS"] == "never"
    assert not {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"} & set(env)


def test_setup_is_done_again_only_after_a_change(tmp_path: Path) -> None:
    """No stamp, or an input newer than it, means work."""
    stamp, source = tmp_path / "stamp", tmp_path / "source"
    source.touch()
    assert not is_current(stamp, (source,))
    stamp.touch()
    os.utime(source, ns=(1_000, 1_000))
    os.utime(stamp, ns=(2_000, 2_000))
    assert is_current(stamp, (source,))
    os.utime(source, ns=(3_000, 3_000))
    assert not is_current(stamp, (source,))


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": True, "python3.13": True}, "python3"),
        ({"python3": False, "python3.12": True, "python3.11": True}, "python3.12"),
        ({"python3": False, "python3.13": False, "python3.11": True}, "python3.11"),
    ],
)
def test_the_first_supported_python_is_chosen(tmp_path: Path, pythons: dict[str, bool], chosen: str) -> None:
    """``python3`` when it is new enough, else the newest of the named ones; shims that fail are passed over."""
    for name, supported in pythons.items():
        _program(tmp_path / name, f'case "$1" in -c) exit {int(not supported)};; esac; echo {name} "$@"')
    ran = _choose(tmp_path, "work.py")
    assert (ran.stdout, ran.returncode) == (f"{chosen} work.py\n", 0)


def test_no_supported_python_is_said_clearly(tmp_path: Path) -> None:
    """The message names what is needed and what was found."""
    _program(tmp_path / "python3", 'case "$1" in -c) exit 1;; esac; echo Python 3.9.18')
    ran = _choose(tmp_path, "work.py")
    assert ran.returncode == 1
    assert "3.11" in ran.stderr
    assert "Python 3.9.18" in ran.stderr


def _choose(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(ROOT / "scripts" / "python.sh"), *arguments]
    return subprocess.run(
        command, env={"PATH": str(path)}, capture_output=True, text=True, timeout=20, check=False
    )


@pytest.mark.parametrize(("code", "passed_on"), [(0, 0), (1, 1), (2, 2), (5, 0)])
def test_only_an_empty_selection_counts_as_passed(code: int, passed_on: int) -> None:
    """Failures and usage errors of pytest keep their exit code; 'no tests collected' is said and passes."""
    command = [
        "/bin/sh",
        str(ROOT / "scripts" / "tests_or_none.sh"),
        sys.executable,
        "-c",
        f"raise SystemExit({code})",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == passed_on
    assert ("nothing was proved" in ran.stdout) == (code == 5)


def test_help_lists_every_target() -> None:
    """Each target of the Makefile explains itself."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line.split(":")[1].strip() for line in makefile.splitlines() if line.startswith(".PHONY:")}
    ran = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    listed = {line.split()[1] for line in ran.stdout.splitlines()}
    assert listed == targets
    assert {"setup", "run", "test", "test-system", "test-long", "bench", "check", "clean"} <= targets
