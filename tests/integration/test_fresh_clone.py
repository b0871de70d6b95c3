"""The first minutes of a newcomer: clone, `make run`, again `make run`, in an environment of three variables."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def run(command: list[str], folder: Path, home: Path) -> str:
    """Standard output of a command that must succeed."""
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    env |= {name: os.environ[name] for name in CERTIFICATES if name in os.environ}
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.system
@pytest.mark.timeout(900)
@pytest.mark.req("serve.embedded", "serve.cli")
def test_a_fresh_clone_answers_real_questions_with_one_command_twice_in_a_row(tmp_path: Path):
    """Three answers and one cache hit each time; the command is in place; nothing is left in the home folder."""
    home = tmp_path / "home"
    home.mkdir()
    clone = tmp_path / "switchgear"
    run(["git", "clone", "--quiet", str(ROOT), str(clone)], tmp_path, home)
    for _ in range(2):
        shown = run(["make", "run"], clone, home)
        sources = [line for line in shown.splitlines() if line.startswith("└")]
        assert len(sources) == 4, shown
        assert all("smollm2" in line and "tokens" in line for line in sources[:3])
        assert "exact cache" in sources[3]
    assert "python" in run([".venv/bin/switchgear", "agents"], clone, home)
    assert not (home / ".cache" / "Microsoft").exists()
    assert run(["git", "status", "--porcelain"], clone, home) == ""
