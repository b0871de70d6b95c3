"""Where labelled rows come from: a CSV or JSONL file, line by line, or what the engine has kept of its requests.

A source gives its rows again at every call, so that a million of them are read twice and never held. Not the
judging of rows against each other (``rows``).
"""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, Protocol, cast

from configs.routing import TrainSettings
from engine.errors import TrainingRefused

LABEL_NAMES: Final = ("label", "agent", "intent")
LABEL_CHARS_MAX: Final = 200
"""A longer label is a sentence: the wrong column was named."""
BYTES_PER_CHAR: Final = 8
"""A line may hold this many bytes for each character of a field: escapes, other columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled text, both without white space around them; either may be empty."""

    text: str
    label: str


class RowSource(Protocol):
    """Labelled rows, the same ones in the same order at every call."""

    @property
    def name(self) -> str:
        """What people know it by; no path of a machine."""
        ...

    def rows(self) -> Iterator[Row]:
        """Every row from the first. Raises ``TrainingRefused`` at the first one that is not a row."""
        ...


class NoHistory:
    """The history of an engine that keeps none: gives nothing and says what is missing."""

    name = "history"

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def rows(self) -> Iterator[Row]:
        """Raises ``TrainingRefused``, always."""
        raise TrainingRefused(
            f"there is no history to train from: {self._reason}",
            hint="train from a file of labelled texts: switchgear train router DATA",
            code="train_no_history",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """What the columns are called. ``label=None``: the first of label, agent, intent that is there."""

    text: str = "text"
    label: str | None = None

    def found(self, names: Sequence[str], where: str) -> tuple[str, str]:
        """The two names as they stand in ``names``. Raises ``TrainingRefused``."""
        text = self._one(names, (self.text,), where, "--text")
        label = self._one(names, LABEL_NAMES if self.label is None else (self.label,), where, "--label")
        return text, label

    @staticmethod
    def _one(names: Sequence[str], wanted: Sequence[str], where: str, option: str) -> str:
        folded = [name.strip().casefold() for name in names]
        known = {name.strip().casefold(): name for name in reversed(names)}
        for name in wanted:
            if folded.count(name.casefold()) > 1:
                raise _refused(
                    "data_columns", where, f"more than one column {name!r}", "give each column a name of its own"
                )
            if name.casefold() in known:
                return known[name.casefold()]
        near = [m for w in wanted for m in get_close_matches(w.casefold(), list(known), n=1)]
        shown = ", ".join(name.strip()[:40] for name in names[:20]) or "none"
        guess = f"; did you mean {option} {known[near[0]].strip()[:40]}?" if near else ""
        raise TrainingRefused(
            f"{where}: no column {' or '.join(repr(w) for w in wanted)}; the columns are: {shown}",
            hint=f"name yours with {option}{guess}",
            code="data_columns",
        )


class FileRows:
    """Rows of one file: CSV with a header (comma, semicolon or tab), or one JSON object per line. UTF-8."""

    def __init__(self, path: Path, columns: Columns, settings: TrainSettings) -> None:
        """Raises ``TrainingRefused`` when ``path`` is no regular file."""
        if not path.is_file():
            what = "a folder" if path.is_dir() else "not a regular file" if path.exists() else "not there"
            raise TrainingRefused(
                f"{path} is {what}", hint="name a CSV or JSONL file; it is read twice", code="data_missing"
            )
        self._path = path
        self._columns = columns
        self._chars_max = settings.field_chars_max

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return self._path.name

    def rows(self) -> Iterator[Row]:
        """See ``RowSource``."""
        try:
            yield from self._json_rows() if self._is_json() else self._csv_rows()
        except OSError as exc:
            raise _refused("data_missing", self.name, f"cannot be read: {exc.strerror}", "") from exc

    def _is_json(self) -> bool:
        suffix = self._path.suffix.casefold()
        if suffix in {".jsonl", ".ndjson", ".json"}:
            return True
        if suffix in {".csv", ".tsv"}:
            return False
        return next((line.lstrip()[:1] in {"{", "["} for _, line in self._lines() if line.strip()), False)

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Each line and where it stands."""
        limit = self._chars_max * BYTES_PER_CHAR
        with self._path.open("rb") as file:
            number = 0
            while raw := file.readline(limit + 1):
                number += 1
                where = f"{self.name}:{number}"
                if len(raw) > limit:
                    raise _refused("data_too_long", where, f"a line of more than {limit:,} bytes", _LONG)
                yield where, _decoded(raw, where, first=number == 1)

    def _csv_rows(self) -> Iterator[Row]:
        where = f"{self.name}:1"

        def lines() -> Iterator[str]:
            nonlocal where
            for place, line in self._lines():
                where = place
                yield line

        fed = lines()
        header = next(fed, "")
        if "\r" in header.rstrip("\r\n"):
            raise _refused("data_row", where, "its lines end in CR alone", "save it with LF or CRLF line ends")
        try:
            names = next(csv.reader([header], delimiter=_delimiter(header)), list[str]())
            if not names:
                return
            text, label = (names.index(name) for name in self._columns.found(names, where))
            reader = csv.reader(fed, delimiter=_delimiter(header), strict=True)
            for record in reader:
                if not record:
                    continue
                if len(record) != len(names):
                    reason = f"{len(record)} fields, the header has {len(names)}"
                    raise _refused("data_row", where, reason, "a field with a comma in it is put in quotes")
                yield self._row(record[text], record[label], where)
        except csv.Error as exc:
            code = "data_too_long" if "field limit" in str(exc) else "data_row"
            raise _refused(code, where, f"not CSV: {exc}", _LONG) from exc

    def _json_rows(self) -> Iterator[Row]:
        names: tuple[str, str] | None = None
        for where, line in self._lines():
            if not line.strip():
                continue
            try:
                found: object = json.loads(line)
            except (ValueError, RecursionError) as exc:
                raise _refused("data_row", where, "not JSON", _JSON) from exc
            if not isinstance(found, dict):
                raise _refused("data_row", where, "not a JSON object", _JSON)
            row = cast("dict[str, Any]", found)
            if names is None or not set(names) <= row.keys():
                names = self._columns.found(list(row), where)
            yield self._row(row[names[0]], row[names[1]], where)

    def _row(self, text: object, label: object, where: str) -> Row:
        if not isinstance(text, str) or not isinstance(label, str):
            kind = type(label if isinstance(text, str) else text).__name__
            raise _refused(
                "data_not_text", where, f"a value of type {kind}", "text and label are strings, in quotation marks"
            )
        if "\0" in text or "\0" in label:
            raise _refused("data_nul", where, "a NUL character", "this is not a text; clean the file")
        if len(text) > self._chars_max or len(label) > LABEL_CHARS_MAX:
            what = "text" if len(text) > self._chars_max else "label"
            raise _refused("data_too_long", where, f"a {what} of {max(len(text), len(label)):,} characters", _LONG)
        if any(unicodedata.category(c) == "Cc" for c in label.strip()):
            raise _refused("data_label", where, "a control character in a label", "clean the labels")
        # Half a surrogate pair, which JSON can spell, is no character and cannot be written again.
        clean = (value.encode(errors="replace").decode().strip() for value in (text, label))
        return Row(text=next(clean), label=next(clean))


_LONG: Final = "a quotation mark that nothing closes, or the wrong column (--text, --label)"
_JSON: Final = 'each line is one object, as in {"text": "…", "label": "…"}'


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _decoded(raw: bytes, where: str, *, first: bool) -> str:
    if first and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _refused("data_encoding", where, "UTF-16", "save it as UTF-8")
    if b"\0" in raw:
        raise _refused("data_nul", where, "a NUL byte", "this is not a text file; save it as UTF-8 CSV or JSONL")
    try:
        return raw.decode("utf-8-sig" if first else "utf-8")
    except UnicodeDecodeError as exc:
        reason = f"not UTF-8 at byte {exc.start} of the line"
        raise _refused("data_encoding", where, reason, "save it as UTF-8 (iconv -f latin1 -t utf-8)") from exc


def _refused(code: str, where: str, reason: str, hint: str) -> TrainingRefused:
    return TrainingRefused(f"{where}: {reason}", hint=hint, code=code)
