"""Words of a question: forms that belong together, terms that are found, languages that are not known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.routing.words import Hits, TermIndex, edges, familiarity, stem, stems, term

ENGLISH = {"turn", "off", "the", "pump", "when", "tank", "is", "full", "please", "in", "by"}


def _index(*entries: tuple[int, str, bool]) -> TermIndex:
    made = ((agent, term(text, cue=cue)) for agent, text, cue in entries)
    return TermIndex((agent, each) for agent, each in made if each is not None)


@pytest.mark.parametrize(
    "forms",
    [
        ("summarize", "summarise", "Summarizing", "summarised", "summarization", "summarisation"),
        ("chart", "charts", "charted", "charting"),
        ("plot", "plots", "plotted", "plotting"),
        ("query", "queries"),
        ("analyze", "analyse", "analysing", "analyses"),
        ("correlate", "correlated", "correlation", "correlations"),
        ("visualization", "visualisations", "visualize"),
        ("headline", "headlines"),
    ],
)
def test_forms_of_a_word_meet(forms: tuple[str, ...]) -> None:
    """British and American, singular and plural, verb and noun."""
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("news", "new"),
        ("class", "clas"),
        ("stats", "station"),
        ("sing", "s"),
        ("red", "r"),
        ("analysis", "analyst"),
    ],
)
def test_words_that_only_look_alike_stay_apart(one: str, other: str) -> None:
    """«New York» is no news."""
    assert stem(one) != stem(other)


def test_stems_ignore_signs_and_case() -> None:
    """Only letters and digits make words."""
    assert stems("The X-axis, (again)!") == ("the", "x", "axis", "again")


def test_a_term_is_found_as_words_and_not_inside_words() -> None:
    """«art» is not in «chart», «bar chart» not in «bar of the chart»."""
    index = _index((0, "art", False), (1, "bar chart", False))
    assert index.find("a chart of the bar") == {}
    assert index.find("Bar charts as art") == {
        0: Hits((), ("art",)),
        1: Hits((), ("bar chart",)),
    }


def test_cues_and_keywords_are_told_apart_and_counted_once() -> None:
    """However often a term occurs; in the order of the agent's own lists."""
    index = _index((3, "sql", True), (3, "join", False), (3, "table", False))
    assert index.find("table, table, join and SQL and sql") == {3: Hits(("sql",), ("join", "table"))}


@pytest.mark.parametrize(
    ("text", "question", "found"),
    [
        ("tl;dr", "TL;DR please", True),
        ("tl;dr", "xtl;dry", False),
        ("def ", "fix def load(x)", True),
        ("def ", "undef x", False),
        ("C#", "a C# class", True),
        ("C#", "in c# minor", False),
        ("&str", "is &str better?", True),
        ("node.js", "with Node.js", True),
        ("async/await", "use async await here", True),
        ("__init__", "what is __init__ for", True),
    ],
)
def test_terms_with_signs_are_found_as_they_stand(text: str, question: str, found: bool) -> None:
    """A term in small letters ignores case; one with capitals means them."""
    assert bool(_index((0, text, False)).find(question)) is found


@pytest.mark.parametrize("text", ["", "   ", "...", "-"])
def test_a_term_without_content_is_no_term(text: str) -> None:
    """It would be found everywhere."""
    assert term(text, cue=True) is None


def test_edges_keep_beginning_and_end() -> None:
    """What is wanted stands before or after what is pasted."""
    assert edges("short", 10) == "short"
    assert edges("begin" + "." * 100 + "close", 10) == "begin\nclose"


def test_familiarity_counts_known_words_and_function_words() -> None:
    """Known 1, unknown 0, a function word 2 more; never above 1."""
    assert familiarity("please turn pump full", ENGLISH.__contains__) == 1.0
    assert familiarity("bitte Pumpe abschalten sofort", ENGLISH.__contains__) == 0.0
    assert familiarity("bitte pump abschalten sofort", ENGLISH.__contains__) == pytest.approx(1 / 4)
    assert familiarity("bitte in abschalten sofort", ENGLISH.__contains__) == pytest.approx(3 / 4)


def test_few_words_are_given_the_benefit_of_the_doubt() -> None:
    """Names and slips would decide over three words."""
    assert familiarity("kubectl CrashLoopBackOff", ENGLISH.__contains__) == 1.0


@pytest.mark.parametrize("text", ["今天有什么新闻？", "Что нового сегодня", "أخبار اليوم", "ข่าววันนี้"])
def test_another_script_is_unknown_however_short(text: str) -> None:
    """No benefit of the doubt: the letters themselves are foreign."""
    assert familiarity(text, lambda _: True) == 0.0


def test_accents_do_not_make_a_word_unknown() -> None:
    """As in the encoder, which strips them."""
    assert familiarity("púmp tánk full turn", ENGLISH.__contains__) == 1.0


@given(st.text(max_size=200))
def test_familiarity_is_a_share(text: str) -> None:
    """Between 0 and 1 for any text."""
    assert 0.0 <= familiarity(text, ENGLISH.__contains__) <= 1.0


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_term_can_be_looked_for_in_any_text(text: str, question: str) -> None:
    """Neither has to be well behaved; what is found is the term itself."""
    made = term(text, cue=False)
    if made is not None:
        assert TermIndex([(0, made)]).find(question) in ({}, {0: Hits((), (text,))})
