"""Merged values into ``Settings``, or into problems that an operator can act on.

Types are strict: a number in quotes is a text, ``true`` is not 1. Values pass through JSON because that is where
pydantic's strict mode takes a list for a tuple and a text for a path, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.errors import Problem
from configs.layers import RECORDS, Stack, dotted, nearest
from configs.redact import HIDDEN, shown
from configs.references import broken_references
from configs.schema import annotation_at, is_secret, keys_at
from configs.settings import Settings
from configs.yaml_tree import KeyPath, Node

_REWORDED = {
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "missing": "is required",
    "tuple_type": "must be a list",
    "model_type": "must be a mapping",
    "dict_type": "must be a mapping",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "too_short": "must have at least {min_length} item",
}


def settings_from(stack: Stack) -> tuple[Settings | None, list[Problem]]:
    """Validate everything at once. ``Settings`` is ``None`` exactly when there are problems."""
    values = _with_lists(stack)
    settings = None
    found: list[tuple[KeyPath, str]] = []
    try:
        settings = Settings.model_validate_json(json.dumps(values), strict=True)
    except ValidationError as exc:
        found += [_from_pydantic(error, stack) for error in exc.errors(include_url=False, include_context=True)]
    found += broken_references(stack)
    problems = [Problem(where=stack.where(path), key=dotted(path), reason=reason) for path, reason in found]
    return (None if problems else settings), problems


def _with_lists(stack: Stack) -> dict[str, Node]:
    """The values with records as the lists that ``Settings`` holds, each with its name."""
    values = dict(stack.values)
    for kind in RECORDS:
        records = values.get(kind)
        if isinstance(records, dict):
            values[kind] = [{"name": name, **r} if isinstance(r, dict) else r for name, r in records.items()]
    return values


def _from_pydantic(error: ErrorDetails, stack: Stack) -> tuple[KeyPath, str]:
    """One of pydantic's findings as a key path and a reason."""
    kind = error["type"]
    at_key = error["loc"][-1:] == ("[key]",)
    path = _named(error["loc"][:-1] if at_key else error["loc"], stack)
    if kind == "extra_forbidden":
        return path, f"unknown key; {nearest(str(path[-1]), keys_at(path[:-1]))}"
    template = _REWORDED.get(kind)
    message = error["msg"] if template is None else template.format(**error.get("ctx", {}))
    message = re.sub(r"^(Input|String|List) should", "must", message.removeprefix("Value error, "))
    if kind in ("missing", "value_error"):
        return path, message
    if at_key:
        return path, f"as a name {message}"
    value = HIDDEN if is_secret(annotation_at(path)) else shown(str(path[-1]) if path else "", error["input"])
    return path, f"{message}; got {value}"


def _named(loc: Sequence[str | int], stack: Stack) -> KeyPath:
    """The location with records called by name, not by number."""
    if len(loc) > 1 and loc[0] in RECORDS and isinstance(loc[1], int):
        records = stack.values.get(str(loc[0]))
        if isinstance(records, dict):
            return (loc[0], list(records)[loc[1]], *loc[2:])
    return tuple(loc)
