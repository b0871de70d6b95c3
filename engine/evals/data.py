"""Labelled rows from a folder of evaluation sets: where it is, and what is in it.

The sets are not part of this repository and no row of them may be copied into it. Not the scoring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from configs.environment import read_environment
from configs.errors import ConfigError

FOLDER_VARIABLE: Final = "SWITCHGEAR_EVAL_DATA"
DEFAULT_FOLDER: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TASKS_FILE: Final = "task_routing.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One question and the agent it belongs to. ``origin``: public, derived or authored."""

    text: str
    agent: str
    origin: str


def eval_folder(named: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """``named``, else the folder of ``SWITCHGEAR_EVAL_DATA``, else ``../shared/data`` beside the project.

    Raises ``ConfigError`` when it is not there.
    """
    variables = read_environment() if environ is None else environ
    folder = named if named is not None else Path(variables.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
    if not folder.is_dir():
        raise ConfigError(
            f"there is no evaluation data at {folder}",
            hint=f"the sets are not part of this repository: set {FOLDER_VARIABLE} or pass --test FOLDER",
        )
    return folder


def task_rows(folder: Path) -> tuple[TaskRow, ...]:
    """Rows of ``task_routing.jsonl``. Raises ``ConfigError`` naming the line that is not such a row."""
    path = folder / TASKS_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}", hint="it should hold one JSON object per line") from exc
    rows = tuple(_row(line, f"{path.name}:{n}") for n, line in enumerate(lines, 1) if line.strip())
    if not rows:
        raise ConfigError(f"{path} has no rows", hint="it should hold one JSON object per line")
    return rows


def _row(line: str, where: str) -> TaskRow:
    try:
        found = json.loads(line)
        text, agent, origin = found["text"], found["agent"], found["origin"]
    except (json.JSONDecodeError, KeyError, TypeError) as exc:
        raise ConfigError(f"{where} is not a row", hint="it needs text, agent and origin") from exc
    if not all(isinstance(value, str) for value in (text, agent, origin)):
        raise ConfigError(f"{where} is not a row", hint="text, agent and origin are strings")
    return TaskRow(text=text, agent=agent, origin=origin)
