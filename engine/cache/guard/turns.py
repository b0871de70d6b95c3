"""Rules `negation`, `antonym`, `quantifier` and `direction`: the same words turned round. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from engine.cache import lexicon
from engine.cache.guard.align import Compared
from engine.cache.guard.text import Token
from engine.cache.guard.wording import DIRECTED, MUTUAL, STRICT_QUANTITIES, SYMMETRIC, TURNING_FILLERS

HALF: Final = 0.5
MUCH: Final = 0.7
"""Shares of the longer question's content; below, little words of the two say nothing about each other."""
LITTLE: Final = 3
"""Little words that may differ when one of them is said to turn the question: out of, into."""
QUOTED: Final = 4
"""Words shown of a turned passage."""
LOOKED_UP: Final = 400
"""Pairs of words left that are looked up; with more, the questions have little to do with each other."""


def negation(compared: Compared) -> str | None:
    """One side denies more often than the other, and the rest is much the same."""
    mine = [token.text for token in compared.a if token.kind == "negation"]
    theirs = [token.text for token in compared.b if token.kind == "negation"]
    if len(mine) % 2 == len(theirs) % 2:
        return None
    if compared.overlap < MUCH and not (compared.unexplained <= 1 and compared.overlap >= HALF):
        return None
    return f"only one side has {(mine or theirs)[0]}" if not (mine and theirs) else "one side denies more often"


def antonym(compared: Compared) -> str | None:
    """A word of one side is the opposite of one of the other."""
    if len(compared.left_a) * len(compared.left_b) > LOOKED_UP:
        return None
    for mine in compared.left_a:
        for theirs in compared.left_b:
            here = compared.near or compared.alike or (mine.gap == theirs.gap and compared.overlap >= HALF)
            if here and lexicon.opposites(mine.token.text, theirs.token.text):
                return f"{mine.token.text} against {theirs.token.text}"
    alike = compared.fillers_apart <= LITTLE and compared.unexplained <= 1
    return _turned_filler(compared) if alike else None


def _turned_filler(compared: Compared) -> str | None:
    """A little word exchanged for its opposite, on for off, to for from, where nothing else of weight differs."""
    weak = [Counter(t.text for t in side if t.kind == "filler") for side in (compared.a, compared.b)]
    mine = {*(weak[0] - weak[1]), *(w.token.text for w in compared.left_a)}
    theirs = {*(weak[1] - weak[0]), *(w.token.text for w in compared.left_b)}
    for pair in TURNING_FILLERS:
        one, other = sorted(pair)
        if (one in mine and other in theirs) or (other in mine and one in theirs):
            return f"{one} against {other}"
    return None


def quantifier(compared: Compared) -> str | None:
    """All against some, at least against at most, only on one side of two questions that are else the same."""
    mine = sorted({word.token.key for word in compared.left_a if word.token.kind == "quantity"})
    theirs = sorted({word.token.key for word in compared.left_b if word.token.kind == "quantity"})
    if mine and theirs and compared.overlap >= HALF:
        return f"{mine[0]} against {theirs[0]}"
    rest = max(len(compared.left_a), len(compared.left_b)) - len(mine or theirs)
    strict = [key for key in mine or theirs if key in STRICT_QUANTITIES]
    if strict and rest == 0:
        return f"only one side has {strict[0]}"
    return None


def _meaningful(tokens: Sequence[Token], alias: dict[str, str]) -> list[str]:
    """Keys of content words and of the markers between them."""
    return [
        alias.get(token.key, token.key)
        for token in tokens
        if token.content or token.text in DIRECTED or token.text in SYMMETRIC
    ]


def _turned(x: list[str], y: list[str]) -> tuple[list[str], list[str], list[str]] | None:
    """x = P L M R S and y = P R M L S: (L, M, R); None when y is no such exchange of x."""
    start = next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), None)
    if start is None or len(x) != len(y):
        return None
    end = next(i for i, (p, q) in enumerate(zip(reversed(x), reversed(y), strict=False)) if p != q)
    one, other = x[start : len(x) - end], y[start : len(y) - end]
    if len(one) != len(other) or len(one) > 24:
        return None
    for left in range(1, len(one) - 1):
        for right in range(1, len(one) - left):
            middle = one[left : len(one) - right]
            if other == one[len(one) - right :] + middle + one[:left]:
                return one[:left], middle, one[len(one) - right :]
    return None


def _arguments(keys: Sequence[str]) -> dict[str, set[str]]:
    """Word right behind and right before each of from, to, into, than."""
    found: dict[str, set[str]] = {"from": set(), "to": set(), "before to": set()}
    for at, key in enumerate(keys):
        name = "to" if key in {"to", "into", "onto"} else key
        if name not in {"from", "to"}:
            continue
        if at + 1 < len(keys):
            found[name].add(keys[at + 1])
        if name == "to" and at:
            found["before to"].add(keys[at - 1])
    return found


def _orders(middle: Sequence[str], tokens: Sequence[Token]) -> bool:
    """Whether what stands between two things gives them different parts: a marker, or anything with a meaning."""
    content = {token.key for token in tokens if token.content}
    if any(token.text in MUTUAL or token.key in MUTUAL for token in tokens):
        content = set[str]()
    return any(key in DIRECTED or key in content for key in middle if key not in SYMMETRIC)


def _asks_for_the_other_side(compared: Compared) -> bool:
    """«Who taught Plato» against «Who did Plato teach»: the same words, and only one side puts in «did»."""
    if compared.left_a or compared.left_b or not compared.moved or not (compared.a and compared.b):
        return False
    doing = [any(token.text in {"do", "does", "did"} for token in side) for side in (compared.a, compared.b)]
    same_start = compared.a[0].key == compared.b[0].key and compared.a[0].key in {"who", "what"}
    return same_start and doing[0] != doing[1]


def direction(compared: Compared) -> str | None:
    """The same things exchanged round a word that gives them different parts: from X to Y, X into Y, X than Y."""
    alias = {mine.key: theirs.key for mine, theirs in compared.pairs}
    turned = _turned([alias.get(t.key, t.key) for t in compared.a], [t.key for t in compared.b])
    if turned and _orders(turned[1], compared.a):
        left, middle, right = (" ".join(part[:QUOTED]) for part in turned)
        return f"{left} {middle} {right} against {right} {middle} {left}"
    if _asks_for_the_other_side(compared):
        return "who does it against whom it is done to"
    if compared.overlap < HALF:
        return None
    here, there = _arguments(_meaningful(compared.a, alias)), _arguments(_meaningful(compared.b, {}))
    for source, target in (("from", "to"), ("before to", "to")):
        first = (here[source] & there[target]) - (here[target] | there[source])
        second = (here[target] & there[source]) - (here[source] | there[target])
        if first and second:
            return f"{min(first)} to {min(second)} against {min(second)} to {min(first)}"
    return None
