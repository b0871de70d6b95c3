"""What every ``bench`` and ``eval`` returns: named figures and the machine they were measured on.

Not the measuring and not the printing; ``engine/cli`` prints it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("switchgear", "numpy", "onnxruntime", "tokenizers", "langgraph", "langchain-openai", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures by dotted name. ``notes`` are lines for people and stay out of the JSON."""

    name: str
    figures: Mapping[str, float]
    environment: Mapping[str, str | int]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The envelope that others rely on."""
        return {"name": self.name, "figures": dict(self.figures), "environment": dict(self.environment)}


def report(name: str, figures: Mapping[str, float], *, notes: tuple[str, ...] = ()) -> Report:
    """``figures`` with the environment of this process."""
    return Report(name=name, figures=figures, environment=environment(), notes=notes)


def environment() -> dict[str, str | int]:
    """Versions, processor and commit: a number without its machine says nothing."""
    found: dict[str, str | int] = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "commit": _commit(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unknown")


def _commit() -> str:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        return "unknown"
    command = [git, "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return done.stdout.strip() or "unknown"
