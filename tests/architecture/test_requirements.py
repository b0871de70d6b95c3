"""The requirements manifest and the tests agree, in both directions."""

from __future__ import annotations

import pytest

from tests.architecture.manifest import (
    MANIFEST,
    Requirement,
    collect,
    disagreements,
    named_ids,
    parse,
    suite,
)
from tests.architecture.requirements_table import table


def _requirement(name: str, status: str) -> Requirement:
    return Requirement(
        id=name, text="It works.", status=status, issue=1, note="the rest" if status == "partial" else ""
    )


def test_manifest_and_tests_agree() -> None:
    """Every id that a test names is listed as built or partial, and every such id is named."""
    requirements, wrong = parse(MANIFEST.read_text(encoding="utf-8"))
    assert wrong == []
    assert disagreements(requirements, collect(suite())) == []


def test_manifest_lists_every_promise() -> None:
    """Ninety promises in ten families; one that falls out of the file is missed."""
    requirements, _ = parse(MANIFEST.read_text(encoding="utf-8"))
    families = {r.id.split(".")[0] for r in requirements}
    assert families == {"admit", "cache", "route", "run", "brk", "tool", "mem", "cost", "obs", "serve"}
    assert len(requirements) == 90


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("{id: a.b, text: It works, status: done, issue: 1}", "unknown status 'done'"),
        ("{id: a.b, text: It works, status: open, issue: 11}", "not a step"),
        ("{id: a.b, text: It works, status: open, issue: 1, owner: me}", "unknown key ['owner']"),
        ("{id: a.b, text: '', status: open, issue: 1}", "1 to 15 words"),
        ("{id: a.b, text: It works, status: partial, issue: 1}", "says in `note` what is missing"),
        ("{id: a.b, text: It works, status: built, issue: 1, note: almost}", "only a partial one does"),
        (
            "{id: a.b, text: It works, status: open, issue: 1}\n- {id: a.b, text: x, status: open, issue: 1}",
            "listed twice",
        ),
    ],
)
def test_a_badly_written_row_is_refused(row: str, fault: str) -> None:
    """Each way to write a row wrong is named."""
    _, wrong = parse(f"- {row}")
    assert len(wrong) == 1
    assert fault in wrong[0]


@pytest.mark.parametrize(
    ("status", "named", "fault"),
    [
        ("open", {"a.b": ["t.py:1"]}, "a.b: open in the manifest, but t.py:1 names it"),
        ("partial", {}, "a.b: partial in the manifest, but no test names it"),
        ("built", {}, "a.b: built in the manifest, but no test names it"),
        ("open", {"a.c": ["t.py:1"]}, "a.c: named by t.py:1 but not in the manifest"),
    ],
)
def test_each_disagreement_is_found(status: str, named: dict[str, list[str]], fault: str) -> None:
    """A claim without a test and a test without a claim are both caught."""
    assert disagreements([_requirement("a.b", status)], named) == [fault]


@pytest.mark.parametrize("status", ["built", "partial"])
def test_a_claim_with_a_test_is_accepted(status: str) -> None:
    """Built or partial, and named once: nothing to say."""
    assert disagreements([_requirement("a.b", status)], {"a.b": ["t.py:1"]}) == []


def test_ids_are_found_on_functions_classes_and_modules() -> None:
    """Decorators and ``pytestmark`` count, several ids in one mark count each, other marks do not."""
    source = (
        "import pytest\n"
        'pytestmark = pytest.mark.req("mod.mark")\n'
        '@pytest.mark.req("a.b", "c.d")\n'
        "def test_x(): ...\n"
        "@pytest.mark.timeout(5)\n"
        '@pytest.mark.req("a.b")\n'
        "class TestY: ...\n"
    )
    found = named_ids(source, "t.py")
    assert found == {"mod.mark": ["t.py:2"], "a.b": ["t.py:3", "t.py:6"], "c.d": ["t.py:3"]}


def test_the_table_counts_every_requirement() -> None:
    """The last line of the printed table sums to the manifest."""
    *rows, total = table().splitlines()
    assert len(rows) == 90
    assert total.endswith("90 in all")
