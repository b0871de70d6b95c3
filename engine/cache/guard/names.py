"""Rules `entity` and `word`: another thing in the same place. Pure."""

from __future__ import annotations

from engine.cache import lexicon
from engine.cache.guard.align import Compared, Left


def named(word: Left) -> bool:
    """A name by knowledge, or a rare word that the dictionary does not know."""
    text = word.token.text
    if word.token.kind != "word":
        return False
    return lexicon.is_name(text) or not lexicon.is_word(text)


def entity(compared: Compared) -> str | None:
    """A name on one side, another name on the other."""
    mine, theirs = [w for w in compared.left_a if named(w)], [w for w in compared.left_b if named(w)]
    if len(mine) * len(theirs) > 400:
        return None
    for one in mine:
        for other in theirs:
            rivals = lexicon.rival_names(one.token.text, other.token.text)
            if rivals or one.gap == other.gap or compared.near:
                return f"{one.token.text} against {other.token.text}"
    return None


def word(compared: Compared) -> str | None:
    """One word exchanged for another that means something else, all else being the same."""
    mine = {w.token.key: w for w in compared.left_a}
    theirs = {w.token.key: w for w in compared.left_b}
    if len(mine) != 1 or len(theirs) != 1:
        return None
    one, other = next(iter(mine.values())), next(iter(theirs.values()))
    if not (compared.shared + compared.moved + len(compared.pairs)):
        return None
    if lexicon.related(one.token.text, other.token.text):
        return None
    return f"{one.token.text} against {other.token.text}"
