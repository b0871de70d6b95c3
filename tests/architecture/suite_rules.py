"""Rules for test files: each takes a ``Source`` and returns what is wrong with it, by line.

Files that hold no tests of their own (support modules, contract suites) only keep the size, sleep and clock rules.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from tests.architecture.code_rules import Function, Rule, calls
from tests.architecture.sources import Source

FILE_LINES_MAX = 500
ASSERTING_CALLS = {"raises", "warns", "fail", "run_state_machine_as_test", "RaisesGroup"}
WALL_CLOCKS = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.datetime.now",
    "date.today",
}


def claims(source: Source) -> Iterator[Function]:
    """The test functions of a file."""
    for node in source.tree.body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (m for m in members if isinstance(m, Function) and m.name.startswith("test_"))


def file_size(source: Source) -> list[str]:
    """A long test file covers more than one subject."""
    return [f"{source.lines} lines, at most {FILE_LINES_MAX}"] if source.lines > FILE_LINES_MAX else []


def docstrings(source: Source) -> list[str]:
    """One line states the claim."""
    wrong: list[str] = []
    for test in claims(source):
        text = ast.get_docstring(test, clean=False)
        if not text or "\n" in text.strip():
            wrong.append(f"{test.lineno}: {test.name} needs a docstring of one line")
    return wrong


def sleeps(source: Source) -> list[str]:
    """Waiting is for events. ``asyncio.sleep(0)`` gives way without waiting and is allowed."""
    return [
        f"{node.lineno}: sleep"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] == "sleep"
        and not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]


def wall_clock(source: Source) -> list[str]:
    """The time of day is not a fact about the code."""
    return [f"{line}: calls {name}" for line, name in calls(source.tree) if name in WALL_CLOCKS]


def hollow(source: Source) -> list[str]:
    """A test that cannot fail. ``is not None`` alone does not count: almost anything is not None."""
    return [f"{test.lineno}: {test.name} asserts nothing" for test in claims(source) if not _asserts(test)]


def _asserts(test: Function) -> bool:
    called = {name.split(".")[-1] for _, name in calls(test)}
    unused = [
        n for n in ast.walk(test) if isinstance(n, Function) and n is not test and not _mentions(test, n.name)
    ]
    skipped = {id(child) for function in unused for child in ast.walk(function)}
    return any(
        (isinstance(node, ast.Assert) and not _is_trivial(node.test)) or _is_asserting_call(node)
        for node in ast.walk(test)
        if id(node) not in skipped
    ) or bool(called & ASSERTING_CALLS)


def _mentions(test: Function, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(test))


def _is_trivial(test: ast.expr) -> bool:
    if isinstance(test, ast.Constant):
        return True
    return isinstance(test, ast.Compare) and ast.unparse(test).endswith("is not None")


def _is_asserting_call(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute)):
        return False
    return ast.unparse(node.func).split(".")[-1].startswith("assert_")


def classes(source: Source) -> list[str]:
    """Tests are plain functions."""
    return [
        f"{node.lineno}: class {node.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
    ]


RULES: tuple[Rule, ...] = (file_size, docstrings, sleeps, wall_clock, hollow, classes)


def repeated_names(paths: Iterable[str]) -> list[str]:
    """Test file names that occur more than once."""
    names = Counter(PurePosixPath(path).name for path in paths)
    return sorted(name for name, count in names.items() if count > 1 and name.startswith("test_"))
