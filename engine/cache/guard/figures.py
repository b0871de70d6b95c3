"""Rules `number`, `unit` and `code`: exact things that differ. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from engine.cache.guard.align import Compared, Left
from engine.cache.guard.numbers import ORDINALS
from engine.cache.guard.text import Kind, Token


def _of(words: tuple[Left, ...], kind: Kind) -> list[str]:
    return sorted({word.token.key for word in words if word.token.kind == kind})


def _differs(compared: Compared, kind: Kind) -> str | None:
    """Both sides have one that the other lacks; or one side has one and all else is the same."""
    mine, theirs = _of(compared.left_a, kind), _of(compared.left_b, kind)
    if mine and theirs:
        return f"{', '.join(mine)} against {', '.join(theirs)}"
    rest = max(len(compared.left_a), len(compared.left_b)) - len(mine or theirs)
    if (mine or theirs) and rest == 0 and compared.overlap >= 0.5:
        return f"only one side has {', '.join(mine or theirs)}"
    return None


def number(compared: Compared) -> str | None:
    """Different numbers, dates or versions."""
    return _differs(compared, "number")


def unit(compared: Compared) -> str | None:
    """Different units or currencies on both sides; one side without any may mean the same one."""
    mine, theirs = _of(compared.left_a, "unit"), _of(compared.left_b, "unit")
    if mine and theirs:
        return f"{', '.join(mine)} against {', '.join(theirs)}"
    shares, counts = zip(_shares(compared.a), _shares(compared.b), strict=True)
    apart = sorted(((shares[0] - shares[1]) & counts[1]) | ((shares[1] - shares[0]) & counts[0]))
    return f"{apart[0]} percent against {apart[0]}" if apart else None


def _shares(tokens: Sequence[Token]) -> tuple[frozenset[str], frozenset[str]]:
    """The numbers that are percentages, and those that are none."""
    found = frozenset(x.key for x, y in pairwise(tokens) if x.kind == "number" and y.key == "percent")
    return found, frozenset(
        token.key for token in tokens if token.kind == "number" and token.text not in ORDINALS
    ) - found


def code(compared: Compared) -> str | None:
    """Different identifiers, flags, files or model numbers."""
    return _differs(compared, "code")
