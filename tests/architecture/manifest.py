"""Reads the requirements manifest and the ids that tests name. Text in, findings out; used by test and table."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "docs" / "requirements.yaml"
STATUSES = ("built", "partial", "open")
KEYS = {"id", "text", "status", "issue", "note"}
WORDS_MAX = 15
STEPS = range(1, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One promise."""

    id: str
    text: str
    status: str
    issue: int
    note: str = ""


def parse(text: str) -> tuple[list[Requirement], list[str]]:
    """The requirements in ``text`` and what is wrong with the way they are written."""
    rows = cast("list[dict[str, object]]", yaml.safe_load(text) or [])
    wrong: list[str] = []
    found: dict[str, Requirement] = {}
    for row in rows:
        name = str(row.get("id"))
        wrong += [f"{name}: {fault}" for fault in _faults(row)]
        if name in found:
            wrong.append(f"{name}: listed twice")
        issue = row.get("issue")
        found[name] = Requirement(
            id=name,
            text=str(row.get("text", "")),
            status=str(row.get("status", "")),
            issue=issue if isinstance(issue, int) else 0,
            note=str(row.get("note", "")),
        )
    return list(found.values()), wrong


def _faults(row: Mapping[str, object]) -> list[str]:
    faults: list[str] = []
    if unknown := set(row) - KEYS:
        faults.append(f"unknown key {sorted(unknown)}")
    if row.get("status") not in STATUSES:
        faults.append(f"unknown status {row.get('status')!r}, known: {', '.join(STATUSES)}")
    if row.get("issue") not in STEPS:
        faults.append(f"issue {row.get('issue')!r} is not a step of the plan")
    if not 0 < len(str(row.get("text", "")).split()) <= WORDS_MAX:
        faults.append(f"text must have 1 to {WORDS_MAX} words")
    if (row.get("status") == "partial") != bool(row.get("note")):
        faults.append("a partial requirement says in `note` what is missing, and only a partial one does")
    return faults


def named_ids(source: str, where: str) -> dict[str, list[str]]:
    """Requirement id → places in ``source`` that name it through ``pytest.mark.req``."""
    places: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "req"):
            continue
        if not (isinstance(node.func.value, ast.Attribute) and node.func.value.attr == "mark"):
            continue
        for argument in node.args:
            name = argument.value if isinstance(argument, ast.Constant) else ast.unparse(argument)
            places.setdefault(str(name), []).append(f"{where}:{node.lineno}")
    return places


def collect(files: Iterable[Path], root: Path = ROOT) -> dict[str, list[str]]:
    """``named_ids`` over many files."""
    places: dict[str, list[str]] = {}
    for file in files:
        found = named_ids(file.read_text(encoding="utf-8"), file.relative_to(root).as_posix())
        for name, where in found.items():
            places.setdefault(name, []).extend(where)
    return places


def disagreements(requirements: Iterable[Requirement], named: Mapping[str, list[str]]) -> list[str]:
    """Where manifest and tests contradict each other, in both directions."""
    status = {requirement.id: requirement.status for requirement in requirements}
    wrong = [
        f"{name}: named by {where[0]} but not in the manifest"
        for name, where in named.items()
        if name not in status
    ]
    for name, state in status.items():
        if state == "open" and name in named:
            wrong.append(f"{name}: open in the manifest, but {named[name][0]} names it")
        if state != "open" and name not in named:
            wrong.append(f"{name}: {state} in the manifest, but no test names it")
    return wrong


def suite() -> list[Path]:
    """Every test file of the repository."""
    return sorted((ROOT / "tests").rglob("test_*.py"))
