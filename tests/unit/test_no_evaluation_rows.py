"""No row of the evaluation folder stands in the repository; skipped where the folder is absent."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest

from configs.errors import ConfigError
from engine.evals.data import eval_folder

ROOT: Final = Path(__file__).parents[2]
KINDS: Final = frozenset(
    (".py", ".md", ".yaml", ".yml", ".txt", ".tsv", ".json", ".toml", ".lua", ".html", ".j2", ".sh")
)
FIELDS: Final = ("text", "a", "b")
ROW_WORDS: Final = 3
"""Shorter rows are everyday phrases («good evening») or names."""
_MARKER: Final = re.compile(r"^\s*(?:[-#>*|\d.]+\s+)*(?:[\w -]{1,30}: )?")
_QUOTED: Final = re.compile(r'"((?:[^"\\\n]|\\.){4,})"|\'((?:[^\'\\\n]|\\.){4,})\'|`([^`\n]{4,})`|«([^»\n]{4,})»')
_FOLDED: Final = re.compile(r"\n[ \t]+")
_WORD: Final = re.compile(r"[a-z0-9]+")


def _digest(text: str) -> bytes | None:
    """Of the words in small letters; ``None`` when they are too few."""
    words = _WORD.findall(text.lower())
    return hashlib.sha256(" ".join(words).encode()).digest() if len(words) >= ROW_WORDS else None


def _rows(folder: Path) -> set[bytes]:
    found: set[bytes | None] = set()
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text("utf-8").rstrip("\n").split("\n"):
            row = cast("dict[str, Any]", json.loads(line))
            found.update(_digest(row[field]) for field in FIELDS if isinstance(row.get(field), str))
    return {each for each in found if each is not None}


def _texts(content: str) -> Iterator[tuple[int, str]]:
    """Lines without their marker, and what is in quotation marks; lines that one text was folded into as well."""
    for number, line in enumerate(content.splitlines(), 1):
        yield number, line
        for field in line.split("\t") if "\t" in line else ():
            yield number, field
        yield number, _MARKER.sub("", line)
        for quoted in _QUOTED.finditer(line):
            yield number, next(each for each in quoted.groups() if each is not None)
    for item in re.split(r"\n\s*(?:- )|\n\s*\n", content):
        if "\n" in item:
            yield 0, _MARKER.sub("", _FOLDED.sub(" ", item.removeprefix(">-").removeprefix("|-")))


def _repeats(content: str, rows: set[bytes]) -> list[int]:
    """Lines that are a row; 0 for a text over several lines."""
    return [number for number, text in _texts(content) if _digest(text) in rows]


def _files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return [path for path in paths if path.suffix in KINDS and path.is_file()]


@pytest.mark.req("route.quality")
def test_no_text_of_the_repository_is_a_row_of_the_evaluation_sets() -> None:
    """Line by line and quotation by quotation, by its words alone; rows of three words or more."""
    try:
        rows = _rows(eval_folder(None))
    except ConfigError as exc:
        pytest.skip(f"no evaluation folder: {exc.message}")
    files = _files()
    if not files:
        pytest.skip("not a git checkout: which files belong to the repository is not known")
    assert len(rows) > 1_000
    assert len(files) > 200
    found = [f"{p.relative_to(ROOT)}:{n}" for p in files for n in _repeats(p.read_text("utf-8"), rows)]
    assert found == []


@pytest.mark.parametrize(
    "content",
    [
        "which way is north?",
        "a: 1\n  - Which way is North",
        "# heading\n12. which way is north",
        'ask("Which way is north?", 3)',
        "says «which way is north?» and waits",
        "key: which way, is north",
        "x:\n  - >-\n    which way\n    is north?\n  - other words\n",
    ],
)
def test_a_row_is_found_in_whatever_form_it_stands(content: str) -> None:
    """As a line, an item, a value, a quotation, over two lines; another text is not."""
    row = _digest("which way is north")
    assert row is not None
    assert _repeats(content, {row})
    assert not _repeats(content.replace("north", "south").replace("North", "south"), {row})
