"""Rules `entity` and `word`: another thing in the same place. Pure."""

from __future__ import annotations

from typing import Final

from engine.cache import lexicon
from engine.cache.guard.align import Compared, Left

LOOKED_UP: Final = 400
"""Pairs of words left that are looked up; with more, the questions have little to do with each other."""


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
    """One word exchanged for another that means something else, all else being the same."""
    mine = {w.token.key: w for w in compared.left_a}
    theirs = {w.token.key: w for w in compared.left_b}
    if len(mine) != 1 or len(theirs) != 1:
        return None
    one, other = next(iter(mine.values())), next(iter(theirs.values()))
    if one.gap != other.gap or lexicon.related(one.token.text, other.token.text):
        return None
    if not compared.alike and not lexicon.same_class(one.token.text, other.token.text):
        return None
    return f"{one.token.text} against {other.token.text}"
