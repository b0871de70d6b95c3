"""The dictionary behind ``engine.cache.lexicon``: what is known of one word. Read on first use, once. Pure.

``data/lexicon.bin`` comes from WordNet 3.0 (``benchmarks/make_lexicon.py``; notice beside it), ``data/words.txt``
is our own. Marks of a word in the file: ``s`` synset of a common sense, ``h`` what that sense is a kind of (verbs)
or similar to (adjectives), ``t`` noun kind, ``k`` closed class, ``o`` side of an opposition (2k against 2k+1),
``d`` family of derived words, ``r`` rank among common words in thousands, ``z`` a name.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

REMEMBERED: Final = 20_000
"""Words kept worked out."""
ENDINGS: Final = (
    ("ies", "y"), ("ied", "y"), ("ves", "f"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"),
    ("zes", "z"), ("oes", "o"), ("es", "e"), ("s", ""), ("ing", ""), ("ing", "e"), ("ed", ""), ("ed", "e"),
    ("er", ""), ("er", "e"), ("est", ""), ("est", "e"), ("ier", "y"), ("iest", "y"),
)  # fmt: skip
"""WordNet's rules of detachment (morphy(7WN)), a few spellings added."""
UNKNOWN: Final = 99
"""Rank of a word that is not among the common ones."""


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


@dataclass(frozen=True, slots=True)
class Dictionary:
    """The file, and our own lists turned round: word to groups."""

    marks: dict[str, str]
    odd: dict[str, str]
    classes: tuple[str, ...]
    same: dict[str, frozenset[str]]
    opposed: frozenset[tuple[str, str]]
    names: dict[str, frozenset[str]]
    everyday: frozenset[str]
    ambiguous: frozenset[str]


def _own_lists(text: str) -> dict[str, list[str]]:
    """Lines of ``words.txt`` by section."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            lines = found.setdefault(line.strip("[]"), [])
        elif not line.startswith("#"):
            lines.append(line)
    return found


def _grouped(groups: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """(group, its words) turned round: word to groups."""
    found: dict[str, set[str]] = {}
    for group, words in groups:
        for word in words.split():
            found.setdefault(word, set()).add(group)
    return {word: frozenset(names) for word, names in found.items()}


@lru_cache(maxsize=1)
def dictionary() -> Dictionary:
    """The dictionary; some 50 ms and 25 MB on first use."""
    data = files("engine.cache").joinpath("data")
    packed = data.joinpath("lexicon.bin").read_bytes()
    classes, odd, words, marks = zlib.decompress(packed).decode().split("\n\n")
    own = _own_lists(data.joinpath("words.txt").read_text(encoding="utf-8"))
    pairs = [tuple(pair.split("/")) for line in own["opposed"] for pair in line.split()]
    names = [tuple(line.split(": ")) for line in own["names"]]
    return Dictionary(
        dict(zip(words.split("\n"), marks.split(","), strict=True)),
        dict(line.split(" ", 1) for line in odd.split("\n")),
        tuple(classes.split()),
        _grouped((f"same {number}", line) for number, line in enumerate(own["same"])),
        frozenset((a, b) for a, b in pairs) | frozenset((b, a) for a, b in pairs),
        _grouped((kind, line) for kind, line in names),
        frozenset(own["everyday"][0].split()),
        frozenset(word for line in own["ambiguous"] for word in line.split()),
    )


@lru_cache(maxsize=REMEMBERED)
def known(word: str) -> Word | None:
    """The dictionary's entry of exactly this form; None when it has none."""
    book = dictionary()
    line = book.marks.get(word)
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
        classes=frozenset(book.classes[int(number, 36)] for number in of("k")),
        sides=frozenset(int(number, 36) for number in of("o")),
        families=of("d"),
        rank=min((int(number, 36) for number in of("r")), default=UNKNOWN),
        name="z" in sets,
    )


@lru_cache(maxsize=REMEMBERED)
def bases(word: str) -> tuple[str, ...]:
    """The word itself and every dictionary form it may be an inflection of, likeliest first."""
    book = dictionary()
    if word in book.names and word not in book.odd:
        return (word,)
    found = [word]
    found += book.odd.get(word, "").split()
    for ending, instead in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= (2 if ending in {"s", "ies"} else 3):
            stem = word[: -len(ending)] + instead
            doubled = stem[:-1] if not instead and len(stem) > 3 and stem[-1:] == stem[-2:-1] else ""
            found += [form for form in (stem, doubled) if form and form in book.marks]
    return tuple(dict.fromkeys(found))
