"""What ``make mutation`` changes in the tables of a module, and how it names a mutant."""

from __future__ import annotations

import ast

from scripts.mutate import EQUIVALENT, described, table_mutants

MODULE = '''
"""Not a table."""
CODES = frozenset({"a", "b"})
LIMIT: int = 64
BY_CODE = {**dict.fromkeys(CODES, Outcome.QUOTA), "c": Outcome.CANCEL}
START = BreakerState.OPEN

def f():
    return "left to mutmut"
'''


def test_every_constant_and_outcome_of_a_table_is_changed_once() -> None:
    """One mutant for each, the rest of the module as it was; code and docstrings are not touched."""
    mutants = {what: ast.unparse(mutant) for what, mutant in table_mutants(MODULE)}
    assert list(mutants) == [
        "CODES: 'a' -> 'XXa'",
        "CODES: 'b' -> 'XXb'",
        "LIMIT: 64 -> 65",
        "BY_CODE: 'c' -> 'XXc'",
        "BY_CODE: Outcome.CANCEL -> Outcome.QUALITY",
        "BY_CODE: Outcome.QUOTA -> Outcome.CANCEL",
        "START: BreakerState.OPEN -> BreakerState.PARKED",
    ]
    original = ast.unparse(ast.parse(MODULE))
    assert mutants["LIMIT: 64 -> 65"] == original.replace("64", "65")
    assert all(mutant != original for mutant in mutants.values())


def test_a_mutant_of_a_function_is_named_by_its_change() -> None:
    """Numbers of mutants move with every edit; the change does not."""
    diff = "--- a.py\n+++ a.py\n@@ -1,3 +1,3 @@\n def f():\n-    return 1\n+    return 2\n"
    assert described("engine.a.x_f__mutmut_3", diff) == "engine.a.f: return 1 -> return 2"


def test_an_explained_mutant_is_read_from_the_page() -> None:
    """The first column of the table, code marks off; headings are none."""
    page = "| Mutant | Why |\n|---|---|\n| `engine.a.f: x -> y` | because |\n"
    assert EQUIVALENT.findall(page) == ["engine.a.f: x -> y"]
