"""Do two answers to one question say the same? For measuring false hits, never for serving one. Pure.

Cautious both ways: ``same`` and ``different`` need a reason, and everything else is ``unsure``, which does not
count. What it cannot see: a wrong word in a long answer that is otherwise alike (a name, a date in words), facts
that both leave out, answers in two languages, and what stands behind the first 20,000 characters. Numbers are
compared in short answers only, since long ones count their paragraphs. Models write these texts, on purpose or led
astray, so every pattern takes time in proportion to their length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from configs.caching import BoundSettings

if TYPE_CHECKING:  # who has no vectors needs no arrays
    import numpy as np
    from numpy.typing import NDArray

Agreement = Literal["same", "different", "unsure"]
COMPARED_CHARS: Final = 20_000
"""Of each answer: more would hold up the event loop."""
SHORT_WORDS: Final = 40
"""An answer of a sentence or two, in which every number is the point."""
CLOSE: Final = 0.01
"""Numbers are one when they differ by less than this share: rounding."""
ALIKE: Final = 0.9
"""Share of words in common from which texts are alike without vectors."""
OVERLAP: Final = 0.6
"""Share from which one negation more turns a short answer round."""
_FENCE: Final = "```"
_WORD: Final = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBER: Final = re.compile(
    r"(?<![\w.])[-−]?+\d++(?!\w*\d)(?:[,\u202f ]\d{3}(?!\w*\d)){0,8}+(?:\.\d++(?!\w*\d))?+"
    r"\s?(%|°?[a-zA-Zµ$€£]+)?"
)
_COMMENT: Final = re.compile(r"(?m)^[^\S\n]*+(?:#|//).*$")
_YES: Final = frozenset({"yes", "yeah", "yep", "correct", "true", "ja", "oui", "sí"})
_NO: Final = frozenset({"no", "nope", "incorrect", "false", "nein", "non"})
_NOT: Final = frozenset(
    {"not", "no", "never", "cannot", "can't", "don't", "doesn't", "isn't", "aren't", "won't", "wasn't", "without"}
    | {"shouldn't", "mustn't", "didn't", "neither", "nor", "unable", "impossible"}
)
_UNITS: Final[dict[str, str]] = {
    alias: unit
    for unit, aliases in {
        "%": "% percent",
        "km": "km kilometer kilometers kilometre kilometres",
        "mi": "mi mile miles",
        "m": "m meter meters metre metres",
        "ft": "ft foot feet",
        "kg": "kg kilogram kilograms kilo kilos",
        "lb": "lb lbs pound pounds",
        "g": "g gram grams",
        "oz": "oz ounce ounces",
        "c": "°c celsius",
        "f": "°f fahrenheit",
        "s": "s sec second seconds",
        "min": "min minute minutes",
        "h": "h hour hours",
        "d": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years",
        "usd": "$ usd dollar dollars",
        "eur": "€ eur euro euros",
        "gb": "gb",
        "mb": "mb",
        "kb": "kb",
        "ms": "ms",
    }.items()
    for alias in aliases.split()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One of the two answers."""

    text: str
    vector: NDArray[np.float32] | None = None
    """Unit vector of the whole text, shape (dimensions,); ``None``: words decide."""


def agree(fresh: Text, stored: Text, rules: BoundSettings) -> Agreement:
    """Whether ``stored`` says what ``fresh`` says. The order does not matter."""
    one, other = _flat(fresh.text), _flat(stored.text)
    if one == other:
        return "same"
    if not one or not other:
        return "different"
    if _contradict(one, other):
        return "different"
    codes = [_codes(t.text) for t in (fresh, stored)]
    if codes[0] and codes[0] == codes[1]:
        return "same"
    if any(codes) or _number_alone(one, other):  # other code may do the same; a number too many may be the point
        return "unsure"
    return _by_likeness(fresh, stored, rules)


def _by_likeness(fresh: Text, stored: Text, rules: BoundSettings) -> Agreement:
    if fresh.vector is None or stored.vector is None:
        return "same" if _overlap(_words(_flat(fresh.text)), _words(_flat(stored.text))) >= ALIKE else "unsure"
    cosine = float(fresh.vector @ stored.vector)
    if cosine >= rules.same_min:
        return "same"
    return "different" if cosine < rules.different_max else "unsure"  # what is no number is neither


def _contradict(one: str, other: str) -> bool:
    words, others = _words(one), _words(other)
    firsts = {_polarity(words), _polarity(others)}
    if firsts == {"yes", "no"}:
        return True
    if max(len(words), len(others)) > SHORT_WORDS:
        return False
    mine, theirs = _unmatched(_numbers(one), _numbers(other))
    if mine and theirs:
        return True
    turned = (len(_NOT.intersection(words)) - len(_NOT.intersection(others))) % 2 == 1
    return (
        turned and _overlap([w for w in words if w not in _NOT], [w for w in others if w not in _NOT]) >= OVERLAP
    )


def _number_alone(one: str, other: str) -> bool:
    """One short answer has a number that the other lacks."""
    if max(len(_words(one)), len(_words(other))) > SHORT_WORDS:
        return False
    mine, theirs = _unmatched(_numbers(one), _numbers(other))
    return bool(mine) != bool(theirs)


def _unmatched(
    ours: Sequence[tuple[float, str]], theirs: Sequence[tuple[float, str]]
) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    mine = [n for n in ours if not any(_is_one(n, m) for m in theirs)]
    return mine, [m for m in theirs if not any(_is_one(n, m) for n in ours)]


def _is_one(a: tuple[float, str], b: tuple[float, str]) -> bool:
    if a[1] and b[1] and a[1] != b[1]:
        return False
    return abs(a[0] - b[0]) <= CLOSE * max(abs(a[0]), abs(b[0])) and (a[0] == b[0] or not _whole(a[0], b[0]))


def _whole(*numbers: float) -> bool:
    """Whole numbers are not rounded: 1999 is not 2000."""
    return all(number.is_integer() for number in numbers)


def _numbers(text: str) -> list[tuple[float, str]]:
    found: list[tuple[float, str]] = []
    for match in _NUMBER.finditer(text):
        unit = match[1] or ""
        digits = match[0][: len(match[0]) - len(unit)] if unit else match[0]
        plain = re.sub(r"[,\u202f\s]", "", digits).replace("−", "-")
        found.append((float(plain), _UNITS.get(unit.lower(), "")))
    return found


def _codes(text: str) -> list[str]:
    blocks = [_COMMENT.sub("", block) for block in _blocks(text)]
    return ["\n".join(line for line in (" ".join(raw.split()) for raw in b.splitlines()) if line) for b in blocks]


def _blocks(text: str) -> Iterator[str]:
    """What stands between two fences, without the first one's line; a block may end where comparing does."""
    head, at = text[:COMPARED_CHARS], 0
    while (fence := head.find(_FENCE, at)) >= 0:
        start = head.find("\n", fence + len(_FENCE)) + 1
        end = head.find(_FENCE, start) if start else -1
        if end < 0:
            if start and len(text) > COMPARED_CHARS:
                yield head[start:]
            return
        yield head[start:end]
        at = end + len(_FENCE)


def _flat(text: str) -> str:
    """Without case, emphasis, extra space and the full stop."""
    plain = re.sub(r"[*_`]+", "", text[:COMPARED_CHARS].replace("’", "'"))
    return " ".join(plain.lower().split()).rstrip(".! ")


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _polarity(words: Sequence[str]) -> str:
    first = words[0] if words else ""
    return "yes" if first in _YES else "no" if first in _NO else ""


def _overlap(words: Sequence[str], others: Sequence[str]) -> float:
    mine, theirs = set(words), set(others)
    return len(mine & theirs) / len(mine | theirs) if mine | theirs else 1.0
