"""What words alone do not show: figures in another order, capitals that matter, lines of code. Pure, linear."""

from __future__ import annotations

import re
from typing import Final

from engine.cache.guard.text import tokens

UNIT: Final = re.compile(r"\d\s?([A-Za-zµ]{1,4})(?![A-Za-z])")
SCIENTIFIC: Final = re.compile(r"(?<![\w.])\d+(?:\.\d+)?[eE][+-]?\d+(?!\w)")
BETWEEN: Final = re.compile(r"(?<=\d)\D{1,4}(?=\d)")
FLAG: Final = re.compile(r"(?<!\S)-{1,2}[A-Za-z][\w-]*")
CODE_LINE: Final = re.compile(
    r"[=;{}]|\w\(|^(?: {2,}|\t)\S"
    r"|^\s*(?:def|class|for|while|if|elif|else|try|return|import|from|const|let|var|fn|pub|func|SELECT|FROM|WHERE)\b"
)


def figures_in_order(asked: str, stored: str) -> str | None:
    """The same figures in another order while all else keeps its own: 3/4 and 4/3, two dates, two ranges.

    Not sums and products, and not what is written in another way: ``2024-01-02`` and ``01/02/2024``.
    """
    (mine, around), (theirs, about) = _figures(asked), _figures(stored)
    between, joined = BETWEEN.findall(asked), BETWEEN.findall(stored)
    swaps = between == joined and not (between and all(sign.strip() in ("+", "*", "x", "×") for sign in between))
    if swaps and mine != theirs and sorted(mine) == sorted(theirs) and around == about:
        return f"{' '.join(mine)} against {' '.join(theirs)}"
    return _differing(SCIENTIFIC.findall(asked.lower()), SCIENTIFIC.findall(stored.lower()))


def capitals_of_units(asked: str, stored: str) -> str | None:
    """mW and MW, Gb and GB. Small letters alone, or capitals throughout, are how somebody types."""
    pairs = _same_but_for_capitals(UNIT.findall(asked), UNIT.findall(stored))
    if asked.isupper() or stored.isupper():
        return None
    return next((f"{a} against {b}" for a, b in pairs if not (a.islower() or b.islower())), None)


def capitals_of_flags(asked: str, stored: str) -> str | None:
    """``-l`` and ``-L`` are two options."""
    pairs = _same_but_for_capitals(FLAG.findall(asked), FLAG.findall(stored))
    return next((f"{a} against {b}" for a, b in pairs), None)


def lines_of_code(asked: str, stored: str) -> str | None:
    """Code is what it is to the letter, its indentation included."""
    asked, stored = asked.strip(), stored.strip()
    if "\n" not in asked and "\n" not in stored:
        return None
    mine, theirs = _code(asked), _code(stored)
    if mine == theirs:
        return None
    other = next(
        (b or a for a, b in zip([*mine, ""], [*theirs, ""], strict=False) if a != b),
        "one line more",
    )
    return f"other code: {other.strip()[:40]}"


def _figures(text: str) -> tuple[list[str], list[str]]:
    """Figures in their order, and everything else in its own."""
    found = tokens(text)
    numbers = [token.key for token in found if token.kind == "number"]
    return numbers, [token.key for token in found if token.kind not in ("number", "filler")]


def _differing(mine: list[str], theirs: list[str]) -> str | None:
    return None if mine == theirs else f"{' '.join(mine) or 'none'} against {' '.join(theirs) or 'none'}"


def _same_but_for_capitals(mine: list[str], theirs: list[str]) -> list[tuple[str, str]]:
    """What differs in its capitals only, where the lists are the same otherwise."""
    if [a.lower() for a in mine] != [b.lower() for b in theirs]:
        return []
    return [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]


def _code(text: str) -> list[str]:
    return [line.expandtabs().rstrip() for line in text.split("\n") if CODE_LINE.search(line)]
