"""A row as the database holds it, and back. What cannot be read any more is missing, never an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final, cast

from pydantic import TypeAdapter, ValidationError

from configs.kernel import Message
from engine.history.contract import HistoryRow
from engine.history.seal import seal, unseal
from engine.history.words import with_words, without_words, words_of

EMPTIED: Final[Mapping[str, object]] = dict.fromkeys(("prompt", "answer", "words", "embedding", "fingerprint"))
"""What a row loses when its user is forgotten."""
TEXTS = ("embedding", "prompt", "answer", "words")
"""Columns under the user's key. ``words`` are those that the decision quotes; its own column is without them."""
AS_IT_IS = tuple(one.name for one in fields(HistoryRow) if one.name not in {*TEXTS, "decision", "degraded"})
"""Fields that are columns."""
_PROMPT = TypeAdapter(tuple[Message, ...])
_NAMES = TypeAdapter(tuple[str, ...])


def columns_of(row: HistoryRow, key: bytes | None) -> dict[str, object]:
    """Values by column; ``TEXTS`` under ``key``, or readable when it is ``None``."""
    values: dict[str, object] = {name: getattr(row, name) for name in AS_IT_IS}
    words = words_of(row.decision)
    texts = {
        "embedding": row.embedding,
        "prompt": None if row.prompt is None else _json([[m.role, m.content] for m in row.prompt]),
        "answer": None if row.answer is None else row.answer.encode("utf-8", "surrogatepass"),
        "words": None if words is None else words.encode(),
    }
    for field, data in texts.items():
        values[field] = None if data is None else seal(key, data, row_id=row.id, field=field)
    values |= {"decision": row.decision if words is None else without_words(row.decision)}
    return {**values, "degraded": json.dumps(row.degraded), "fingerprint": row.fingerprint or None}


def row_from(columns: Mapping[str, Any], key: bytes | None) -> HistoryRow:
    """The row that these columns hold."""
    texts = {field: _opened(columns, field, key) for field in TEXTS}
    answer, words = texts["answer"], texts["words"]
    return HistoryRow(
        **{name: columns[name] for name in AS_IT_IS if name != "fingerprint"},
        fingerprint=columns["fingerprint"] or "",
        decision=with_words(columns["decision"], None if words is None else _text(words)),
        degraded=_names(columns["degraded"]),
        embedding=texts["embedding"],
        prompt=_messages(texts["prompt"]),
        answer=None if answer is None else _text(answer),
    )


def _opened(columns: Mapping[str, Any], field: str, key: bytes | None) -> bytes | None:
    blob = cast("bytes | None", columns[field])
    return None if blob is None else unseal(key, bytes(blob), row_id=columns["id"], field=field)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _text(data: bytes) -> str | None:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None


def _messages(data: bytes | None) -> tuple[Message, ...] | None:
    text = None if data is None else _text(data)
    if text is None:
        return None
    try:
        pairs = json.loads(text)
        return _PROMPT.validate_python([{"role": role, "content": content} for role, content in pairs])
    except (ValueError, TypeError, ValidationError):
        return None


def _names(text: str) -> tuple[str, ...]:
    try:
        return _NAMES.validate_json(text)
    except ValidationError:
        return ()
