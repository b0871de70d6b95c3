"""Pair files: TSV without a header (``a, b, dup|not, kind``), CSV with one, or JSONL. Not the making of pairs.

CSV and JSONL have columns ``a``, ``b``, ``is_duplicate`` (true, false, 1, 0) and, if they like, ``kind``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from engine.errors import TrainingRefused
from engine.training.pairs.pair import Pair
from engine.training.pairs.text import canonical

LABELS: Final[Mapping[str, bool]] = {
    "dup": True,
    "not": False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
}
NEEDED: Final = ("a", "b", "is_duplicate")
CHARS_MAX: Final = 8_000
"""A longer text is no question: a quotation mark that nothing closes, or the wrong file."""


def read_pairs(paths: Sequence[Path], columns: Sequence[str] = NEEDED) -> list[Pair]:
    """Every pair of the files, in their order; pairs with the same first text share a group.

    ``columns`` are the names of both texts and the label in CSV and JSONL. Raises ``TrainingRefused`` at the
    first line that is no pair, naming file and line: ``data_missing``, ``data_encoding``, ``data_columns``,
    ``data_row``, ``data_label``, ``data_too_long``.
    """
    groups: dict[str, int] = {}
    pairs: list[Pair] = []
    for path in paths:
        for where, fields in _rows(path, columns):
            pairs.append(_pair(where, fields, groups))
    return pairs


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Each row and where it stands, under our own names."""
    if len(columns) != len(NEEDED):
        raise _refused("data_columns", path.name, f"{len(columns)} columns named, not {len(NEEDED)}", _OBJECT)
    lines = _lines(path)
    match path.suffix.casefold():
        case ".tsv":
            return _tsv(path.name, lines)
        case ".jsonl" | ".ndjson":
            return _renamed(_jsonl(path.name, lines, columns), columns)
        case ".csv":
            return _renamed(_csv(path.name, lines, columns), columns)
        case other:
            raise _refused(
                "data_missing", path.name, f"a file of pairs does not end in {other!r}", "use .tsv, .csv or .jsonl"
            )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
    except OSError as exc:
        raise _refused("data_missing", path.name, f"cannot be read: {exc.strerror}", "") from exc
    except UnicodeDecodeError as exc:
        raise _refused("data_encoding", path.name, f"not UTF-8 at byte {exc.start}", "save it as UTF-8") from exc


def _tsv(name: str, lines: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.rstrip("\r\n").split("\t")
        where = f"{name}:{number}"
        if len(fields) != 4:
            reason = f"{len(fields)} fields between tabs, not 4"
            raise _refused("data_row", where, reason, "a line is: a<TAB>b<TAB>dup or not<TAB>kind")
        yield where, dict(zip((*NEEDED, "kind"), fields, strict=True))


def _renamed(
    rows: Iterator[tuple[str, Mapping[str, object]]], columns: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    for where, fields in rows:
        yield where, {**fields, **{ours: fields[theirs] for ours, theirs in zip(NEEDED, columns, strict=True)}}


def _csv(name: str, lines: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        _check_columns(name, reader.fieldnames or (), columns)
        for row in reader:
            where = f"{name}:{reader.line_num}"
            if None in row or None in row.values():
                raise _refused("data_row", where, "another number of fields than the header", _QUOTED)
            yield where, cast("Mapping[str, object]", row)
    except csv.Error as exc:
        raise _refused("data_row", f"{name}:{reader.reader.line_num}", f"not CSV: {exc}", _QUOTED) from exc


def _jsonl(name: str, lines: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            row: object = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise _refused("data_row", where, "not JSON", _OBJECT) from exc
        if not isinstance(row, dict):
            raise _refused("data_row", where, "not a JSON object", _OBJECT)
        fields = cast("dict[str, Any]", row)
        _check_columns(where, fields, columns)
        yield where, fields


def _check_columns(where: str, names: Sequence[str] | Mapping[str, object], wanted: Sequence[str]) -> None:
    missing = [name for name in wanted if name not in names]
    if missing:
        shown = ", ".join(list(names)[:20]) or "none"
        raise _refused("data_columns", where, f"no column {missing[0]!r}; the columns are: {shown}", _OBJECT)


def _pair(where: str, fields: Mapping[str, object], groups: dict[str, int]) -> Pair:
    texts = (fields["a"], fields["b"], fields.get("kind", ""))
    if not all(isinstance(text, str) for text in texts):
        raise _refused("data_row", where, "a, b and kind are strings", _OBJECT)
    a, b, kind = (cast("str", text).strip() for text in texts)
    if not (a and b):
        raise _refused("data_row", where, "an empty text", "a pair has two texts")
    if max(len(a), len(b)) > CHARS_MAX:
        raise _refused("data_too_long", where, f"a text of {max(len(a), len(b)):,} characters", _QUOTED)
    label = LABELS.get(str(fields["is_duplicate"]).strip().casefold())
    if label is None:
        raise _refused(
            "data_label",
            where,
            f"{str(fields['is_duplicate'])[:40]!r} is no label",
            "dup, not, true, false, 1 or 0",
        )
    group = groups.setdefault(canonical(a), len(groups))
    return Pair(a=a, b=b, duplicate=label, kind=kind, group=group)


_QUOTED: Final = "a field with a comma or a quotation mark in it is put in quotes"
_OBJECT: Final = (
    'columns are a, b, is_duplicate and, if you like, kind, as in {"a": "…", "b": "…", "is_duplicate": true}'
)


def _refused(code: str, where: str, reason: str, hint: str) -> TrainingRefused:
    return TrainingRefused(f"{where}: {reason}", hint=hint, code=code)
