"""What a decision quotes of the question, apart from what was decided: so that it can be kept otherwise. Pure.

Numbers and names stay readable for reports, also of a user who was forgotten; words go where texts go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

SENTENCES: Final = ("reason", "strategy_why")
"""Fields of ``engine.types.Decision`` that are written for people and quote what was said."""
HITS: Final = "keyword_hits"
"""The same of ``engine.types.Candidate``."""


def without_words(decision: str) -> str:
    """JSON of a decision with those fields empty; as it was when they are; ``{}`` when it is no JSON object."""
    found = _read(decision)
    if found is None:
        return "{}"
    if not _words(found):
        return decision
    for name in SENTENCES:
        if name in found:
            found[name] = ""
    for candidate in _candidates(found):
        if HITS in candidate:
            candidate[HITS] = []
    return _written(found)


def words_of(decision: str) -> str | None:
    """What ``without_words`` takes away, as JSON; ``None``: nothing."""
    found = _read(decision)
    said = {} if found is None else _words(found)
    return _written(said) if said else None


def with_words(decision: str, words: str | None) -> str:
    """The decision again; without words that cannot be read."""
    found, said = _read(decision), None if words is None else _read(words)
    if found is None or not said:
        return decision
    found |= {name: said[name] for name in SENTENCES if name in said}
    hits = said.get(HITS)
    if isinstance(hits, list):
        for candidate, heard in zip(_candidates(found), cast("list[object]", hits), strict=False):
            candidate[HITS] = heard
    return _written(found)


def _words(found: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: found[name] for name in SENTENCES if found.get(name)}
    hits = [candidate.get(HITS, []) for candidate in _candidates(found)]
    return said | ({HITS: hits} if any(hits) else {})


def _candidates(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = found.get("candidates")
    if not isinstance(listed, list):
        return []
    return [each for each in cast("list[Any]", listed) if isinstance(each, dict)]


def _read(text: str) -> dict[str, Any] | None:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _written(value: Mapping[str, Any]) -> str:
    # ASCII, so that half a surrogate pair can be written too.
    return json.dumps(value, separators=(",", ":"))
