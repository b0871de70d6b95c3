"""What words mean to each other: lemma, synonym, opposite, kind, typo. Knowledge, no decision about a question.

All words are lower case, single tokens. Every relation is symmetric. The first call reads the dictionary
(``engine.cache.dictionary``); later ones take microseconds.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from engine.cache.dictionary import REMEMBERED, UNKNOWN, Word, bases, dictionary, known

TURNING: Final = frozenset(
    {
        *("un", "in", "im", "il", "ir", "dis", "non", "non-", "de", "mis", "anti", "anti-", "a", "over", "under"),
        *("pre", "post", "up", "down", "out", "en", "inter", "intra", "hyper", "hypo", "ex", "micro", "macro"),
        *("sub", "super", "counter"),
    }
)
"""Beginnings that turn a word into another thing."""
SWAPPED: Final = (
    ("up", "down"), ("over", "under"), ("in", "out"), ("im", "ex"), ("in", "ex"), ("en", "de"), ("en", "dis"),
    ("pre", "post"), ("inter", "intra"), ("hyper", "hypo"), ("micro", "macro"), ("on", "off"), ("fore", "hind"),
    ("fore", "back"), ("front", "back"), ("for", "back"), ("pro", "anti"), ("max", "min"), ("asc", "desc"),
    ("north", "south"), ("east", "west"), ("after", "before"), ("endo", "exo"), ("mono", "poly"), ("sub", "super"),
    ("multi", "mono"), ("multi", "single"), ("above", "below"), ("upper", "lower"), ("pro", "con"), ("de", "in"),
)  # fmt: skip
"""Beginnings that are each other's opposite before the same rest."""
TAILS: Final = (("er", "ee"), ("or", "ee"), ("ful", "less"), ("phile", "phobe"), ("philia", "phobia"))
"""Endings that turn a word round."""
KEEPING: Final = frozenset(
    {
        *(
            "ly",
            "ily",
            "y",
            "ment",
            "tion",
            "ation",
            "ion",
            "ness",
            "ity",
            "ing",
            "ings",
            "al",
            "ally",
            "ise",
            "ize",
        ),
        *("s", "es", "ed", "ance", "ence", "ive"),
    }
)
"""Endings that keep the meaning."""
SPELLINGS: Final = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        (r"(?<=...)is(e|es|ed|er|ers|ing|ation|ations)$", r"iz\1"),
        (r"(?<=...)ys(e|es|ed|er|ing)$", r"yz\1"),
        (r"(?<=..)our", "or"),
        (r"tre(s?)$", r"ter\1"),
        (r"ogue(s?)$", r"og\1"),
        (r"ll(ed|ing|er|ers)$", r"l\1"),
        (r"ae|oe", "e"),
        (r"(?<=...)ence(s?)$", r"ense\1"),
    )
)
"""British endings and what American English writes."""
STRONG: Final = frozenset(
    {
        *("colour", "day", "language", "month", "nationality", "organisation", "place", "planet", "religion"),
        *("element", "money"),
    }
)
"""Closed classes whose members are as good as names; the others are kinds of everyday things."""


def _entries(a: str, b: str) -> list[tuple[Word, Word]]:
    """Every entry one word may mean beside every entry of the other."""
    return [(x, y) for x in map(known, bases(a)) if x for y in map(known, bases(b)) if y]


@lru_cache(maxsize=REMEMBERED)
def lemma(word: str) -> str:
    """One dictionary form for comparing words: ``cats`` and ``cat``, ``went`` and ``go`` have the same."""
    forms = bases(word)
    if len(forms) == 1:
        return word
    return forms[1] if len(forms[1]) > 2 or word in dictionary().odd else word


def is_word(word: str) -> bool:
    """Whether the dictionary or our own lists know the form, or one it is inflected from."""
    book = dictionary()
    return word in book.marks or word in book.names or word in book.same or len(bases(word)) > 1


def rank(word: str) -> int:
    """Commonness in thousands of the encoder's vocabulary, 0 commonest, ``UNKNOWN`` when not among them."""
    return min((entry.rank for entry in map(known, bases(word)) if entry), default=UNKNOWN)


@lru_cache(maxsize=REMEMBERED)
def classes(word: str) -> frozenset[str]:
    """Kinds of things the word names, e.g. ``place``, ``month``, ``programming``."""
    return _names(word).union(*(entry.classes for entry in map(known, bases(word)) if entry))


@lru_cache(maxsize=REMEMBERED)
def is_name(word: str) -> bool:
    """Whether the word is mostly a name: of a place, language, product, organisation, day, month …"""
    if not dictionary().ambiguous.isdisjoint(bases(word)):
        return False
    if _names(word) - dictionary().everyday:
        return True
    own, others = known(word), [entry for entry in map(known, bases(word)[1:]) if entry]
    if any(not entry.name for entry in others):
        return False
    return (own is not None and own.name) or (word.endswith("s") and bool(others))


@lru_cache(maxsize=REMEMBERED)
def is_thing(word: str) -> bool:
    """Whether the word mostly names a thing: a noun in a common sense, or no word of the dictionary at all."""
    entries = [entry for entry in map(known, bases(word)) if entry]
    return not entries or any(entry.kinds or entry.name for entry in entries)


@lru_cache(maxsize=REMEMBERED)
def same_family(a: str, b: str) -> bool:
    """Inflections or derivations of each other: decide, decided, decision."""
    left, right = bases(a), bases(b)
    if set(left) & set(right):
        return True
    if opposites(a, b) or _rivals(a, b):
        return False
    if any(x.families & y.families for x, y in _entries(a, b)):
        return True
    return any(_suffixed(x, y) for x in left for y in right)


def _suffixed(a: str, b: str) -> bool:
    """One is the other plus an ending that keeps the meaning: quick, quickly."""
    short, long = sorted((a, b), key=len)
    if long == short + "s" and not is_word(long):
        return True
    stem = short[:-1] if short[-1:] in "ey" else short
    return len(stem) >= 4 and long.startswith(stem) and long[len(stem) :] in KEEPING


@lru_cache(maxsize=REMEMBERED)
def _meanings(word: str) -> frozenset[str]:
    """Everything two words that mean the same may have in common."""
    same, found = dictionary().same, set[str]()
    for form in bases(word):
        found |= {f"form {form}"} | same.get(form, frozenset())
        entry = known(form)
        if entry:
            found |= {f"sense {number}" for number in entry.synsets} | {
                f"family {number}" for number in entry.families
            }
    return frozenset(found)


def synonyms(a: str, b: str) -> bool:
    """Whether one word may stand for the other in a question.

    Inflections and derivations count, shared common senses count, and so do our own lists. Opposites never do.
    """
    if a == b:
        return True
    if a[:3] != b[:3] and _meanings(a).isdisjoint(_meanings(b)):
        return False
    return _synonyms(a, b)


@lru_cache(maxsize=REMEMBERED)
def _synonyms(a: str, b: str) -> bool:
    if same_family(a, b):
        return True
    return not opposites(a, b) and not _rivals(a, b) and not _meanings(a).isdisjoint(_meanings(b))


@lru_cache(maxsize=REMEMBERED)
def related(a: str, b: str) -> bool:
    """Synonyms in a wider sense: one verb a kind of the other, one adjective similar to the other."""
    if synonyms(a, b):
        return True
    if opposites(a, b) or _rivals(a, b):
        return False
    return any(x.wider & y.synsets or x.synsets & y.wider for x, y in _entries(a, b))


def _rivals(a: str, b: str) -> bool:
    """Two names of one kind are different things, whatever else they have in common: Niger and Nigeria."""
    same = dictionary().same
    if same.get(a, frozenset()) & same.get(b, frozenset()):
        return False
    if _names(a) & _names(b):
        return True
    if not (is_name(a) and is_name(b) and classes(a) & classes(b) & STRONG):
        return False
    return not any(x.synsets & y.synsets for x, y in _entries(a, b))


def _names(word: str) -> frozenset[str]:
    """Kinds of names our own lists give the word."""
    return frozenset[str]().union(*(dictionary().names.get(form, frozenset()) for form in bases(word)))


@lru_cache(maxsize=REMEMBERED)
def opposites(a: str, b: str) -> bool:
    """Whether the words turn a question round: antonyms, negating prefixes, swapped prefixes."""
    if a == b:
        return False
    opposed = dictionary().opposed
    left, right = bases(a), bases(b)
    if set(left) & set(right):
        return False
    if any((x, y) in opposed for x in left for y in right):
        return True
    if any(side ^ 1 in y.sides for x, y in _entries(a, b) for side in x.sides):
        return True
    return any(_turned(x, y) or _turned(y, x) or _tailed(x, y) or _tailed(y, x) for x in left for y in right)


def _turned(a: str, b: str) -> bool:
    """``b`` is ``a`` with a negating prefix, or the two have opposite prefixes before the same word."""
    if len(a) >= 3 and b.endswith(a) and b[: -len(a)] in TURNING and is_word(a):
        return True
    return any(
        a.startswith(x) and b.startswith(y) and len(a) - len(x) >= 3 and a[len(x) :] == b[len(y) :]
        for x, y in SWAPPED
    )


def _tailed(a: str, b: str) -> bool:
    """The two differ in an ending that turns them round: trainer, trainee; useful, useless."""
    return any(
        a.endswith(x) and b.endswith(y) and a[: -len(x)] == b[: -len(y)] and len(a) - len(x) >= 3 for x, y in TAILS
    )


@lru_cache(maxsize=REMEMBERED)
def same_class(a: str, b: str) -> bool:
    """Different things of one kind: two countries, two colours, two animals, or two nouns of one hypernym."""
    if synonyms(a, b):
        return False
    if classes(a) & classes(b):
        return True
    return any(x.kinds & y.kinds for x, y in _entries(a, b))


@lru_cache(maxsize=REMEMBERED)
def rival_names(a: str, b: str) -> bool:
    """Two names of one kind, places, languages, products, days: an answer about one is none about the other."""
    if synonyms(a, b):
        return False
    shared = classes(a) & classes(b)
    own = _names(a) & _names(b)
    return bool(own or (shared & STRONG and is_name(a) and is_name(b)))


@lru_cache(maxsize=REMEMBERED)
def typo_of(a: str, b: str) -> bool:
    """Whether one is a misspelling of the other. At least one of the two is no word.

    Next to a word: one edit or swapped neighbours, two edits from seven letters on. When neither is a word:
    swapped neighbours, or one edit from eight letters on; short names that differ in a letter are different names.
    """
    if a == b or min(len(a), len(b)) < 3 or not (a.isalpha() and b.isalpha()):
        return False
    if (is_word(a) and is_word(b)) or opposites(a, b):
        return False
    if _swapped(a, b):
        return True
    shorter = min(len(a), len(b))
    if not (is_word(a) or is_word(b)):
        return shorter >= 8 and distance(a, b, 1) <= 1
    limit = 2 if shorter >= 7 else 1
    return shorter >= 4 and distance(a, b, limit) <= limit


@lru_cache(maxsize=REMEMBERED)
def american(word: str) -> str:
    """The word in one spelling, for comparing British with American; what comes out need not be a word."""
    for pattern, instead in SPELLINGS:
        word = pattern.sub(instead, word)
    return word


def _swapped(a: str, b: str) -> bool:
    """Two neighbouring letters changed places, nothing else."""
    if len(a) != len(b):
        return False
    odd = [index for index, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    return len(odd) == 2 and odd[1] == odd[0] + 1 and a[odd[0]] == b[odd[1]] and a[odd[1]] == b[odd[0]]


def distance(a: str, b: str, limit: int) -> int:
    """Optimal string alignment distance (insert, delete, replace, swap), at most ``limit`` + 1."""
    if abs(len(a) - len(b)) > limit or min(len(a), len(b)) > 64:
        return limit + 1
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
