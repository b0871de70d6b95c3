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
from engine.cache.guard.question import question
from engine.cache.guard.turns import antonym, direction, negation, quantifier

Rule = Literal[
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


def refuse(asked: str, stored: str) -> Refused | None:
    """The first rule that forbids to answer ``asked`` with the answer of ``stored``; None when none does."""
    if asked == stored:
        return None
    mine, theirs = language_of(asked), language_of(stored)
    if mine != theirs:
        return Refused(rule="language", detail=" against ".join(sorted((mine, theirs))))
    compared = compare(asked, stored)
    for name, rule in RULES:
        detail = rule(compared)
        if detail:
            return Refused(rule=name, detail=detail)
    return None
