"""Labelled rows from a folder of evaluation sets: where it is, and what is in it.

The sets are not part of this repository and no row of them may be copied into it. Not the scoring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from configs.environment import read_environment
from configs.errors import ConfigError
from engine.training.pairs.pair import Pair
from engine.types import Complexity

FOLDER_VARIABLE: Final = "SWITCHGEAR_EVAL_DATA"
DEFAULT_FOLDER: Final = Path(__file__).resolve().parents[2].parent / "shared" / "data"
TASKS_FILE: Final = "task_routing.jsonl"
CLINC_FILE: Final = "intent_clinc.jsonl"
BANKING_FILE: Final = "intent_banking77.jsonl"
PAIRS_FILE: Final = "cache_pairs.jsonl"
OUT_OF_SCOPE: Final = "oos"
"""The intent of questions that have none of the others."""
LEVELS: Final[dict[str, Complexity]] = {"simple": "simple", "medium": "medium", "complex": "complex"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One question and the agent it belongs to. ``origin``: public, derived or authored."""

    text: str
    agent: str
    origin: str
    complexity: Complexity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentRow:
    """One question and its intent; ``oos`` when it has none of them. ``split``: train, val or test."""

    text: str
    intent: str
    split: str


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
    rows: list[TaskRow] = []
    for where, found in _objects(folder / TASKS_FILE):
        text, agent, origin = _texts(found, where, ("text", "agent", "origin"))
        level = LEVELS.get(str(found.get("complexity")))
        rows.append(TaskRow(text=text, agent=agent, origin=origin, complexity=level))
    return tuple(rows)


def intent_rows(folder: Path, name: str) -> tuple[IntentRow, ...]:
    """Rows of ``name``. Raises ``ConfigError`` naming the line that is not such a row."""
    rows: list[IntentRow] = []
    for where, found in _objects(folder / name):
        text, intent, split = _texts(found, where, ("text", "intent", "split"))
        rows.append(IntentRow(text=text, intent=intent, split=split))
    return tuple(rows)


def pair_rows(folder: Path) -> tuple[Pair, ...]:
    """Rows of ``cache_pairs.jsonl``; ``kind`` is ``kind/edit``. Raises ``ConfigError`` as the others."""
    rows: list[Pair] = []
    for where, found in _objects(folder / PAIRS_FILE):
        a, b, kind = _texts(found, where, ("a", "b", "kind"))
        same, edit = found.get("is_duplicate"), found.get("edit")
        if not isinstance(same, bool) or not a.strip() or not b.strip():
            raise ConfigError(
                f"{where} is not a row", hint="is_duplicate should be true or false, the texts not empty"
            )
        rows.append(
            Pair(a=a, b=b, duplicate=same, kind=f"{kind}/{edit}" if isinstance(edit, str) else kind, group=0)
        )
    return tuple(rows)


def json_lines(path: Path) -> list[str]:
    """The lines of ``path``. Only a line feed ends one: JSON texts may hold U+2028, U+0085 and their like.

    Raises ``ConfigError`` for a file that cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {path}", hint="it should hold one JSON object per line") from exc


def _objects(path: Path) -> list[tuple[str, dict[str, object]]]:
    """Each line's object and where it stands."""
    found: list[tuple[str, dict[str, object]]] = []
    for number, line in enumerate(json_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as exc:
            raise ConfigError(f"{where} is not a row", hint="it should be one JSON object") from exc
        if not isinstance(row, dict):
            raise ConfigError(f"{where} is not a row", hint="it should be one JSON object")
        found.append((where, cast("dict[str, object]", row)))
    if not found:
        raise ConfigError(f"{path} has no rows", hint="it should hold one JSON object per line")
    return found


def _texts(row: dict[str, object], where: str, names: Sequence[str]) -> list[str]:
    values = [value for name in names if isinstance(value := row.get(name), str)]
    if len(values) < len(names):
        raise ConfigError(f"{where} is not a row", hint=f"{', '.join(names)} should be texts")
    return values
