"""Generated pairs: what each kind does to a sentence made by hand, and what no edit may do."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from engine.training.pairs.edits import NEGATIVE, POSITIVE, counts, edits, names_of
from engine.training.pairs.text import canonical, numbers_in

BASE = Path(__file__).parents[2] / "benchmarks" / "verifier_texts" / "base_questions.txt"
QUESTIONS = BASE.read_text(encoding="utf-8").splitlines()
SOME = QUESTIONS[::12]
PER_KIND = 12


def results(kind: str, text: str, times: int = 60) -> set[str]:
    """What an edit makes of ``text`` at so many throws."""
    edit = {**NEGATIVE, **POSITIVE}[kind]
    return {new for n in range(times) if (new := edit(text, Random(n))) is not None}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("number", "convert 5 kg", "convert 50 kg"),
        ("number", "who won in 2018?", "who won in 2019?"),
        ("number", "a table for four", "a table for six"),
        ("unit", "How much is 5 kg?", "How much is 5 lb?"),
        ("unit", "Is 30°C warm?", "Is 30°F warm?"),
        ("unit", "What can I buy for $20?", "What can I buy for €20?"),
        ("unit", "convert miles to kilometers", "convert miles to meters"),
        ("negation", "What can I eat without gluten?", "What can I eat with gluten?"),
        ("negation", "How do I close an account?", "How do I not close an account?"),
        ("negation", "Why can't I log in?", "Why can I log in?"),
        ("negation", "Which foods are salty?", "Which foods aren't salty?"),
        ("antonym", "How do I enable 2FA?", "How do I disable 2FA?"),
        ("antonym", "how to stop enabling cookies", "how to start enabling cookies"),
        ("antonym", "I turned on the light", "I turned off the light"),
        ("entity", "How do I read CSV in Python?", "How do I read JSON in Python?"),
        ("entity", "Can dogs eat rice?", "Can cats eat rice?"),
        ("direction", "trains from Rome to Milan", "trains from Milan to Rome"),
        ("direction", "How do I convert a list to a tuple?", "How do I convert a tuple to a list?"),
        ("direction", "Is gold heavier than silver?", "Is silver heavier than gold?"),
        ("direction", "Did Athens attack Sparta?", "Did Sparta attack Athens?"),
        ("direction", "Who beat Napoleon?", "Who did Napoleon beat?"),
        ("direction", "Can I eat before surgery?", "Can I eat after surgery?"),
        ("quantifier", "How do I delete all rows?", "How do I delete some rows?"),
        ("quantifier", "Do I need at least 8 GB?", "Do I need at most 8 GB?"),
        ("code", "What does git reset --hard do?", "What does git reset --soft do?"),
        ("code", "How do I open a .rar file?", "How do I open a .zip file?"),
        ("code", "When is a KeyError raised?", "When is a ValueError raised?"),
        ("code", "What does HTTP 404 mean?", "What does HTTP 403 mean?"),
        ("quantifier", "What is the most common one?", "What is the least common one?"),
        ("modality", "Should I file a claim?", "Did I file a claim?"),
        ("wh_word", "When was it built?", "Where was it built?"),
        ("wh_word", "How do I use a lathe?", "Why do I use a lathe?"),
    ],
)
def test_an_edit_that_changes_the_answer_makes_what_people_would_ask(kind: str, text: str, expected: str) -> None:
    """Each kind of negative does to a sentence what its name says."""
    assert expected in results(kind, text, times=250)


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("synonym", "Where can I buy a bicycle?", "Where can I purchase a bicycle?"),
        ("synonym", "How do I get rid of ants?", "How do I eliminate ants?"),
        ("synonym", "Who repaired my car?", "Who mended my car?"),
        ("polite", "Write a poem", "Could you write a poem?"),
        ("polite", "Why is it late?", "Why is it late? Thanks!"),
        ("contraction", "Where is my lathe?", "Where's my lathe?"),
        ("contraction", "Why doesn't it start?", "Why does not it start?"),
        ("number_format", "Bake it slowly for 6 minutes", "Bake it slowly for six minutes"),
        ("number_format", "I owe $10,000", "I owe $10k"),
        ("number_format", "What is 50% of it?", "What is 50 percent of it?"),
        ("number_format", "the 3rd song", "the third song"),
        ("number_format", "a 5kg bag", "a 5 kg bag"),
        ("number_format", "a million is 1000000, is 2500 a lot", "a million is 1000000, is 2,500 a lot"),
        ("typo", "battle", "batttle"),
        ("surface", "What is a lathe?", "what is a lathe"),
        ("rephrase", "How do I tie a tie?", "What is the best way to tie a tie?"),
        ("rephrase", "What is osmosis?", "Explain osmosis"),
        ("rephrase", "Can I freeze milk?", "Is it possible to freeze milk?"),
        ("rephrase", "Why do cats purr?", "Reasons why cats purr"),
        (
            "rephrase",
            "What is the difference between tea and coffee?",
            "What is the difference between coffee and tea?",
        ),
        ("rephrase", "How do I sort a list in Python?", "In Python, how do I sort a list?"),
        ("spelling", "what colour is it", "what color is it"),
        ("person", "How do I clean my shoes?", "How do you clean your shoes?"),
        ("person", "Should I see a doctor?", "Should one see a doctor?"),
    ],
)
def test_an_edit_that_leaves_the_answer_says_the_same_otherwise(kind: str, text: str, expected: str) -> None:
    """Each kind of positive does to a sentence what its name says."""
    assert expected in results(kind, text, times=250)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("direction", "What is the difference between tea and coffee?"),
        ("direction", "Should I exercise before or after lunch?"),
        ("direction", "distance from Rome to Milan"),
        ("direction", "How do I ask others for help and not feel weak?"),
        ("code", "Where is my eBay parcel?"),
        ("antonym", "How tall is it?"),
        ("quantifier", "How many are there?"),
        ("number", "How do I tie a tie?"),
        ("unit", "Give me a second chance"),
        ("code", "How do I remove red wine from a carpet?"),
        ("entity", "Go home, this may take a while"),
        ("synonym", "Is it a hard boiled egg?"),
        ("spelling", "How do I tie a tie?"),
        ("typo", "Paris or Berlin in 12345?"),
        ("number_format", "Is iPhone 15 good?"),
        ("person", "Where is your office?"),
    ],
)
def test_a_question_without_a_place_for_an_edit_is_left_alone(kind: str, text: str) -> None:
    """Order that does not count, words that look like names or units and the like are not edited."""
    assert not {new for new in results(kind, text, times=200) if new != text}


def test_a_unit_is_not_put_where_it_stands_already() -> None:
    """A question with one unit twice asks for nothing."""
    made = results("unit", "pounds to kilograms", times=300)

    assert made
    assert not made & {"pounds to pounds", "kilograms to kilograms"}


def test_the_same_seed_gives_the_same_pairs_and_another_one_others() -> None:
    """``edits`` is a function of its arguments."""
    first = edits(SOME, seed=7, per_kind=5)

    assert edits(SOME, seed=7, per_kind=5) == first
    assert edits(SOME, seed=8, per_kind=5) != first


def test_every_kind_finds_places_in_our_own_questions() -> None:
    """The base questions are 900 and more, without repeats, and feed every kind."""
    found = counts(edits(QUESTIONS, seed=1, per_kind=10))

    assert len(QUESTIONS) >= 900
    assert len({canonical(question) for question in QUESTIONS}) == len(QUESTIONS)
    assert found == dict.fromkeys(sorted([*NEGATIVE, *POSITIVE, "combined", "mixed"]), 10)


def test_no_pair_that_asks_something_else_is_equal_after_normalising() -> None:
    """A label of not is never put on two spellings of one text; pairs of one answer differ at all."""
    pairs = edits(SOME, seed=3, per_kind=PER_KIND)

    assert not [pair for pair in pairs if not pair.duplicate and canonical(pair.a) == canonical(pair.b)]
    assert not [pair for pair in pairs if pair.a == pair.b]
    assert {pair.duplicate for pair in pairs} == {True, False}


def test_edits_that_leave_the_answer_touch_no_number_and_no_name() -> None:
    """Only ``number_format`` writes a number otherwise, and it leaves its names."""
    pairs = [pair for pair in edits(SOME, seed=5, per_kind=PER_KIND) if pair.duplicate]

    for pair in pairs:
        assert all(name in pair.b.casefold() for name in names_of(pair.a)), pair
        if pair.kind not in {"number_format", "combined"}:
            assert numbers_in(pair.a) == numbers_in(pair.b), pair
    assert any(names_of(pair.a) for pair in pairs)
    assert any(numbers_in(pair.a) for pair in pairs)


def test_a_pair_carries_the_place_of_its_question() -> None:
    """Pairs of one question share a group, so that a split can keep them together."""
    assert all(QUESTIONS[:40][pair.group] == pair.a for pair in edits(QUESTIONS[:40], seed=1, per_kind=5))


def test_a_slip_of_the_keyboard_makes_no_other_known_word() -> None:
    """``trial`` does not become ``trail``: that is another question."""
    made = results("typo", "free trial", times=250)

    assert made
    assert not [text for text in made if re.search(r"\btrail\b", text)]
