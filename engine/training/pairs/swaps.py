"""Edits that change the answer by one word: opposites, names, quantifiers, question words, tense, code.

Each takes a question and a source of chance and gives the edited one, or ``None`` where it has nothing to edit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

from engine.training.pairs import words as lists
from engine.training.pairs.lists import word_set
from engine.training.pairs.text import Span, one_of, phrases_of, put, words_of

Edit = Callable[[str, Random], str | None]

_QUANTIFIERS: Final[Mapping[str, tuple[str, ...]]] = {
    "all": ("some", "no", "none of", "only some of"),
    "all of": ("some of", "none of"),
    "some": ("all", "no", "most"),
    "some of": ("all of", "none of"),
    "any": ("all", "every"),
    "every": ("any", "only one", "no"),
    "each": ("only one",),
    "most": ("least",),
    "most of": ("all of", "few of"),
    "most people": ("all people", "few people"),
    "least": ("most",),
    "many": ("few",),
    "few": ("many", "all"),
    "none": ("all", "some"),
    "both": ("neither", "either", "one of"),
    "only": ("not only", "also"),
    "at least": ("at most", "exactly", "less than"),
    "at most": ("at least", "more than"),
    "up to": ("at least", "more than"),
    "more than": ("less than", "at most", "exactly"),
    "less than": ("more than", "at least", "exactly"),
    "fewer than": ("more than",),
    "under": ("over",),
    "over": ("under",),
    "minimum": ("maximum", "average"),
    "maximum": ("minimum", "average"),
    "first": ("last", "second"),
    "last": ("first", "next"),
    "next": ("previous", "last"),
    "previous": ("next",),
    "always": ("sometimes", "never"),
    "sometimes": ("always", "never"),
    "never": ("always", "sometimes"),
    "everyone": ("no one", "someone"),
    "someone": ("everyone", "no one"),
    "everything": ("nothing",),
    "once": ("twice", "never"),
    "twice": ("once",),
    "highest": ("lowest", "second highest"),
    "lowest": ("highest", "average"),
    "largest": ("smallest", "second largest"),
    "smallest": ("largest",),
    "longest": ("shortest", "second longest"),
    "tallest": ("shortest", "second tallest"),
    "best": ("worst", "only"),
    "more": ("less",),
    "the most": ("the least",),
}
_QUANTIFIED: Final = phrases_of(_QUANTIFIERS)
_NEEDS_NUMBER: Final = frozenset({"under", "over", "up to"})
_MODALITY: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    (r"\b(?:what|when|where|which|how often|how long) (should I)\b", ("did I", "will I")),
    (r"^(should I)\b", ("did I", "can I", "do I have to")),
    (r"^(can I)\b", ("should I", "must I", "did I", "do I have to")),
    (r"\b(?:where|what|when) (can I)\b", ("did I", "should I not", "must I")),
    (
        r"\b(do I need to|do I have to)\b",
        ("am I allowed to", "did I need to", "do I want to", "should I avoid having to"),
    ),
    (r"\b(do I need)\b", ("can I get", "did I need", "do I already have")),
    (r"\b(did I need to)\b", ("do I need to", "will I need to")),
    (r"^(how do I)\b", ("should I", "did I", "do I have to", "why should I", "who can")),
    (r"^(can you)\b(?! (?:please|tell|show|explain|give|help))", ("should you", "must you", "did you")),
    (r"^(will)\b", ("did", "should")),
    (r"^(did)\b", ("will", "should")),
    (r"^(do)\b(?! I\b)", ("did", "should", "must")),
    (r"^(does)\b", ("did", "will", "should")),
    (r"^(can)\b", ("should", "must", "did")),
    (r"^(?:why|when|where|how) (did)\b", ("should", "will")),
    (r"^(?:who|where) (is)\b", ("was", "will be")),
    (
        r"\bwhat(?:'s| is) the (weather|price|salary|population|rate|cost)\b",
        ("past <>", "future <>", "expected <>"),
    ),
    (r"\b(what happens if)\b", ("what happened when", "what would have happened if", "why does it matter if")),
    (r"\b(have to)\b", ("want to", "be allowed to")),
    (r"^(?:how|how long) (does)\b", ("did", "should", "will")),
    (
        r"\b(is it possible to)\b",
        ("is it necessary to", "was it possible to", "is it legal to", "is it a good idea to"),
    ),
    (r"\b(is it (?:safe|legal|normal|bad|rude|illegal) to)\b", ("is it possible to", "is it necessary to")),
    (r"\b(I want to)\b", ("I never wanted to", "I was told to", "I don't have to", "I already managed to")),
)
_WH: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    (r"^(how) (?:do|can|should|did|does)\b", ("why", "when", "where", "how often")),
    (r"^(how to)\b", ("when to", "where to", "why")),
    (r"^(how long)\b", ("how often", "when", "how far")),
    (r"^(how often)\b", ("how long", "how early", "why")),
    (r"^(how much) (?:does|do|did)\b", ("why", "when", "how long")),
    (r"^(how many)\b", ("which", "what kind of", "why so many")),
    (
        r"^(how (?:old|tall|deep|heavy|big|far|hot|cold|fast))\b",
        ("how old", "how heavy", "how wide", "how expensive"),
    ),
    (r"^(when)\b", ("where", "why", "how", "how often")),
    (r"^(where)\b", ("when", "why", "how")),
    (r"^(why) (?:do|does|did)\b", ("how", "when", "where", "since when")),
    (r"^(why)\b", ("when", "where", "since when")),
    (r"^(who)\b", ("what", "how many people")),
    (
        r"^(what is) an?\b",
        ("when should I use", "who invented", "where do I find", "why do I need", "how much is"),
    ),
    (
        r"^(what is|what's|what are|what was|what were) the\b",
        ("where is", "who decides", "why is there", "when is", "who made"),
    ),
    (r"^(what) (?:should|do|can) I\b", ("when", "where", "why", "how")),
    (r"^(what time) (?:is|does|do)\b", ("where", "why", "how often")),
    (r"^(which)\b(?! (?:is|are|one)\b)", ("how many", "whose")),
    (r"^(what) \w+s (?:do|are|can|should|have|contain|make)\b", ("how many", "whose")),
)


def antonym(text: str, random: Random) -> str | None:
    """An opposite for one word; not after how: how tall and how short ask for one number."""
    words = words_of(text)
    choices = lists.antonyms().choices(words)
    return one_of(text, [(span, new) for span, new in choices if words.before(span, 1) != "how"], random)


def entity(text: str, random: Random) -> str | None:
    """Another country, product, food… for one that is named."""
    names = lists.entities()
    found = list(names.found(words_of(text)))
    return one_of(text, [(span, names.another(name, random)) for span, name in found], random)


def quantifier(text: str, random: Random) -> str | None:
    """All for some, at least for at most, first for last."""
    words = words_of(text)
    choices: list[tuple[Span, str]] = []
    for span, phrase in words.spans(_QUANTIFIED):
        if (phrase in _NEEDS_NUMBER and not re.match(r"\D?\d", words.after(span))) or words.before(
            span, 1
        ) == "how":
            continue
        choices += [(span, other) for other in _QUANTIFIERS[phrase]]
    return one_of(text, choices, random)


def modality(text: str, random: Random) -> str | None:
    """Must for may, did for should, was for is."""
    return _by_pattern(text, _MODALITY, random)


def wh_word(text: str, random: Random) -> str | None:
    """Why for how, where for when."""
    return _by_pattern(text, _WH, random)


def code(text: str, random: Random) -> str | None:
    """Another command, flag, suffix, exception, status or part of an identifier."""
    names = lists.code_names()
    found: list[tuple[Span, str]] = []
    for span, name in names.found(words_of(text)):
        if name.spelled.isdigit() and not re.search(r"(?i)\b(?:http|error|status|code)\b", text):
            continue
        if text[span.start : span.end] == name.spelled and _is_code(name.spelled):
            found.append((span, names.another(name, random)))
    found += _parts(text, random) + _short_flags(text, random)
    return one_of(text, found, random)


_IDENTIFIER: Final = re.compile(
    r"(?<![\w.@/-])(?:[A-Za-z]+[._][A-Za-z_.]*[A-Za-z](?:\(\))?|[a-z]+(?:[A-Z][a-z]+)+(?:\(\))?|[a-z]+\(\))"
)
_SHORT_FLAG: Final = re.compile(r"(?<!\S)([-+])([A-Za-z]{1,3})(?![\w-])")
_NO_CODE: Final = frozenset({"e.g", "i.e", "u.s", "u.k", "a.m", "p.m"})
_PROSE: Final = word_set("prose")


def _is_code(spelled: str) -> bool:
    return spelled not in _PROSE and (not spelled.islower() or " " in spelled or len(spelled) > 3)


def _parts(text: str, random: Random) -> list[tuple[Span, str]]:
    """One part of each identifier changed, or a part put behind where none is known."""
    known = lists.code_parts()
    found: list[tuple[Span, str]] = []
    for match in _IDENTIFIER.finditer(text):
        whole = match.group()
        if whole.casefold() in lists.entities().by_phrase or whole.casefold() in _NO_CODE:
            continue
        parts = [m for m in re.finditer(r"[A-Z]?[a-z]+", whole) if m.group().lower() in known.by_phrase]
        if parts:
            part = random.choice(parts)
            new = known.another(known.by_phrase[part.group().lower()][0], random)
            new = new.capitalize() if part.group()[0].isupper() else new
            edited = whole[: part.start()] + new + whole[part.end() :]
        elif not re.search(r"[._()]", whole):
            continue
        else:
            edited = re.sub(
                r"(\(\))?$", lambda end: random.choice(("_all", "_id", "2", "_async")) + end[0], whole, count=1
            )
        found.append((Span(start=match.start(), end=match.end(), first=0, last=0), edited))
    return found


def _short_flags(text: str, random: Random) -> list[tuple[Span, str]]:
    found: list[tuple[Span, str]] = []
    for match in _SHORT_FLAG.finditer(text):
        sign, letters = match.groups()
        at = random.randrange(len(letters))
        letter = random.choice([c for c in "abcdefilnoprstuvwxz" if c not in letters.lower()])
        found.append(
            (
                Span(start=match.start(), end=match.end(), first=0, last=0),
                sign + letters[:at] + letter + letters[at + 1 :],
            )
        )
    return found


def _by_pattern(text: str, patterns: Sequence[tuple[str, tuple[str, ...]]], random: Random) -> str | None:
    """Group 1 of the first pattern that is there, put otherwise."""
    for pattern, others in patterns:
        match = re.search(pattern, text, re.IGNORECASE)
        if match:
            new = random.choice(others).replace("<>", match.group(1))
            return put(text, *match.span(1), new) if new.casefold() != match.group(1).casefold() else None
    return None
