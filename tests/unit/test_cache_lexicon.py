"""What words mean to each other."""

from __future__ import annotations

import pytest

from engine.cache import lexicon


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("obtain", "getting"), ("purchase", "bought"), ("quickly", "fast"), ("child", "kids"), ("film", "movies"),
        ("decide", "decision"), ("colour", "color"), ("huge", "big"), ("begin", "commence"), ("went", "go"),
    ],
)  # fmt: skip
@pytest.mark.req("cache.verify")
def test_words_of_one_meaning_stand_for_each_other(a: str, b: str) -> None:
    """Synonyms, inflections and derivations, both ways, and none of them is a contradiction."""
    assert lexicon.synonyms(a, b)
    assert lexicon.synonyms(b, a)
    assert not lexicon.opposites(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("enable", "disabled"), ("quick", "slow"), ("encrypt", "decrypting"), ("import", "exports"),
        ("husband", "wife"),
        ("inbound", "outbound"),
        ("useful", "useless"), ("trainer", "trainee"), ("legal", "illegal"),
        ("hypertension", "hypotension"), ("raise", "lower"), ("sync", "async"), ("serialize", "deserialize"),
    ],
)  # fmt: skip
@pytest.mark.req("cache.verify")
def test_opposites_never_stand_for_each_other(a: str, b: str) -> None:
    """Antonyms of the dictionary, of our lists and by prefix; never synonyms, relatives or typos."""
    assert lexicon.opposites(a, b)
    assert lexicon.opposites(b, a)
    assert [lexicon.synonyms(a, b), lexicon.related(a, b), lexicon.typo_of(a, b)] == [False, False, False]


@pytest.mark.parametrize(
    ("a", "b", "rivals", "same_class"),
    [
        ("india", "china", True, True),
        ("python", "java", True, True),
        ("monday", "friday", True, True),
        ("niger", "nigeria", True, True),
        ("dog", "cat", False, True),
        ("mumps", "measles", False, True),
        ("usa", "america", False, False),
        ("paris", "python", False, False),
        ("walk", "pencil", False, False),
    ],
)
@pytest.mark.req("cache.verify")
def test_things_of_one_kind_are_told_apart(a: str, b: str, *, rivals: bool, same_class: bool) -> None:
    """Names of one kind are rivals; everyday things of one kind share a class only."""
    assert (lexicon.rival_names(a, b), lexicon.same_class(a, b)) == (rivals, same_class)
    assert (lexicon.rival_names(b, a), lexicon.same_class(b, a)) == (rivals, same_class)


@pytest.mark.parametrize(
    ("a", "b", "typo"),
    [
        ("rveolution", "revolution", True),
        ("recieve", "receive", True),
        ("definately", "definitely", True),
        ("ktiten", "kitten", True),
        ("form", "from", False),
        ("trial", "trail", False),
        ("iran", "iraq", False),
        ("zorbl", "zorbi", False),
        ("12a", "12b", False),
    ],
)
@pytest.mark.req("cache.verify")
def test_a_typo_is_next_to_a_word_and_no_word_itself(a: str, b: str, *, typo: bool) -> None:
    """Two words, two short unknown names and anything with digits are no typos of each other."""
    assert lexicon.typo_of(a, b) is typo
    assert lexicon.typo_of(b, a) is typo


@pytest.mark.req("cache.verify")
def test_forms_of_a_word_have_one_lemma() -> None:
    """Regular and irregular forms, and a word that only looks inflected is known as it is."""
    forms = ["cats", "mice", "went", "running", "studies", "bigger", "oslo", "qwzzk"]
    assert [lexicon.lemma(form) for form in forms] == [
        "cat",
        "mouse",
        "go",
        "run",
        "study",
        "big",
        "oslo",
        "qwzzk",
    ]


@pytest.mark.req("cache.verify")
def test_names_and_words_are_known() -> None:
    """Names are names unless they are everyday words as well; nonsense is no word."""
    assert [lexicon.is_name(word) for word in ("oslo", "javascript", "monday", "word", "target", "river")] == [
        *(True, True, True, False, False, False)
    ]
    assert [lexicon.is_word(word) for word in ("rivers", "javascript", "qwzzk")] == [True, True, False]
    assert lexicon.rank("house") < lexicon.rank("trellis") <= lexicon.UNKNOWN
