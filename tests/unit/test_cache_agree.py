"""Whether two answers say the same, without asking anybody."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from configs.caching import BoundSettings
from engine.cache.agree import COMPARED_CHARS, Agreement, Text, agree

RULES = BoundSettings()


def judged(one: str, other: str) -> Agreement:
    """By their words alone, both ways round."""
    found = agree(Text(text=one), Text(text=other), RULES)
    assert agree(Text(text=other), Text(text=one), RULES) == found
    return found


def at_cosine(cosine: float, one: str = "some text", other: str = "another text") -> Agreement:
    """With vectors so far apart."""
    first = np.array([1.0, 0.0], dtype=np.float32)
    second = np.array([cosine, math.sqrt(1 - cosine * cosine)], dtype=np.float32)
    return agree(Text(text=one, vector=first), Text(text=other, vector=second), RULES)


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 kg are 11.02 lb", "5 kg are 11.0231 lb"),
        ("**Paris**.", "paris"),
        ("It takes 1,000 km.", "It takes 1000 kilometres"),
        ("Use this:\n```python\nx = 1  \n# a note\n```", "Here you go\n```py\n\nx  =  1\n```\nDone."),
    ],
)
def test_the_same_said_in_another_form_is_the_same(one: str, other: str):
    """Rounding, emphasis, a unit's other name, the same code around other words; with vectors alike."""
    assert at_cosine(0.95, one, other) == "same"


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 kg are 11.02 lb", "50 kg are 110.2 lb"),
        ("It was founded in 1999", "It was founded in 2000"),
        ("The limit is 5 km", "The limit is 5 miles"),
        ("Yes, you can do that.", "No, that is refused."),
        ("You can enable it in the settings", "You cannot enable it in the settings"),
        ("Berlin", ""),
        ("-5 °C", "5 °C"),
    ],
)
def test_answers_that_contradict_each_other_are_different_however_alike(one: str, other: str):
    """A number, a unit, yes and no, a negation, or nothing at all; vectors that are nearly one do not help."""
    assert judged(one, other) == "different"
    assert at_cosine(0.99, one, other) == "different"


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Open the settings", "There is a menu for that"),
        ("It is the capital", "It is the capital since 1871"),
        ("```\nx = 1\n```", "```\ny = 1\n```"),
        ("No idea which of these", "It depends on the country"),
    ],
)
def test_what_nobody_can_tell_is_unsure(one: str, other: str):
    """Other words, one number more, other code: neither right nor wrong."""
    assert judged(one, other) == "unsure"


@pytest.mark.req("cache.bound")
def test_without_a_contradiction_the_vectors_decide_and_leave_a_gap():
    """Alike, far apart, and between the two; a vector that is no number decides nothing."""
    assert at_cosine(RULES.same_min + 0.01) == "same"
    assert at_cosine(RULES.same_min - 0.01) == "unsure"
    assert at_cosine(RULES.different_max + 0.01) == "unsure"
    assert at_cosine(RULES.different_max - 0.01) == "different"
    nothing = np.array([np.nan, np.nan], dtype=np.float32)
    assert agree(Text(text="a", vector=nothing), Text(text="b", vector=nothing), RULES) == "unsure"


@pytest.mark.req("cache.bound")
def test_numbers_of_long_answers_do_not_decide():
    """A list of seven points and one of eight may both be right; the same difference in a sentence is one."""
    words = "word " * 60
    assert at_cosine(0.9, f"{words} 7 points", f"{words} 8 points") == "same"
    assert at_cosine(0.9, "7 points", "8 points") == "different"


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "1" * n + "a1",
        lambda n: "1" + " 111" * (n // 4) + "a1",
        lambda n: "-1" * (n // 2) + "a",
        lambda n: "1" + "a" * n + "1",
        lambda n: "1.1" * (n // 3) + "a1",
        lambda n: f"```\n{chr(10) * n}x\n```",
        lambda n: f"```\n{' ' * n}x\n```",
        lambda n: "`" * n + "x",
        lambda n: "`" * n + "\nx",
        lambda n: "```\n" * (n // 4),
        lambda n: "*_`" * (n // 3),
        lambda n: "a'" * (n // 2),
    ],
)
def test_no_text_takes_longer_than_its_length_allows(
    hostile: Callable[[int], str], monkeypatch: pytest.MonkeyPatch
):
    """400,000 characters: patterns that look back over them would take minutes, which the timeout would notice."""
    monkeypatch.setattr("engine.cache.agree.COMPARED_CHARS", 10**9)
    text = hostile(400_000)
    assert len(text) > 390_000
    assert agree(Text(text=text), Text(text="hello there"), RULES) in ("unsure", "different")


@pytest.mark.req("cache.bound")
def test_what_stands_behind_the_first_characters_is_not_compared():
    """Different ends of long answers do not count; a difference before that does, in words and in code."""
    long = "word " * (COMPARED_CHARS // 5)
    assert judged(f"{long} first end", f"{long} second finish") == "same"
    assert judged(f"Yes {long}", f"No {long}") == "different"
    code = "```\n" + "x = 1\n" * (COMPARED_CHARS // 6)
    assert judged(f"Here:\n{code}y = 1\n```", f"Look:\n{code}y = 2\n```") == "same"
    assert judged(f"Here:\n{code}y = 1\n```", f"Look:\n{code.replace('1', '2', 1)}\ny = 1\n```") == "unsure"


@pytest.mark.req("cache.bound")
@pytest.mark.parametrize(
    ("text", "other", "says"),
    [
        ("It is 1,234.5 km", "It is 1234.5 kilometers", "same"),
        ("It is 1 234 km", "It is 1234 km", "same"),
        ("It is 1,2345 km", "It is 1 km and 2345 km", "same"),
        ("Use v1.5b2 of it", "Use v1.5b3 of it", "same"),
        ("Use 23 456a1 of it", "Use 24 456a1 of it", "different"),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, other: str, says: Agreement):
    """Thousands with commas and spaces; a name with digits in it is no number."""
    assert at_cosine(0.95, text, other) == says
