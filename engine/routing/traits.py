"""What a question says about the work it asks for: size, parts, and what kinds of words stand in it. Pure.

Forty-odd numbers beside the vector of the encoder, which blurs exactly these. Not the judgement
(``engine/routing/complexity.py``). English words; of other languages only size and signs are seen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.routing.words import edges

CHARS: Final = 4_000
"""As much of a question is looked at, half at its start and half at its end."""
_TOKEN: Final = re.compile(r"[^\W\d]\w*|\d+")
_FIRST_END: Final = re.compile(r"[.?!:]\s")
_SIGNS: Final = "[](){}<>=;"
_SIZES: Final = (
    *("chars", "words", "first_words", "rest_chars", "sentences", "commas", "conjunctions", "numbers", "signs"),
    *("lines", "word_length", "capitals", "prepositions"),
)
_KINDS: Final[Mapping[str, str]] = {
    # What it is about.
    "python": "python pandas numpy django flask pytest asyncio",
    "javascript": "javascript js node nodejs typescript react html dom express",
    "rust": "rust cargo trait tokio borrow",
    "sql": "sql query database select table column join mysql postgres postgresql sqlite",
    "chart": "chart graph plot histogram pie scatter visualize visualise diagram axis dashboard heatmap boxplot",
    "data": "dataset csv data feature spreadsheet dataframe",
    "document": "pdf page document report article paper section chapter contract transcript",
    "text": "summarize summarise summary bullet paragraph headline tldr essay letter email story poem",
    "search": "search news latest today current recent online web source website",
    # What is to be made of it.
    "function": "function method",
    "program": "program application app script system game server api website service scraper bot tool library",
    "class": "class inheritance struct trait interface object module",
    "build": "implement design construct develop build simulate architect migrate",
    "make": "write create generate make compose draft draw",
    "change": "debug fix correct edit modify rewrite change refactor optimize improve complete add update error",
    "explain": "explain describe define identify what which tell name meaning",
    "short": "statement snippet variable regex expression command line constant keyword operator",
    "algorithm": "algorithm sort search tree graph stack queue hash recursive recursion prime fibonacci "
    "palindrome permutation matrix matrices factorial anagram gcd dijkstra parser scheduler heap",
    "inout": "file json xml api http url web request server fetch socket thread async parse database upload",
    "page_parts": "button click form page element field animation event",
    "learning": "learning regression predict classify classification cluster neural train model forecast "
    "preprocess preprocessing evaluate cleaning pipeline",
    "statistics": "mean median average deviation correlation normal outlier variance test distribution",
    "small": "print convert check find return sum count reverse square length uppercase lowercase even odd "
    "multiply declare assign concatenate translate capital synonym",
    # How it is cut up.
    "group": "group each per stacked bin every across",
    "order": "order sort rank asc desc ascending descending top highest lowest most least limit high low",
    "joined": "join both related whose who that which held belong participate associated corresponding with",
    "sum": "sum total average maximum minimum max min mean maximal minimal",
    "condition": "if when unless otherwise above below between after before where not equal only than until",
    "more": "then afterwards finally next additionally also further including step first second moreover",
    "tests": "test document exception validate handle validation edge retry logging error",
    "compare": "compare comparison versus vs difference trade tradeoff pros cons recommend evaluate",
    "plain_chart": "distribution proportion correlation trend relationship comparison",
    "binned": "bin interval weekday",
    "naming": "name description title",
    "extreme": "average most least rarest highest largest maximum minimum oldest youngest",
    "asking": "how what why when where who which is are can does",
}
_PAIRS: Final[Mapping[str, str]] = {
    "count": "how many/number of/count of/the count",
    "for_each": "for each/of each/in each/by each/to each/for every/of every/in every/with each",
    "at_least": "at least/at most/more than/less than/greater than/higher than/lower than",
    "and_also": "and also/as well/and then/along with/based on/according to/together with",
    "number_of_the": "of the",
}
_MARKS: Final = ("question", "quote", "code", "identifier", "year", "possessive", "fence")
_COUNTED: Final = ("group", "order", "condition", "sum", "count", "for_each", "more", "quote", "joined")
_FORMS: Final = (("", ""), ("", "s"), ("", "es"), ("", "ed"), ("", "ing"), ("e", "ed"), ("e", "ing"), ("y", "ies"))
_JOINERS: Final = frozenset(("and", "or", "plus", "but"))
_PREPOSITIONS: Final = frozenset(("of", "for", "in", "with", "to", "by", "from", "on"))
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_NAMED: Final = tuple(_KINDS) + tuple(_PAIRS) + _MARKS

TRAITS: Final[tuple[str, ...]] = (*_SIZES, *_NAMED, "clauses")
"""Name of each number of ``traits``, in order."""
_PLACE: Final[Mapping[str, int]] = {name: place for place, name in enumerate(TRAITS)}
_COUNTED_PLACES: Final = tuple(_PLACE[name] for name in _COUNTED)


def _forms(word: str) -> Iterable[str]:
    """The word and what its endings make of it; forms that do not exist do no harm."""
    for cut, ending in _FORMS:
        root = word.removesuffix(cut) if cut else word
        if root != word or not cut:
            yield root + ending


def _places() -> dict[str, tuple[int, ...]]:
    found: dict[str, set[int]] = {}
    for kind, words in _KINDS.items():
        for word in words.split():
            for form in _forms(word):
                found.setdefault(form, set()).add(_PLACE[kind])
    return {word: tuple(sorted(places)) for word, places in found.items()}


_BY_WORD: Final = _places()
_BY_PAIR: Final = {
    tuple(pair.split()): _PLACE[kind] for kind, pairs in _PAIRS.items() for pair in pairs.split("/")
}


def traits(text: str) -> list[float]:
    """The numbers of ``TRAITS`` for one text: sizes on a log scale, the others 0 or 1. Linear in its length."""
    seen = edges(text, CHARS)
    tokens: list[str] = _TOKEN.findall(seen)
    lower = [token.lower() for token in tokens]
    found = [0.0] * len(TRAITS)
    found[: len(_SIZES)] = _sizes(seen, tokens, lower)
    for word in lower:
        for place in _BY_WORD.get(word, ()):
            found[place] = 1.0
    for pair in pairwise(lower):
        place = _BY_PAIR.get(pair)
        if place is not None:
            found[place] = 1.0
    start = _PLACE["question"]
    found[start : start + len(_MARKS)] = _marks(seen, tokens)
    found[-1] = sum(found[place] for place in _COUNTED_PLACES) / 3.0
    return found


def trait_rows(texts: Sequence[str]) -> NDArray[np.float32]:
    """``traits`` of each text, shape (n, len(TRAITS))."""
    if not texts:
        return np.zeros((0, len(TRAITS)), dtype=np.float32)
    return np.array([traits(text) for text in texts], dtype=np.float32)


def _sizes(text: str, tokens: Sequence[str], lower: Sequence[str]) -> list[float]:
    end = _FIRST_END.search(text)
    first = text[: end.start()] if end else text
    words = len(tokens)
    counts = (
        len(text),
        words,
        len(_TOKEN.findall(first)) if end else words,
        len(text) - end.end() if end else 0,
        text.count(". ") + text.count("? ") + text.count("! "),
        text.count(","),
        sum(word in _JOINERS for word in lower),
        sum(token.isdecimal() for token in tokens),
        sum(map(text.count, _SIGNS)),
        text.count("\n"),
    )
    return [
        *map(math.log1p, counts),
        sum(map(len, tokens)) / max(1, words) / 5.0,
        sum(token[0].isupper() for token in tokens) / max(1, words),
        sum(word in _PREPOSITIONS for word in lower) / 6.0,
    ]


def _marks(text: str, tokens: Sequence[str]) -> list[float]:
    flags = (
        "?" in text,
        text.count('"') >= 2 or " '" in text,
        any(sign in text for sign in ("=>", "; ", "def ", "console.log", "print(", "</", "{ ", "= [")),
        any("_" in token for token in tokens),
        _YEAR.search(text) is not None,
        "'s " in text or "s' " in text,
        "```" in text or "`" in text,
    )
    return [float(flag) for flag in flags]
