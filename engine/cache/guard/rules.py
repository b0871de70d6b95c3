"""``refuse``: may the answer to a stored question be served for the one asked? The lexical half of cache.verify.

Named rules, each sure of itself: a rule that fires has seen a conflict, and silence proves nothing (the learned
verifier speaks next). All rules are symmetric. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from engine.cache.guard.align import Compared, compare
from engine.cache.guard.figures import code, number, unit
from engine.cache.guard.language import language_of
from engine.cache.guard.names import entity, word
from engine.cache.guard.operators import arithmetic, operators
from engine.cache.guard.order import capitals_of_flags, capitals_of_units, figures_in_order, lines_of_code
from engine.cache.guard.question import question
from engine.cache.guard.signs import signs
from engine.cache.guard.turns import antonym, direction, negation, quantifier
from engine.cache.profile import CHARS_MAX, WORDS_MAX, too_long

Rule = Literal[
    "length",
    "signs",
    "language",
    "number",
    "unit",
    "code",
    "negation",
    "antonym",
    "direction",
    "quantifier",
    "entity",
    "word",
    "question",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Which rule refuses and what it saw, for people: words of both questions may be in ``detail``."""

    rule: Rule
    detail: str


RULES: Final[tuple[tuple[Rule, Callable[[Compared], str | None]], ...]] = (
    ("number", number),
    ("unit", unit),
    ("code", code),
    ("negation", negation),
    ("antonym", antonym),
    ("direction", direction),
    ("quantifier", quantifier),
    ("entity", entity),
    ("word", word),
    ("question", question),
)


TEXT_RULES: Final[tuple[tuple[Rule, Callable[[str, str], str | None]], ...]] = (
    ("signs", signs),
    ("number", arithmetic),
    ("code", operators),
    ("number", figures_in_order),
    ("unit", capitals_of_units),
    ("code", capitals_of_flags),
    ("code", lines_of_code),
)
"""About what stands between the words."""


def refuse(asked: str, stored: str) -> Refused | None:
    """The first rule that forbids to answer ``asked`` with the answer of ``stored``; None when none does.

    Takes bounded time whatever is asked: a text beyond what is compared is refused before it is read.
    """
    if asked == stored:
        return None
    if too_long(asked) or too_long(stored):
        return Refused(rule="length", detail=f"more than {CHARS_MAX} characters or {WORDS_MAX} words")
    return conflict(asked, stored)


def conflict(asked: str, stored: str) -> Refused | None:
    """``refuse`` for texts of any length; the work grows with it."""
    mine, theirs = language_of(asked), language_of(stored)
    if mine != theirs:
        return Refused(rule="language", detail=" against ".join(sorted((mine, theirs))))
    for name, rule in TEXT_RULES:
        detail = rule(asked, stored)
        if detail:
            return Refused(rule=name, detail=detail)
    compared = compare(asked, stored)
    for name, rule in RULES:
        detail = rule(compared)
        if detail:
            return Refused(rule=name, detail=detail)
    return None
