"""Made-up traffic on cache entries: scores, and whether serving would have been right. Nobody's data."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from configs.caching import BoundSettings
from engine.cache.bound import decide, tells
from engine.cached import Observation

Curve = Callable[[float], float]
"""Probability of being right by the log-odds of a score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of it."""

    asked: int
    hits: int
    wrong: int

    @property
    def hit_rate(self) -> float:
        """Share of candidates that were served."""
        return self.hits / self.asked

    @property
    def wrong_of_asked(self) -> float:
        """Share of candidates that got a wrong answer."""
        return self.wrong / self.asked

    @property
    def wrong_of_hits(self) -> float:
        """Share of hits that were wrong."""
        return self.wrong / max(1, self.hits)


def sigmoid(odds: float) -> float:
    """Log-odds as a share."""
    return 1.0 / (1.0 + math.exp(-odds))


def observation(odds: float, right: bool) -> Observation:
    """At log-odds."""
    return Observation(score=sigmoid(odds), right=right)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Entries whose candidates come with log-odds around ``mean``."""

    curve: Callable[[random.Random], Curve]
    """Of one entry."""
    entries: int
    asks: int
    mean: float = 3.0
    spread: float = 2.0

    def run(self, rules: BoundSettings, *, seed: int, from_ask: int = 0) -> Came:
        """Every answer afresh is compared, hits at ``shadow_share``; asks before ``from_ask`` do not count."""
        chance = random.Random(seed)
        asked = hits = wrong = 0
        for _ in range(self.entries):
            curve, known = self.curve(chance), list[Observation]()
            for ask in range(self.asks):
                odds = chance.gauss(self.mean, self.spread)
                one = observation(odds, chance.random() < curve(odds))
                serve = decide(one.score, known, rules, sample=chance.random()).serve
                if ask >= from_ask:
                    asked, hits, wrong = asked + 1, hits + serve, wrong + (serve and not one.right)
                if (not serve or chance.random() < rules.shadow_share) and tells(one.score, rules):
                    known = [*known, one][-rules.observations_max :]
        return Came(asked=asked, hits=hits, wrong=wrong)
