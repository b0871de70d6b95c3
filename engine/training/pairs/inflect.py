"""English forms of a word, regular ones by rule and the others by list. Not a dictionary."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

VOWELS: Final = "aeiou"
PLURALS: Final[Mapping[str, str]] = {
    "child": "children",
    "foot": "feet",
    "goose": "geese",
    "half": "halves",
    "knife": "knives",
    "leaf": "leaves",
    "life": "lives",
    "man": "men",
    "mouse": "mice",
    "person": "people",
    "policeman": "policemen",
    "shelf": "shelves",
    "thief": "thieves",
    "tooth": "teeth",
    "wife": "wives",
    "wolf": "wolves",
    "woman": "women",
    "sheep": "sheep",
    "fish": "fish",
    "goldfish": "goldfish",
    "deer": "deer",
    "aircraft": "aircraft",
    "staff": "staff",
    "series": "series",
}
_DOUBLED: Final = re.compile(
    r"^(?:[^aeiou]*[aeiou][bdgmnprt]|.*(?:refer|prefer|occur|admit|begin|forget|commit|permit|cancel|equip))$"
)
_ENDS_S: Final = re.compile(r"(?:s|x|z|ch|sh)$")


def plural(noun: str) -> str:
    """The plural; of a phrase with a preposition that of its first word, of others that of the last."""
    for middle in (" of ", " in ", " for "):
        head, found, rest = noun.partition(middle)
        if found:
            return plural(head) + middle + rest
    first, _, last = noun.rpartition(" ")
    return f"{first} {_plural(last)}".lstrip()


def _plural(word: str) -> str:
    if word in PLURALS:
        return PLURALS[word]
    if word.endswith("y") and word[-2:-1] not in VOWELS:
        return word[:-1] + "ies"
    return word + ("es" if _ENDS_S.search(word) or word in {"tomato", "potato", "mango", "hero"} else "s")


def verb_forms(verb: str, irregular: Mapping[str, tuple[str, str]]) -> tuple[str, str, str, str, str]:
    """Base, third person, past, participle, -ing form; of a phrase the first word is inflected."""
    first, space, rest = verb.partition(" ")
    past, participle = irregular.get(first, (_past(first), _past(first)))
    third = {"have": "has", "be": "is"}.get(first, _plural(first) if first not in PLURALS else first + "s")
    if first in {"go", "do", "undo", "veto"}:
        third = first + "es"
    return (verb, third + space + rest, past + space + rest, participle + space + rest, _ing(first) + space + rest)


def _past(word: str) -> str:
    if word.endswith("e"):
        return word + "d"
    if word.endswith("y") and word[-2:-1] not in VOWELS:
        return word[:-1] + "ied"
    return (word + word[-1] if _DOUBLED.match(word) else word) + "ed"


def _ing(word: str) -> str:
    if word.endswith("ie"):
        return word[:-2] + "ying"
    if word.endswith("e") and not word.endswith(("ee", "oe", "ye")) and word != "be":
        return word[:-1] + "ing"
    return (word + word[-1] if _DOUBLED.match(word) or word in {"run", "cut", "put", "get"} else word) + "ing"
