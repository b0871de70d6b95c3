"""Whether two answers say the same, without asking anybody."""

from __future__ import annotations

import math

import numpy as np
import pytest

from configs.caching import BoundSettings
from engine.cache.agree import Agreement, Text, agree

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
