"""Rules `entity` and `word`: another thing in the same place. Pure."""

from __future__ import annotations

from typing import Final

from engine.cache import lexicon
from engine.cache.guard.align import Compared, Left

LOOKED_UP: Final = 400
"""Pairs of words left that are looked up; with more, the questions have little to do with each other."""
PHRASE: Final = 3
"""Words of a phrase that may stand in the place of another."""


def named(word: Left) -> bool:
    """A name by knowledge, or a rare word that the dictionary does not know."""
    text = word.token.text
    if word.token.kind != "word":
        return False
    return lexicon.is_name(text) or not lexicon.is_word(text)


def entity(compared: Compared) -> str | None:
    """Another name on the other side; or a name exchanged for something else, all else being the same."""
    if len(compared.left_a) * len(compared.left_b) > LOOKED_UP:
        return None
    for one in compared.left_a:
        for other in compared.left_b:
            if _exchanged(compared, one, other):
                return f"{one.token.text} against {other.token.text}"
    return None


def _exchanged(compared: Compared, one: Left, other: Left) -> bool:
    names = named(one) + named(other)
    if lexicon.rival_names(one.token.text, other.token.text) and (names == 2 or compared.near):
        return True
    if not names or one.gap != other.gap:
        return False
    return compared.alike or (names == 2 and compared.near)


def word(compared: Compared) -> str | None:
    """One word or phrase exchanged for another that means something else, all else being the same."""
    mine, theirs = compared.left_a, compared.left_b
    if not mine or {w.gap for w in mine} != {w.gap for w in theirs} or not _other_thing(compared):
        return None
    return f"{mine[0].token.text} against {theirs[0].token.text}"


def _other_thing(compared: Compared) -> bool:
    """Whether what was exchanged means something else, and nothing but it differs."""
    if compared.unexplained > PHRASE or len(compared.left_a) * len(compared.left_b) > LOOKED_UP:
        return False
    pairs = [(x.token.text, y.token.text) for x in compared.left_a for y in compared.left_b]
    if any(lexicon.related(x, y) for x, y in pairs):
        return False
    if compared.unexplained == 1:
        return compared.alike or any(lexicon.same_class(x, y) for x, y in pairs)
    one_phrase = len({w.gap for w in compared.left_a}) == 1
    things = all(lexicon.is_thing(side[-1].token.text) for side in (compared.left_a, compared.left_b))
    return one_phrase and things and compared.fillers_apart <= 1
