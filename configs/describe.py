"""``docs/configuration.md``, written from the models and the shipped files: ``python -m configs.describe``.

The prose stands in ``configs/manual.md``, the tables are read off the code, and a test fails when the file on disk
is not what this prints.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Literal, cast, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs import settings as models
from configs.environment import OTHER_VARIABLES
from configs.load import SHIPPED, load_settings, profiles
from configs.policies import BudgetRule, LengthRule, TimeRule
from configs.schema import bare, child, is_secret, section, variable
from configs.settings import Section, Settings

RECORD_MODELS = ("providers", "models", "policies", "agents", "teams", "tools")
POLICY_RULES = {"lengths": LengthRule, "times": TimeRule, "budget_rules": BudgetRule}
MANUAL = SHIPPED / "manual.md"
_LIMITS = (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))


def document() -> str:
    """The whole manual as Markdown."""
    parts = [MANUAL.read_text(encoding="utf-8"), *_profiles(), *_providers(), *_models(), "## Settings\n"]
    parts += _sections(Settings, ())
    parts.append("## Records\n\nWhat one entry of a catalogue may hold.\n")
    for name in RECORD_MODELS:
        model = section(child(Settings.model_fields[name].annotation, ""))
        if model is not None:
            parts.append(_table(f"### `{name}`", model, None))
    parts += [_table(f"### `{name}` of `policies`", rule, None) for name, rule in POLICY_RULES.items()]
    parts.append(_table("### `price` and `ceiling_price`", models.ModelPrice, None))
    parts.append("## Other variables\n")
    parts.append(_rows(("Variable", "Meaning"), ((f"`{name}`", text) for name, text in OTHER_VARIABLES.items())))
    return "\n".join(parts)


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = tuple(head)
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _profiles() -> Iterator[str]:
    yield "## Profiles\n\nThe models that each role tries, in order.\n"
    loaded = {name: load_settings(name, environ={}) for name in profiles()}
    roles = list(loaded["local"].roles)
    yield _rows(
        ("Role", *(f"`{name}`" for name in loaded)),
        ((f"`{role}`", *("<br>".join(s.roles[role]) for s in loaded.values())) for role in roles),
    )


def _providers() -> Iterator[str]:
    yield "## Provider presets\n"
    rows: list[tuple[str, ...]] = []
    for name, provider in load_settings("local", environ={}).providers.items():
        key = f"`{provider.api_key_env}`" if provider.api_key_env else "–"
        rows.append(
            (
                f"`{name}`",
                f"`{provider.base_url}`" if provider.base_url else "started with the engine",
                f"{key} (if set)" if provider.local and provider.api_key_env else key,
                f"`{provider.prices}`" if provider.prices else "0, local" if provider.local else "–",
            )
        )
    yield _rows(("Provider", "URL", "Key", "Prices"), rows)


def _models() -> Iterator[str]:
    yield "## Models\n\nContext windows and prices come from the installed genai-prices data.\n"
    shipped = load_settings("local", environ={}).models
    yield _rows(
        ("Model", "Provider", "Name there"),
        ((f"`{name}`", f"`{model.provider}`", f"`{model.model}`") for name, model in shipped.items()),
    )


def _sections(model: type[Section], path: tuple[str, ...]) -> list[str]:
    """One table per section that is set by key, the plain settings of the top level first."""
    inner = {
        name: found
        for name, info in model.model_fields.items()
        if (found := section(info.annotation)) is not None and found is not models.ModelPrice
    }
    tables = [_table(f"### {_heading(path)}", model, path, tuple(inner))]
    for name, found in inner.items():
        tables += _sections(found, (*path, name))
    return tables


def _heading(path: tuple[str, ...]) -> str:
    return f"`{'.'.join(path)}`" if path else "Top level"


def _table(title: str, model: type[Section], path: tuple[str, ...] | None, skip: tuple[str, ...] = ()) -> str:
    """The fields of one model. With a path each has its variable."""
    notes = _notes(model)
    head = ["Key", "Type", "Default", "Meaning"]
    rows: list[list[str]] = []
    for name, info in model.model_fields.items():
        if name in skip:
            continue
        row = [f"`{name}`", _type(info), _default(info), notes.get(name, "")]
        if path is not None:
            row.insert(3, f"`{variable((*path, name))}`")
        rows.append(row)
    if path is not None:
        head.insert(3, "Variable")
    about = (inspect.getdoc(model) or "").replace("``", "`")
    return f"{title}\n\n{about}\n\n{_rows(head, rows)}"


def _type(info: FieldInfo) -> str:
    """The kind of value and its limits, in words."""
    kind = bare(info.annotation)
    limits = "".join(_limit(item) for item in _metadata(info))
    words = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if get_origin(kind) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind))
    if get_origin(kind) is tuple:
        return "list" + limits
    if get_origin(kind) is dict or section(kind) is not None:
        return "mapping"
    if is_secret(kind):
        return "text, secret"
    return (words.get(kind, "path") if isinstance(kind, type) else "text") + limits


def _metadata(info: FieldInfo) -> Iterator[object]:
    """Limits of a field, also where they stand inside ``… | None``."""
    stack: list[object] = [*info.metadata, *get_args(info.annotation)]
    while stack:
        item = stack.pop(0)
        yield item
        if isinstance(item, FieldInfo):
            stack += item.metadata
        stack += getattr(item, "__metadata__", ())


def _limit(item: object) -> str:
    limits = [f", {sign} {getattr(item, name):g}" for name, sign in _LIMITS if hasattr(item, name)]
    return "".join(limits) + (", not empty" if getattr(item, "min_length", None) == 1 else "")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.default
    if value is None:
        return "–"
    if isinstance(value, BaseModel):
        return ", ".join(f"{key} {val:g}" for key, val in value.model_dump(exclude_none=True).items())
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | dict):
        names = ", ".join(str(name) for name in cast("Iterable[object]", value))
        return f"`[{names}]`" if names else "empty"
    return f"`{value}`" if str(value) else "empty"


def _notes(model: type[Section]) -> dict[str, str]:
    """The text below each field, on one line; reStructuredText code marks become Markdown's."""
    body = ast.parse(inspect.getsource(model)).body[0]
    notes: dict[str, str] = {}
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for field, below in pairwise(lines):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value)
            notes[field.target.id] = re.sub(r"\s+", " ", str(text)).replace("``", "`").replace("|", "\\|")
    return notes


if __name__ == "__main__":
    sys.stdout.write(document())
