"""Questions at known angles, judges that say what they are told, and verification without the learned part."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.cache.dictionary import dictionary
from engine.cache.guard.rules import refuse
from engine.cache.paraphrase import Judge
from engine.cache.question import Question
from engine.routing.encoder import load_encoder
from engine.types import Verdict
from tests.support.answer_caches import at_angle

FLOOR = 0.8
one_encoder = functools.cache(load_encoder)
"""Stands in for ``engine.compose.load_encoder``: loading it takes longer than most tests of the cache."""


def verdict(
    probability: float | None = 0.99, *, rule: str = "accepted", grey: bool = False, similarity: float = 0.95
) -> Verdict:
    """A verdict; accepted unless a rule refuses."""
    return Verdict(
        accepted=rule == "accepted",
        rule=rule,
        detail="" if rule == "accepted" else f"{rule} said so",
        similarity=similarity,
        probability=probability,
        threshold=0.9,
        grey=grey,
    )


@dataclass
class Told:
    """A judge by the stored text; it remembers what it was asked."""

    verdicts: Mapping[str, Verdict]
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def __call__(self, asked: Question, stored: Question) -> Verdict:
        """As told."""
        self.asked.append((asked.text, stored.text))
        return replace(self.verdicts[stored.text], question=stored.text)

    async def get(self) -> Told:
        """As it is loaded."""
        return self


@dataclass(frozen=True, slots=True)
class Verifies:
    """Stands in for a fitted verifier: the same probability for whatever guard and cosine let through."""

    says: float
    accept: float = 0.85
    version: str = "none"

    def probability(self, asked: Question, stored: Question) -> float:
        """Of any pair."""
        del asked, stored
        return self.says


def believe(*_: object) -> Verifies:
    """Stands in for ``engine.cache.verifier_file.load_verifier``: sure of everything."""
    return Verifies(0.999)


def doubt(*_: object) -> Verifies:
    """The same, sure of nothing."""
    return Verifies(0.7)


def question(text: str, degrees: float = 0.0) -> Question:
    """``text`` at that angle."""
    return Question(text=text, vector=at_angle(degrees))


def load_guard(*_: object) -> Judge:
    """``by_guard``, its dictionary loaded; blocks for a moment."""
    dictionary()
    return by_guard


def by_guard(asked: Question, stored: Question) -> Verdict:
    """The real guard, and behind it a verifier that believes every cosine from ``FLOOR`` on."""
    cosine = float(asked.vector @ stored.vector)
    refused = refuse(asked.text, stored.text)
    if cosine < FLOOR:
        found = verdict(None, rule="similarity", similarity=cosine)
    elif refused is not None:
        found = replace(verdict(None, rule=refused.rule, similarity=cosine), detail=refused.detail)
    else:
        found = verdict(0.999, similarity=cosine)
    return replace(found, question=stored.text)
