"""Layers of configuration and how they lie on each other. Pure: values in, merged values and problems out.

Mappings merge key by key; lists and single values are replaced by the later layer. ``agents``, ``teams`` and
``tools`` are lists of records in a file and merge by ``name``: a known name changes the fields it gives, a new
name adds a record, ``enabled: false`` takes a record away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

from configs.errors import Problem
from configs.redact import holds_secret, is_secret_key, shown
from configs.settings import Settings
from configs.yaml_tree import KeyPath, Node, Tree

RECORDS = ("agents", "teams", "tools")
_SECTIONS = frozenset(Settings.model_fields)
_IN_A_FILE = (
    "a secret does not belong in a file: put it into an environment variable (or .env); for a provider, "
    "api_key_env names that variable"
)
Values = dict[str, Node]


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings. Records are keyed by name; ``places`` says where each key path stands."""

    values: Values
    places: dict[KeyPath, str]


def dotted(path: KeyPath) -> str:
    """A key path as people write it: ``roles.code[1]``. A key that looks like a secret is not repeated."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return "(hidden)" if holds_secret(text) else text


def nearest(name: str, known: Iterator[str] | list[str] | tuple[str, ...]) -> str:
    """A suffix for a message: the nearest known name, or all of them when none is near."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known: {', '.join(choices)}" if choices else "there are none"


def layer_from(tree: Tree, source: str, *, is_file: bool) -> tuple[Layer, list[Problem]]:
    """Turn a parsed text into a layer. A file that holds a secret is told so; the value is dropped, not shown."""
    places = {path: f"{source}, line {line}" if is_file else source for path, line in tree.lines.items()}
    if tree.values is None:
        return Layer({}, places), []
    if not isinstance(tree.values, dict):
        reason = f"must hold settings as `key: value`; got {shown('', tree.values)}"
        return Layer({}, places), [Problem(where=source, key="", reason=reason)]
    # A heading whose lines are all commented out says nothing.
    values = {key: value for key, value in tree.values.items() if value is not None or key not in _SECTIONS}
    problems: list[Problem] = []
    if is_file:
        for path in list(_secrets(values, ())):
            problems.append(Problem(where=places.get(path, source), key=dotted(path), reason=_IN_A_FILE))
            _drop(values, path)
    for kind in RECORDS:
        if kind in values:
            values[kind], found = _by_name(kind, values[kind], places, source)
            problems += found
    return Layer(values, places), problems


def _secrets(node: Node, path: KeyPath) -> Iterator[KeyPath]:
    """The paths of everything below ``node`` that is a credential by its name or by its shape."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        here = (*path, key)
        if isinstance(value, str):
            if holds_secret(value) or (value and isinstance(key, str) and is_secret_key(key)):
                yield here
        else:
            yield from _secrets(value, here)


def _drop(node: Node, path: KeyPath) -> None:
    """Remove the key at ``path``, so that it is reported once. Items of lists stay, to keep their numbers."""
    first, *rest = path
    if isinstance(node, dict) and isinstance(first, str):
        if rest:
            _drop(node[first], tuple(rest))
        else:
            del node[first]
    elif isinstance(node, list) and isinstance(first, int) and rest:
        _drop(node[first], tuple(rest))


def _by_name(kind: str, node: Node, places: dict[KeyPath, str], source: str) -> tuple[Values, list[Problem]]:
    """A list of records as a mapping from name to record, with ``places`` following."""
    if not isinstance(node, list):
        reason = f"must be a list of `- name: …` records; got {shown(kind, node)}"
        return {}, [Problem(where=places.get((kind,), source), key=kind, reason=reason)]
    keyed: Values = {}
    names: dict[str | int, str] = {}
    problems: list[Problem] = []
    for index, record in enumerate(node):
        where = places.get((kind, index), source)
        name = record.get("name") if isinstance(record, dict) else None
        if not isinstance(name, str):
            reason = "every record needs a `name` that is a text"
            problems.append(Problem(where=where, key=f"{kind}[{index}]", reason=reason))
        elif name in keyed:
            first = next(number for number, known in names.items() if known == name)
            reason = f"the name stands here twice, first in {places.get((kind, first), source)}"
            problems.append(Problem(where=where, key=dotted((kind, name)), reason=reason))
        else:
            keyed[name] = record
            names[index] = name
    for path, where in list(places.items()):
        if len(path) > 1 and path[0] == kind and path[1] in names:
            places[(kind, names[path[1]], *path[2:])] = where
    return keyed, problems


@dataclass(slots=True)
class Stack:
    """The merged values so far, where each came from, and what is wrong."""

    values: Values = field(default_factory=dict[str, Node])
    places: dict[KeyPath, str] = field(default_factory=dict[KeyPath, str])
    problems: list[Problem] = field(default_factory=list[Problem])
    disabled: dict[KeyPath, str] = field(default_factory=dict[KeyPath, str])
    """Records taken away with ``enabled: false``, and where."""

    def add(self, layer: Layer, *, replaces: bool = True) -> None:
        """Lay ``layer`` on top. With ``replaces=False`` a record that is already there is a problem."""
        for kind in RECORDS:
            records = layer.values.get(kind)
            if isinstance(records, dict):
                self._records(kind, records, layer, replaces)
        rest = {key: value for key, value in layer.values.items() if key not in RECORDS}
        _merge(self.values, rest)
        self.places |= layer.places

    def where(self, path: KeyPath) -> str:
        """Where the nearest enclosing key of ``path`` was written."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return "settings"

    def _records(self, kind: str, records: Values, layer: Layer, replaces: bool) -> None:
        mine = self.values.setdefault(kind, {})
        if not isinstance(mine, dict):
            return
        for name, record in records.items():
            path = (kind, name)
            where = layer.places.get(path, kind)
            if not isinstance(record, dict):
                continue
            enabled = record.pop("enabled", True)
            if not isinstance(enabled, bool):
                reason = f"must be true or false; got {shown('enabled', enabled)}"
                self.problems.append(Problem(where=where, key=f"{dotted(path)}.enabled", reason=reason))
            elif not enabled:
                if mine.pop(name, None) is None:
                    reason = f"there is no such record to take away; {nearest(name, list(mine))}"
                    self.problems.append(Problem(where=where, key=dotted(path), reason=reason))
                self.disabled[path] = where
            elif name in mine and not replaces:
                reason = f"the name is taken, see {self.where(path)}"
                self.problems.append(Problem(where=where, key=dotted(path), reason=reason))
            else:
                _merge(mine, {name: record})


def _merge(base: Values, top: Values) -> None:
    for key, value in top.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            _merge(below, value)
        else:
            base[key] = value
