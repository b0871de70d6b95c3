"""One YAML text as plain values plus the line each key stands on. No objects, no file access.

Reads libyaml's event stream instead of ``yaml.safe_load``, for four reasons: duplicate keys are seen, every key
keeps its line, nothing is ever constructed from a tag, and nesting cannot exhaust the C stack (``safe_load`` with
libyaml dies of a segmentation fault on 200,000 open brackets). Scalars follow YAML 1.2's core schema, so ``no``
is a text and ``1e3`` a number; anchors, aliases, tags and several documents are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf, nan

import yaml

from configs.errors import Problem

Node = None | bool | int | float | str | list["Node"] | dict[str, "Node"]
KeyPath = tuple[str | int, ...]

DEPTH_MAX = 16
NODES_MAX = 50_000
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS: Mapping[str, Node] = {"": None, "~": None, ".nan": nan, ".inf": inf, "+.inf": inf, "-.inf": -inf} | {
    form: value
    for word, value in (("null", None), ("true", True), ("false", False))
    for form in (word, word.title(), word.upper())
}


@dataclass(frozen=True, slots=True)
class Tree:
    """A parsed text: its values, and the line (from 1) of every key and list item by path."""

    values: Node = None
    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])


class _Refused(Exception):
    """The text cannot be read any further."""

    def __init__(self, reason: str, event: yaml.Event) -> None:
        mark = event.start_mark
        super().__init__(f"{reason} (line {mark.line + 1}, column {mark.column + 1})")


def plain_value(text: str) -> Node:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Builder:
    """Builds the tree from events with a stack of its own; the deepest text costs no recursion."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.root: Node = None
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[Problem] = []
        self._open: list[tuple[Node, KeyPath]] = []
        self._key: list[str | None] = []
        self._nodes = 0
        self._documents = 0

    def feed(self, event: yaml.Event) -> None:
        """Take one event; raise ``_Refused`` for what no setting needs."""
        match event:
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    raise _Refused("a second document starts here; one file holds one", event)
            case yaml.AliasEvent():
                raise _Refused("aliases (*name) are not supported; write the value out", event)
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._start({}, event)
            case yaml.SequenceStartEvent():
                self._start([], event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._open.pop()
                self._key.pop()
            case _:
                pass

    def _check(self, event: yaml.NodeEvent, tag: str | None) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise _Refused(f"more than {NODES_MAX} values", event)
        if event.anchor is not None:
            raise _Refused("anchors (&name) are not supported; write the value out", event)
        if tag not in (None, "!"):
            raise _Refused("tags (!name) are not supported", event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        self._check(event, event.tag)
        text = event.value
        if _CONTROL.search(text):
            raise _Refused("control characters are not allowed", event)
        if self._awaits_key():
            self._take_key(text, event)
        else:
            self._place(plain_value(text) if event.implicit[0] else text, event)

    def _start(self, node: Node, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> None:
        self._check(event, event.tag)
        if self._awaits_key():
            raise _Refused("a key must be a text", event)
        if len(self._open) >= DEPTH_MAX:
            raise _Refused(f"nested deeper than {DEPTH_MAX} levels", event)
        path = self._place(node, event)
        self._open.append((node, path))
        self._key.append(None)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1][0], dict) and self._key[-1] is None

    def _take_key(self, key: str, event: yaml.Event) -> None:
        parent, path = self._open[-1]
        self._key[-1] = key
        line = event.start_mark.line + 1
        if isinstance(parent, dict) and key in parent:
            where = f"{self.source}, line {line}"
            first = self.lines[(*path, key)]
            dotted = ".".join(map(str, (*path, key)))
            self.problems.append(
                Problem(where=where, key=dotted, reason=f"the key stands here twice, first on line {first}")
            )
        else:
            self.lines[(*path, key)] = line

    def _place(self, value: Node, event: yaml.Event) -> KeyPath:
        """Put a value where the open mapping, list or root expects one; return its path."""
        if not self._open:
            self.root = value
            return ()
        parent, path = self._open[-1]
        if isinstance(parent, dict):
            key = self._key[-1]
            if key is None:
                raise _Refused("a key must be a text", event)
            self._key[-1] = None
            parent.setdefault(key, value)
            return (*path, key)
        if isinstance(parent, list):
            parent.append(value)
            here = (*path, len(parent) - 1)
            self.lines[here] = event.start_mark.line + 1
            return here
        raise _Refused("a value stands where none can", event)


def parse_yaml(text: str, source: str) -> tuple[Tree, list[Problem]]:
    """Read one text. Never raises: what is wrong is in the problems, and the tree is then what could be read."""
    builder = _Builder(source)
    try:
        for event in _events(text):
            builder.feed(event)
    except _Refused as exc:
        return Tree(), [*builder.problems, Problem(where=source, key="", reason=str(exc))]
    except yaml.YAMLError as exc:
        return Tree(), [*builder.problems, Problem(where=source, key="", reason=_syntax(exc, text))]
    return Tree(builder.root, builder.lines), builder.problems


def _events(text: str) -> Iterator[yaml.Event]:
    """The parser's events, typed."""
    yield from yaml.parse(text, Loader=_LOADER)


def _syntax(exc: yaml.YAMLError, text: str) -> str:
    """What the parser found and where; never the text itself, which may hold a secret."""
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        mark = exc.problem_mark
        context = f" {exc.context}" if exc.context else ""
        return f"not YAML: {exc.problem}{context} (line {mark.line + 1}, column {mark.column + 1})"
    position = getattr(exc, "position", 0)
    line = text.count("\n", 0, position) + 1
    return f"not YAML: {getattr(exc, 'reason', 'it cannot be read')} (line {line})"
