"""Laws of the guard for any text: identity, symmetry, normal form, no crash, linear work."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.cache.guard.align import compare
from engine.cache.guard.language import language_of
from engine.cache.guard.rules import conflict, refuse
from engine.cache.guard.text import tokens

SOME = """
how why when who should is can
do i not never the all only a from to in into than oslo paris python ruby enable disable get
obtain lamp dog may may's can't 5 50 kg two hundred thousand first $ % --force get_name a.b c++
please thanks hey one US é 猫 _ ' ? - ,
"""
WORDS = st.sampled_from(SOME.split())
QUESTIONS = st.one_of(st.lists(WORDS, max_size=9).map(" ".join), st.text(max_size=40))


@pytest.mark.req("cache.verify")
@given(QUESTIONS)
def test_no_question_is_refused_beside_itself(text: str) -> None:
    """Nor beside itself in capitals' absence, with other spaces or a question mark."""
    assert refuse(text, text) is None
    assert refuse(text, f"  {text}\n") is None


@pytest.mark.req("cache.verify")
@settings(max_examples=60)
@given(QUESTIONS, QUESTIONS)
def test_whichever_was_asked_first_makes_no_difference(a: str, b: str) -> None:
    """Refusal is symmetric, for any unicode."""
    assert refuse(a, b) == refuse(b, a)


@pytest.mark.req("cache.verify")
@given(QUESTIONS)
def test_what_is_normal_stays_normal(text: str) -> None:
    """A text beside itself has nothing apart; its language does not depend on spaces round it."""
    found = compare(text, text)
    assert (found.left_a, found.left_b, found.moved, found.fillers_apart) == ((), (), 0, 0)
    assert language_of(text) == language_of(f" {text} ")


@pytest.mark.req("cache.verify")
@given(
    st.lists(
        st.sampled_from(["lamp", "dog", "oslo", "5", "kg", "river", "not", "how", "the"]), min_size=1, max_size=9
    )
)
def test_reading_twice_changes_nothing(words: list[str]) -> None:
    """The tokens of the tokens' own text are the same tokens."""
    once = tokens(" ".join(words))
    assert [t.key for t in tokens(" ".join(t.text for t in once))] == [t.key for t in once]


def _steps(work: Callable[[], object]) -> int:
    """Lines of Python run by the call: a measure of work without a clock."""
    lines = 0

    def local(_frame: object, event: str, _arg: object) -> object:
        nonlocal lines
        lines += event == "line"
        return local

    before = sys.gettrace()
    sys.settrace(lambda frame, _event, _arg: local if "/engine/cache/" in frame.f_code.co_filename else None)  # type: ignore[arg-type] # the stub asks for a narrower event type
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize(
    "piece", ["lamp of dog {} in oslo ", "zq{}x ", "{}1,", "a_{}", "hey {}", "'s {}", "not {} 5 kg "]
)
def test_four_times_the_text_is_at_most_five_times_the_work(piece: str) -> None:
    """With two different texts work grows with length and not with its square."""

    def made(size: int, shift: int) -> str:
        return "".join(piece.format(number * 2 + shift) for number in range(size))[:size]

    short = _steps(lambda: conflict(made(1_000, 0), made(1_000, 1)))
    long = _steps(lambda: conflict(made(4_000, 0), made(4_000, 1)))
    assert 0 < long <= 5 * short


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("text", ["\ud800\x00\u202e\u0301" * 50, "_" * 10_000, "-" * 10_000, "a_" * 5_000])
def test_broken_and_endless_text_is_only_text(text: str) -> None:
    """Lone surrogates, NUL, direction marks, bare accents and one endless word are compared like any text."""
    assert conflict(text, text + "?") is None
    assert language_of(text) == "en"
