"""Operators and signs: 12 * 4 against 12 / 4, -5 against 5, x > 5 against x < 5, 3/4 against 4/3. Pure, linear.

Only what is surely an operator: hyphens, dashes, «and/or», «crew & passengers», C++ and 5+ years are words and
punctuation here. No arithmetic: ``5 > x`` and ``x < 5`` are different.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from engine.cache.guard.numbers import SMALL, TENS, plain
from engine.cache.guard.pieces import LONGEST_WORD, REMEMBERED_CHARS
from engine.cache.guard.signs import spelled_out
from engine.cache.lexicon import typo_of

NO_OPERATORS: Final = re.compile(
    r"""
    \b\w+://\S+                                      # an address
    |(?<![\w.+-])[\w.+-]++@[\w.-]+                   # an e-mail address
    |</?[a-z][a-z0-9-]*+/?>                          # a tag of HTML
    |\b24/7\b
    |(?<![\d/.-])(?:\d{4}([-/.])\d\d?\1\d\d?|\d\d?([-/.])\d\d?\2\d{4}|\d\d([-/.])\d\d\3\d\d)(?![\d/.-])  # a date
    """,
    re.VERBOSE | re.IGNORECASE,
)
SAID: Final = {"times": "*", "multiplied": "*", "x": "*", "plus": "+", "minus": "-", "divided": "/"}
SAID_BETWEEN: Final = re.compile(r"(?<=\d) ([a-z]++)(?: by)? (?=\d)")
BELOW_ZERO: Final = re.compile(r"\b(?:minus|negative) (?=\d)")
CURRENCY: Final = str.maketrans(dict.fromkeys("$€£₹¥", ""))
SIGN: Final = re.compile(r"[-+*/^%<>=!&|~]+")
NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*+")
_THING: Final = r"(?:\d+(?:[.,]\d+)*+[a-z]*+|[a-z])(?!\w)"
BETWEEN: Final = re.compile(
    rf"(?<![\w.])(?<!\d,)({_THING})( ?[-+*/^%<>=!&|~]+ ?| (?:to|and|or|through|until|till|over) )(?=({_THING}))"
)
LOOSE: Final = frozenset({"to", "and", "or", "through", "until", "till", "over", "&"})
"""Between two numbers they may stand for a dash or a slash: 5-10 minutes, 5 to 10 minutes."""
EXCHANGEABLE: Final = frozenset({"+", "*", "&&", "|", "||", "==", "!=", "="})
LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
IN_WORDS: Final = {word: str(value) for word, value in (SMALL | TENS).items()}
COUNTED: Final = re.compile(rf"\b(?:{'|'.join(IN_WORDS)})\b")
EDGES: Final = ".,;:?!'\"()[]{}"


Between = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """The operators of one text."""

    sure: tuple[str, ...]
    """Those that are operators wherever they stand, in order."""
    below: tuple[str, ...]
    """Numbers with a minus before them."""
    things: Between
    """What stands between two numbers or letters."""
    words: Between
    """What stands alone between two words: a dash and an ampersand too, which count only against another sign."""
    numbers: frozenset[str]


def _number(text: str) -> str:
    """``3x`` is a thing of its own; ``60bpm`` and ``14th`` are 60 and 14."""
    written = text.replace(",", "")
    digits = written.rstrip(LETTERS)
    return plain(digits) if digits and len(written) - len(digits) != 1 else written


def _text(text: str) -> str:
    """In lower case with single spaces, operators that are said as their signs, and without what only looks so."""
    low = " ".join(spelled_out(text).translate(CURRENCY).lower().split())
    low = COUNTED.sub(lambda match: IN_WORDS[match[0]], NO_OPERATORS.sub("word", low))
    return BELOW_ZERO.sub("-", SAID_BETWEEN.sub(_said, low))


def _said(match: re.Match[str]) -> str:
    """The sign for a word between two numbers, misspelled ones too; any other word stays."""
    meant = next((word for word in SAID if match[1] == word or typo_of(match[1][:LONGEST_WORD], word)), None)
    return f" {SAID[meant]} " if meant else match.group()


def _sure(run: str, before: str, after: str, digit_before: bool) -> str | None:
    """The run between ``before`` and ``after``; None where it may be punctuation or part of a word."""
    ends, starts = before.isalnum() or before in {")", "_"}, after.isalnum() or after in {"(", "_"}
    if run in {"-", "/"} or (run == "%" and digit_before):
        return None
    if set(run) == {"-"}:
        operates = ends and not starts and before.isalpha()
    elif set(run) == {"+"}:
        operates = not ends and starts and not after.isdigit()
    elif run in {"&", "%"} or set(run) == {"!"}:
        operates = not ends and starts
    else:
        operates = run != "~" or not after.isdigit()
    if not operates:
        return None
    return "!" if set(run) == {"!"} else run


def _read(text: str) -> Signs:
    low = _text(text)
    sure: list[str] = []
    below: list[str] = []
    for match in SIGN.finditer(low):
        run = match.group()
        start, end = match.span()
        earlier, after = low[max(0, start - 2) : start].strip()[-1:], low[end : end + 1]
        before = low[start - 1 : start] if start else ""
        run = run.lstrip("%") or run if earlier.isdigit() else run
        run = run if "=" in run else run.rstrip("!") or run
        if run[-1] == "-" and after.isdigit() and not before.isalnum() and not (run == "-" and earlier.isdigit()):
            number = NUMBER.match(low, end)
            below.append(_number(number.group()) if number else "")
        found = _sure(run, before, after, earlier.isdigit())
        sure += [found] if found else []
    return Signs(
        sure=tuple(sure),
        below=tuple(below),
        things=_things(low),
        words=_words(low),
        numbers=frozenset(map(_number, NUMBER.findall(low))),
    )


def _things(low: str) -> Between:
    found: Between = {}
    for match in BETWEEN.finditer(low):
        sign = match[2].strip()
        if match[2] == "% " or (sign == "+" and match[2] == "+ " and match[1].isdigit()):
            continue
        sign = sign.lstrip("%") or sign
        found[_number(match[1]), _number(match[3])] = sign
    return found


def _words(low: str) -> Between:
    parts = ["", *low.split(), ""]
    return {
        (parts[at - 1].strip(EDGES), parts[at + 1].strip(EDGES)): parts[at]
        for at in range(1, len(parts) - 1)
        if SIGN.fullmatch(parts[at]) and not parts[at - 1][-1:].isdigit()
    }


@lru_cache(maxsize=2048)
def _remembered(text: str) -> Signs:
    return _read(text)


def _signs(text: str) -> Signs:
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _read(text)


def _alike(sign: str, other: str, *, turned: bool) -> bool:
    """Whether two signs between the same numbers say the same, ``turned`` when the numbers changed places."""
    if ({sign, other} <= LOOSE | {"-", "/"} and {sign, other} & LOOSE) or {sign, other} == {"+", "and"}:
        return True
    return sign == other and (not turned or sign in EXCHANGEABLE)


def _other(sides: Between, left: str, right: str) -> tuple[str | None, bool]:
    """What stands between the two on the other side, and whether they changed places there."""
    same = sides.get((left, right))
    return (same, False) if same or left == right else (sides.get((right, left)), True)


def _clash(mine: Signs, theirs: Signs) -> str | None:
    """Two numbers between which ``theirs`` has another sign, none, or the same the other way round."""
    for (left, right), sign in mine.things.items():
        other, turned = _other(theirs.things, left, right)
        known = {left, right} <= theirs.numbers and left != right
        if not _alike(sign, other, turned=turned) if other else known and sign not in LOOSE:
            return f"{left} {sign} {right}"
    return None


def _exchanged(mine: Signs, theirs: Signs) -> str | None:
    """Two words with another sign between them there, or about a slash the other way round."""
    for (left, right), sign in mine.words.items():
        other, turned = _other(theirs.words, left, right)
        if other and (other != sign or (turned and sign in {"/", "%"})):
            return " against ".join(sorted((sign, other)))
    return None


def arithmetic(asked: str, stored: str) -> str | None:
    """Rule `number`: another sign between the same numbers, or they changed places, or a minus on one side."""
    mine, theirs = _signs(asked), _signs(stored)
    if sorted(mine.below) != sorted(theirs.below):
        apart = sorted({*mine.below} ^ {*theirs.below}) or sorted({*mine.below})
        return f"-{apart[0]} on one side only"
    found = sorted(filter(None, (_clash(mine, theirs), _clash(theirs, mine))))
    return f"{found[0]} on one side only" if found else None


def operators(asked: str, stored: str) -> str | None:
    """Rule `code`: the operators, in order, and signs that stand alone between the same words."""
    mine, theirs = _signs(asked), _signs(stored)
    if mine.sure == theirs.sure:
        return _exchanged(mine, theirs)
    return " against ".join(sorted(" ".join(side.sure) or "none" for side in (mine, theirs)))
