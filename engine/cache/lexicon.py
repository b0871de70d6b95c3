"""What words mean to each other: lemma, synonym, opposite, kind, typo. Knowledge, no decision about a question.

The dictionary is ``data/lexicon.bin`` (WordNet 3.0, ``benchmarks/make_lexicon.py``; notice beside it) plus
``engine.cache.supplement``. It is read on first use, once. All words are lower case, single tokens.
Marks of a word in the file: ``s`` synset of a common sense, ``h`` what that sense is a kind of (verbs) or similar to
(adjectives), ``t`` noun kind, ``k`` closed class, ``o`` side of an opposition (2k against 2k+1), ``d`` family of
derived words, ``r`` rank of the word among common ones in thousands, ``z`` a name.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from engine.cache import supplement

REMEMBERED: Final = 20_000
ENDINGS: Final = (
    ("ies", "y"), ("ied", "y"), ("ves", "f"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("zes", "z"),
    ("oes", "o"), ("es", "e"), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"), ("er", ""), ("er", "e"),
    ("est", ""), ("est", "e"), ("ier", "y"), ("iest", "y"),
)  # fmt: skip
"""WordNet's rules of detachment (morphy(7WN)), a few spellings added."""
TURNING: Final = (
    "un", "in", "im", "il", "ir", "dis", "non", "non-", "de", "mis", "anti", "anti-", "a", "over", "under", "pre", "post",
    "up", "down", "out", "en", "inter", "intra", "hyper", "hypo", "ex", "micro", "macro", "sub", "super", "counter",
)  # fmt: skip
SWAPPED: Final = (
    ("up", "down"), ("over", "under"), ("in", "out"), ("im", "ex"), ("in", "ex"), ("en", "de"), ("en", "dis"),
    ("pre", "post"), ("inter", "intra"), ("hyper", "hypo"), ("micro", "macro"), ("on", "off"), ("fore", "hind"),
    ("fore", "back"), ("front", "back"), ("for", "back"), ("pro", "anti"), ("max", "min"), ("asc", "desc"),
    ("north", "south"), ("east", "west"), ("after", "before"), ("endo", "exo"), ("mono", "poly"), ("multi", "mono"),
    ("multi", "single"), ("above", "below"), ("upper", "lower"), ("sub", "super"), ("pro", "con"), ("de", "in"),
)  # fmt: skip
TAILS: Final = (
    ("er", "ee"),
    ("or", "ee"),
    ("ful", "less"),
    ("phile", "phobe"),
    ("philia", "phobia"),
    ("ward", "wards"),
)
STRONG: Final = frozenset(
    "colour day language month nationality organisation place planet religion element money".split()
)
"""Closed classes whose members are as good as names; the others are kinds of everyday things."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What is known of one written form: marks by kind."""

    synsets: frozenset[str]
    wider: frozenset[str]
    kinds: frozenset[str]
    classes: frozenset[str]
    sides: frozenset[int]
    families: frozenset[str]
    rank: int
    name: bool


UNKNOWN: Final = 99


@dataclass(frozen=True, slots=True)
class _Dictionary:
    """The file, and the supplement turned round: word to groups."""

    marks: dict[str, str]
    odd: dict[str, str]
    classes: tuple[str, ...]
    same: dict[str, frozenset[int]]
    opposed: frozenset[tuple[str, str]]
    names: dict[str, frozenset[str]]


@lru_cache(maxsize=1)
def _dictionary() -> _Dictionary:
    packed = files("engine.cache").joinpath("data/lexicon.bin").read_bytes()
    classes, odd, words, marks = zlib.decompress(packed).decode().split("\n\n")
    same: dict[str, set[int]] = {}
    for number, line in enumerate(supplement.SAME.splitlines()):
        for word in line.split():
            same.setdefault(word, set()).add(number)
    pairs = [tuple(pair.split("/")) for pair in supplement.OPPOSED.split()]
    names: dict[str, set[str]] = {}
    for kind, line in supplement.NAMES.items():
        for word in line.split():
            names.setdefault(word, set()).add(kind)
    return _Dictionary(
        dict(zip(words.split("\n"), marks.split(","), strict=True)),
        dict(line.split(" ", 1) for line in odd.split("\n")),
        tuple(classes.split()),
        {word: frozenset(groups) for word, groups in same.items()},
        frozenset((a, b) for a, b in pairs) | frozenset((b, a) for a, b in pairs),
        {word: frozenset(kinds) for word, kinds in names.items()},
    )


@lru_cache(maxsize=REMEMBERED)
def known(word: str) -> Word | None:
    """The dictionary's entry of exactly this form; None when it has none."""
    dictionary = _dictionary()
    line = dictionary.marks.get(word)
    if line is None:
        return None
    sets: dict[str, set[str]] = {}
    for mark in line.split():
        sets.setdefault(mark[0], set()).add(mark[1:])

    def of(kind: str) -> frozenset[str]:
        return frozenset(sets.get(kind, ()))

    return Word(
        synsets=of("s"),
        wider=of("h"),
        kinds=of("t"),
        classes=frozenset(dictionary.classes[int(number, 36)] for number in of("k")),
        sides=frozenset(int(number, 36) for number in of("o")),
        families=of("d"),
        rank=min((int(number, 36) for number in of("r")), default=UNKNOWN),
        name="z" in sets,
    )


@lru_cache(maxsize=REMEMBERED)
def bases(word: str) -> tuple[str, ...]:
    """The word itself and every dictionary form it may be an inflection of, likeliest first."""
    dictionary = _dictionary()
    if word in dictionary.names and word not in dictionary.odd:
        return (word,)
    found = [word]
    found += dictionary.odd.get(word, "").split()
    for ending, instead in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= (2 if ending in {"s", "ies"} else 3):
            stem = word[: -len(ending)] + instead
            doubled = stem[:-1] if not instead and len(stem) > 3 and stem[-1:] == stem[-2:-1] else ""
            found += [form for form in (stem, doubled) if form and form in dictionary.marks]
    return tuple(dict.fromkeys(found))


def _entries(a: str, b: str) -> list[tuple[Word, Word]]:
    """Every entry one word may mean beside every entry of the other."""
    return [(x, y) for x in map(known, bases(a)) if x for y in map(known, bases(b)) if y]


@lru_cache(maxsize=REMEMBERED)
def lemma(word: str) -> str:
    """One dictionary form for comparing words: ``cats`` and ``cat``, ``went`` and ``go`` have the same."""
    forms = bases(word)
    if len(forms) == 1:
        return word
    return forms[1] if len(forms[1]) > 2 or word in _dictionary().odd else word


def is_word(word: str) -> bool:
    """Whether the dictionary or our own lists know the form, or one it is inflected from."""
    dictionary = _dictionary()
    return word in dictionary.marks or word in dictionary.names or word in dictionary.same or len(bases(word)) > 1


def rank(word: str) -> int:
    """Commonness in thousands of the encoder's vocabulary, 0 commonest, ``UNKNOWN`` when not among them."""
    return min((entry.rank for entry in map(known, bases(word)) if entry), default=UNKNOWN)


@lru_cache(maxsize=REMEMBERED)
def classes(word: str) -> frozenset[str]:
    """Kinds of things the word names, e.g. ``place``, ``month``, ``programming``."""
    found: set[str] = set()
    for form in bases(word):
        entry = known(form)
        found |= _dictionary().names.get(form, frozenset())
        if entry:
            found |= entry.classes
    return frozenset(found)


@lru_cache(maxsize=REMEMBERED)
def is_name(word: str) -> bool:
    """Whether the word is mostly a name: of a place, language, product, organisation, day, month …"""
    if not supplement.AMBIGUOUS.isdisjoint(bases(word)):
        return False
    names = _dictionary().names
    if any(names.get(form, frozenset()) - supplement.EVERYDAY for form in bases(word)):
        return True
    return any(entry.name for entry in map(known, bases(word)) if entry)


@lru_cache(maxsize=REMEMBERED)
def same_family(a: str, b: str) -> bool:
    """Inflections or derivations of each other: decide, decided, decision."""
    left, right = bases(a), bases(b)
    if set(left) & set(right):
        return True
    if opposites(a, b):
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
    rest = long[len(stem) :]
    return len(stem) >= 4 and long.startswith(stem) and rest in {
        "ly", "ily", "y", "ment", "tion", "ation", "ion", "ness", "ity", "ing", "ings", "al", "ally", "ise", "ize", "s", "es", "ed",
        "ance", "ence", "ive",
    }  # fmt: skip


@lru_cache(maxsize=REMEMBERED)
def synonyms(a: str, b: str) -> bool:
    """Whether one word may stand for the other in a question; symmetric.

    Inflections and derivations count, shared common senses count, and so do our own lists. Opposites never do.
    """
    if same_family(a, b):
        return True
    if opposites(a, b) or _rivals(a, b):
        return False
    same = _dictionary().same
    left, right = bases(a), bases(b)
    if any(same.get(x, frozenset()) & same.get(y, frozenset()) for x in left for y in right):
        return True
    return any(x.synsets & y.synsets for x, y in _entries(a, b))


@lru_cache(maxsize=REMEMBERED)
def related(a: str, b: str) -> bool:
    """Synonyms in a wider sense: one verb a kind of the other, one adjective similar to the other; symmetric."""
    if synonyms(a, b):
        return True
    if opposites(a, b) or _rivals(a, b):
        return False
    return any(x.wider & y.synsets or x.synsets & y.wider for x, y in _entries(a, b))


def _rivals(a: str, b: str) -> bool:
    """Both stand in one line of our names, so they are different things whatever a dictionary says."""
    names, same = _dictionary().names, _dictionary().same
    if same.get(a, frozenset()) & same.get(b, frozenset()):
        return False
    return bool(names.get(a, frozenset()) & names.get(b, frozenset()))


@lru_cache(maxsize=REMEMBERED)
def opposites(a: str, b: str) -> bool:
    """Whether the words turn a question round: antonyms, negating prefixes, swapped prefixes; symmetric."""
    if a == b:
        return False
    opposed = _dictionary().opposed
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
        a.endswith(x) and b.endswith(y) and a[: -len(x)] == b[: -len(y)] and len(a) - len(x) >= 3
        for x, y in TAILS[:5]
    )


@lru_cache(maxsize=REMEMBERED)
def same_class(a: str, b: str) -> bool:
    """Different things of one kind: two countries, two colours, two animals, or two nouns of one hypernym; symmetric."""
    if synonyms(a, b):
        return False
    if classes(a) & classes(b):
        return True
    return any(x.kinds & y.kinds for x, y in _entries(a, b))


@lru_cache(maxsize=REMEMBERED)
def rival_names(a: str, b: str) -> bool:
    """Two names of one kind (places, languages, products, days), so an answer about one is none about the other."""
    if synonyms(a, b):
        return False
    shared = classes(a) & classes(b)
    own = shared & supplement.NAMES.keys()
    return bool(own or (shared & STRONG and is_name(a) and is_name(b)))


@lru_cache(maxsize=REMEMBERED)
def typo_of(a: str, b: str) -> bool:
    """Whether one is a misspelling of the other; symmetric. At least one of the two is no word.

    Next to a word: one edit or swapped neighbours, two edits from seven letters on. When neither is a word: swapped
    neighbours, or one edit from eight letters on, since short names that differ in a letter are different names.
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
