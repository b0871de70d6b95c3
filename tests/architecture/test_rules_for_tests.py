"""Tests keep the house's rules too: they claim, they assert, they never wait for a clock."""

from __future__ import annotations

import pytest

from tests.architecture import suite_rules
from tests.architecture.sources import Source, suite
from tests.architecture.suite_rules import RULES, Rule, repeated_names

PLANTED = {
    "file_size": ("x = 0\n" * 501, "x = 0\n" * 500),
    "docstrings": ("def test_x():\n    assert f()", 'def test_x():\n    """It holds."""\n    assert f()'),
    "sleeps": (
        "async def test_x():\n    await asyncio.sleep(0.1)",
        "async def test_x():\n    await asyncio.sleep(0)",
    ),
    "wall_clock": ("def test_x():\n    assert time.time() > 0", "def test_x():\n    assert clock() > 0"),
    "hollow": ("def test_x():\n    f()", "def test_x():\n    assert f() == 1"),
    "classes": ("class TestX:\n    def test_y(self): ...", "TestX = Machine.TestCase"),
}
MORE_PLANTED = [
    ("docstrings", 'def test_x():\n    """One.\n\n    Two.\n    """\n    assert f()'),
    ("sleeps", "from time import sleep\ndef test_x():\n    sleep(1)"),
    ("sleeps", "def test_x():\n    time.sleep(seconds)"),
    ("wall_clock", "def test_x():\n    assert datetime.now(UTC)"),
    ("hollow", "def test_x():\n    assert True"),
    ("hollow", "def test_x():\n    assert f() is not None"),
    ("hollow", "async def test_x():\n    await f()"),
    ("hollow", "def test_x():\n    def assert_later():\n        assert f()\n    g()"),
]
ENOUGH = [
    "def test_x():\n    with pytest.raises(ValueError):\n        f()",
    "async def test_x():\n    await assert_equal_in_any_batch(encoder)",
    "def test_x():\n    assert f() is not None\n    assert g() == 2",
    "def test_x():\n    run_state_machine_as_test(Machine)",
    "def test_x(result):\n    result.assert_outcomes(passed=1)",
    "def test_x():\n    async def drive():\n        assert f()\n    asyncio.run(drive())",
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_suite_keeps_the_rule(rule: Rule) -> None:
    """No test file breaks it."""
    assert [f"{source.path}:{fault}" for source in suite() for fault in rule(source)] == []


@pytest.mark.parametrize("name", PLANTED)
def test_the_suite_rule_catches_a_planted_violation(name: str) -> None:
    """The planted test is named; the nearest legal one is not."""
    bad, good = PLANTED[name]
    rule: Rule = getattr(suite_rules, name)
    assert len(rule(Source("tests/unit/test_x.py", bad))) == 1
    assert rule(Source("tests/unit/test_x.py", good)) == []


@pytest.mark.parametrize(("name", "bad"), MORE_PLANTED)
def test_the_suite_rule_catches_other_spellings(name: str, bad: str) -> None:
    """The same offence written differently is caught as well."""
    rule: Rule = getattr(suite_rules, name)
    assert len(rule(Source("tests/unit/test_x.py", bad))) == 1


@pytest.mark.parametrize("good", ENOUGH)
def test_a_test_that_asserts_in_another_way_is_not_hollow(good: str) -> None:
    """Expected errors, shared assertions and state machines prove something too."""
    assert suite_rules.hollow(Source("tests/unit/test_x.py", good)) == []


def test_every_suite_rule_has_a_planted_violation() -> None:
    """A rule that nobody has seen fail proves nothing."""
    assert {rule.__name__ for rule in RULES} == set(PLANTED)


def test_test_files_have_names_of_their_own() -> None:
    """A file name says which file it is, wherever a report prints it."""
    assert repeated_names(source.path for source in suite()) == []


def test_a_repeated_file_name_is_caught() -> None:
    """Two folders with the same test file are named; two ``conftest.py`` are normal."""
    paths = ["tests/unit/test_a.py", "tests/flow/test_a.py", "tests/conftest.py", "tests/flow/conftest.py"]
    assert repeated_names(paths) == ["test_a.py"]
