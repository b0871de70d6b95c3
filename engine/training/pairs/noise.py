"""Edits that leave the answer: slips of the keyboard, case, spacing, punctuation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from random import Random
from typing import Final

from engine.training.pairs import words as lists
from engine.training.pairs.text import decapitalised, words_of

_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_SHORTEST: Final = 5
"""A slip in a shorter word makes another word too often."""


@cache
def _neighbours() -> Mapping[str, str]:
    """The keys left and right of each letter."""
    return {key: row[max(0, n - 1) : n] + row[n + 1 : n + 2] for row in _ROWS for n, key in enumerate(row)}


@cache
def _vocabulary() -> frozenset[str]:
    """The words our encoder's tokenizer knows whole: a slip that makes one of them is another word."""
    text = files("engine.routing").joinpath("data", "tokenizer.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text)["model"]["vocab"])


@cache
def _protected() -> frozenset[str]:
    """Words of the lists: a slip neither hits a name nor makes one of them."""
    phrases = (
        *lists.entities().by_phrase,
        *lists.code_names().by_phrase,
        *lists.antonyms().senses,
        *lists.synonyms().senses,
    )
    return frozenset(word for phrase in phrases for word in phrase.split())


def typo(text: str, random: Random) -> str | None:
    """One slip in one word of five letters or more: never in a name, a number or code."""
    names = {span.start for span, _ in lists.entities().found(words_of(text))}
    quoted = [match.span() for match in re.finditer(r'"[^"]*"', text)]
    places = [
        (start, end)
        for number, (start, end) in enumerate(words_of(text).places)
        if end - start >= _SHORTEST
        and text[start:end].isascii()
        and (text[start:end].islower() or (number == 0 and text[start + 1 : end].islower()))
        and text[start:end].isalpha()
        and start not in names
        and not any(s <= start < e for s, e in quoted)
        and not _named(text[start:end])
    ]
    if not places:
        return None
    start, end = random.choice(places)
    new = _slip(text[start:end], random)
    if new.lower() in _vocabulary() or new.lower() in _protected() or new == text[start:end]:
        return None
    return text[:start] + new + text[end:]


def _named(word: str) -> bool:
    return word.casefold() in lists.entities().by_phrase or word.casefold() in lists.code_names().by_phrase


def _slip(word: str, random: Random) -> str:
    at = random.randrange(1, len(word) - 1)
    match random.randrange(4):
        case 0:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 1:
            return word[:at] + word[at + 1 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case _:
            return word[:at] + random.choice(_neighbours()[word[at]]) + word[at + 1 :]


def surface(text: str, random: Random) -> str | None:
    """Case, spacing, question marks, quotation marks: what no answer depends on."""
    ways = [way(text, random) for way in _WAYS]
    ways = [new for new in ways if new != text]
    return random.choice(ways) if ways else None


def _has_code(text: str) -> bool:
    """Case carries meaning: an identifier, a flag, a file."""
    return re.search(r"[a-z][A-Z]|\w[._]\w|(?<!\S)-\w|\(\)", text) is not None


def _lower(text: str, random: Random) -> str:
    del random
    return text if _has_code(text) else text.lower()


def _upper(text: str, random: Random) -> str:
    return text.upper() if not _has_code(text) and random.random() < 0.4 else text


def _bare(text: str, random: Random) -> str:
    del random
    return text.rstrip("?.! ")


def _bare_lower(text: str, random: Random) -> str:
    return decapitalised(_bare(text, random))


def _marks(text: str, random: Random) -> str:
    return text.rstrip("?") + random.choice(("??", "???", " ?", "?!", "...", "?"))


def _spaces(text: str, random: Random) -> str:
    places = [match.start() for match in re.finditer(" ", text)]
    if not places:
        return "  " + text
    at = random.choice(places)
    return text if random.random() < 0.6 else random.choice((text[:at] + " " + text[at:], " " + text))


def _quotes(text: str, random: Random) -> str:
    if '"' in text:
        return text.replace('"', "'")
    return text if random.random() < 0.6 else f'"{text}"'


def _apostrophe(text: str, random: Random) -> str:
    del random
    return text.replace("'", "’")


def _comma(text: str, random: Random) -> str:
    del random
    return re.sub(r",(?=\s)", "", text)


_WAYS: Final[tuple[Callable[[str, Random], str], ...]] = (
    _lower,
    _upper,
    _bare,
    _bare_lower,
    _marks,
    _spaces,
    _quotes,
    _apostrophe,
    _comma,
)
