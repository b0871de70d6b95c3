"""Figures in another order, capitals that matter, lines of code: what the words alone do not show."""

from __future__ import annotations

import pytest

from engine.cache.guard.rules import refuse

LOOP = "What does this print?\nfor i in range(a):\n    if i < b:\n        total += i"


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(
    ("asked", "stored", "rule"),
    [
        ("Which weekday was 2023-04-05?", "Which weekday was 2023-05-04?", "number"),
        ("Crop the picture to 16:9", "Crop the picture to 9:16", "number"),
        ("What is in range(2, 9)?", "What is in range(9, 2)?", "number"),
        ("Write 2e5 out in full", "Write 2e-5 out in full", "number"),
        ("How much is 7 mW in dBm?", "How much is 7 MW in dBm?", "unit"),
        ("How long does 3 GB take?", "How long does 3 Gb take?", "unit"),
        ("What does grep -v do?", "What does grep -V do?", "code"),
        (LOOP, LOOP.replace("+=", "-="), "code"),
        (LOOP, LOOP.replace("range(a)", "range(b)"), "code"),
        (LOOP, LOOP.replace("        total", "    total"), "code"),
        (LOOP, f"{LOOP}\nprint(total)", "code"),
    ],
)
def test_what_looks_the_same_word_by_word_is_told_apart(asked: str, stored: str, rule: str):
    """Either way round, by the rule that saw it."""
    for one, other in ((asked, stored), (stored, asked)):
        refused = refuse(one, other)
        assert refused is not None
        assert (refused.rule, bool(refused.detail)) in ((rule, True), ("code", True), ("number", True))


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(
    ("asked", "stored"),
    [
        ("Is 3 kg of rice or 5 kg of beans heavier?", "Is 5 kg of beans or 3 kg of rice heavier?"),
        ("How long does 3 GB take?", "how long does 3 gb take"),
        ("HOW LONG DOES 3 GB TAKE?", "How long does 3 GB take?"),
        ("What does grep -v do?", "what does grep -v do"),
        (LOOP, LOOP.replace("What does this print?", "what does this print")),
        (LOOP, LOOP + "  "),
        ("Hi there!\nHow do I boil an egg?", "How do I boil an egg?"),
    ],
)
def test_how_somebody_types_is_no_difference(asked: str, stored: str):
    """Other things in another order, small letters, blanks at the end of a line, a greeting on its own line."""
    assert refuse(asked, stored) is None
    assert refuse(stored, asked) is None
