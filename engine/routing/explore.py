"""Who answers after all: the best, or now and then somebody else, to learn from it (route.learn). Pure.

Starts from the candidates of ``engine/routing/select.py``. An agent on probation gives its questions to the best
of the others and gets probes: the only way back. ``ema`` tries nobody else; ``thompson`` (Thompson 1933; posterior
Beta) and ``linucb`` (Li et al. 2010) also try whoever may turn out better. Every choice comes with the probability
of each candidate, which off-policy evaluation needs. Chance is an argument, and exploration has a bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import LearnSettings
from configs.settings import Settings
from engine.types import Averages, Candidate, Complexity

GRID: Final = 256
"""Points at which densities of success are compared."""
SUCCESS_MIN: Final = 1e-6
"""Stands for a success of 0 where it is divided by."""
COMPLEXITY: Final[Mapping[Complexity | None, float]] = {None: 0.0, "simple": 0.0, "medium": 0.5, "complex": 1.0}
CHARS: Final = 16_384.0
"""A question of this length counts as long as any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What exploration has to know of a request beyond its candidates."""

    may_explore: bool = True
    """``False`` for what must not be tried out on: priority high, an agent asked for by name."""
    waited: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many of its own questions each agent on probation has had to give away since it was last asked."""
    contexts: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """``context_of`` this request by the agents' names; for ``linucb``."""
    moments: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """Sufficient statistics by the agents' names; for ``linucb``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Who answers."""

    index: int
    """Into the candidates."""
    explored: bool
    """Chosen to learn from it, not for its score."""
    propensities: tuple[float, ...]
    """Probability of each candidate, in their order; they add up to 1."""
    held: str = ""
    """The agent on probation whose question this is; empty: nobody's."""


def choose(
    candidates: Sequence[Candidate],
    averages: Mapping[str, Averages],
    settings: Settings,
    situation: Situation,
    sample: float,
) -> Chosen:
    """Pick one of ``candidates``, with ``sample`` from [0, 1).

    Nobody chooses excluded and dominated candidates while there are others. ``averages`` by the agents' names.
    """
    held_names = {agent for agent, known in averages.items() if known.held}
    free = [i for i, c in enumerate(candidates) if _may_answer(c, held_names)] or [0]
    on_probation = {i for i in free if candidates[i].agent in held_names}
    sound = [i for i in free if i not in on_probation] or free
    best = max(sound, key=lambda i: candidates[i].score)
    owner = best
    if on_probation:
        owner = max(free, key=lambda i: deserved(candidates[i], settings.routing.weight_success))
    held = candidates[owner].agent if owner in on_probation and owner != best else ""
    shares = [0.0] * len(candidates)
    shares[best] = 1.0
    if settings.learn.enabled and situation.may_explore:
        if held:
            hazard = probe_hazard(situation.waited.get(held, 0), settings.learn)
            shares[owner], shares[best] = hazard, 1.0 - hazard
        elif settings.learn.explore != "ema" and len(sound) > 1:
            _spread(shares, candidates, sound, best, _wishes(candidates, averages, settings, situation, sound))
            _bound(shares, best, settings.learn.explore_max)
    index = _drawn(shares, sample)
    return Chosen(index=index, explored=index != best, propensities=tuple(shares), held=held)


def _may_answer(candidate: Candidate, held: Set[str]) -> bool:
    """Whoever is dominated by an agent on probation only is not dominated by one that answers."""
    return not candidate.excluded and (not candidate.dominated_by or candidate.dominated_by in held)


def deserved(candidate: Candidate, weight_success: float) -> float:
    """Its score if it never failed: whose question it is."""
    return candidate.score / max(candidate.success, SUCCESS_MIN) ** weight_success


def probe_hazard(waited: int, rules: LearnSettings) -> float:
    """Probability of a probe after ``waited`` questions without one.

    The number of questions between two probes is near uniform around ``1 / probe_share`` and never below
    ``1 / explore_max``: regular enough that an agent comes back soon, random enough to be evaluated.
    """
    first = math.ceil(1.0 / rules.explore_max)
    last = max(first, math.floor(2.0 / rules.probe_share) - first)
    turn = waited + 1
    if turn < first:
        return 0.0
    return min(rules.hazard_max, 1.0 / max(1, last - turn + 1))


def context_of(candidate: Candidate, complexity: Complexity | None, chars: int) -> tuple[float, ...]:
    """Features of a request for one agent, each in [0, 1]; the first is constant."""
    length = min(1.0, math.log1p(chars) / math.log1p(CHARS))
    cue = 1.0 if candidate.keyword_hits else 0.0
    return (1.0, min(1.0, candidate.intent), COMPLEXITY[complexity], length, cue)


def _wishes(
    candidates: Sequence[Candidate],
    averages: Mapping[str, Averages],
    settings: Settings,
    situation: Situation,
    sound: Sequence[int],
) -> list[float]:
    """Probability with which each of ``sound`` would be chosen if there were no bound."""
    worth = [deserved(candidates[i], settings.routing.weight_success) for i in sound]
    rules = settings.learn
    if rules.explore == "thompson":
        fresh = Averages(success=rules.prior)
        return thompson(worth, [averages.get(candidates[i].agent, fresh) for i in sound], rules)
    names = [candidates[i].agent for i in sound]
    known = [(situation.moments.get(name, ()), situation.contexts.get(name, ())) for name in names]
    bounds = [w * upper_bound(*about, rules) for w, about in zip(worth, known, strict=True)]
    top = bounds.index(max(bounds))
    return [1.0 if n == top else 0.0 for n in range(len(sound))]


def thompson(worth: Sequence[float], averages: Sequence[Averages], rules: LearnSettings) -> list[float]:
    """Probability that each has the highest worth × success, success being Beta by what was seen of it.

    That is what drawing once from each posterior does; here it is integrated, so that the propensity is known.
    An average forgets, so it never stands for more than 2 / alpha - 1 outcomes.
    """
    most = 2.0 / rules.alpha - 1.0
    top = max(worth)
    if top <= 0.0:
        return [1.0 / len(worth)] * len(worth)
    worth = [max(w, top / GRID) for w in worth]  # the density of anything narrower falls between two points
    edges = np.linspace(0.0, top, GRID + 1)
    middles = (edges[1:] + edges[:-1]) / 2.0
    counts = [min(float(a.count), most) for a in averages]
    masses = [_beta_mass(middles / w, a.success * n, n) for w, a, n in zip(worth, averages, counts, strict=True)]
    below = [np.cumsum(mass) - mass / 2.0 for mass in masses]
    wins = [
        float((mass * np.prod([b for j, b in enumerate(below) if j != i], axis=0)).sum())
        for i, mass in enumerate(masses)
    ]
    total = sum(wins)
    return [win / total for win in wins]


def upper_bound(moments: tuple[float, ...], context: tuple[float, ...], rules: LearnSettings) -> float:
    """Expected success in ``context`` plus ``context_width`` deviations, within [0, 1]; 1 for the unknown."""
    size = len(context)
    if not size or len(moments) != size * (size + 1):
        return 1.0
    x = np.asarray(context)
    seen = np.asarray(moments[: size * size]).reshape(size, size) + np.eye(size)
    spread = np.linalg.solve(seen, x)
    mean = float(spread @ np.asarray(moments[size * size :]))
    return max(0.0, min(1.0, mean + rules.context_width * math.sqrt(max(0.0, float(x @ spread)))))


def _beta_mass(success: NDArray[np.float64], good: float, count: float) -> NDArray[np.float64]:
    """Mass of Beta(1 + good, 1 + count - good) at each point, 0 beyond 1; adds up to 1."""
    inside = success < 1.0
    s = np.where(inside, success, 0.5)
    logs = np.where(inside, good * np.log(s) + (count - good) * np.log1p(-s), -np.inf)
    mass = np.exp(logs - logs.max())
    return mass / mass.sum()


def _spread(
    shares: list[float], candidates: Sequence[Candidate], sound: Sequence[int], best: int, wishes: Sequence[float]
) -> None:
    shares[best] = 0.0
    for i, wish in zip(sound, wishes, strict=True):
        shares[i] = wish if candidates[i].score > 0 else 0.0
    shares[best] += 1.0 - sum(shares)


def _bound(shares: list[float], best: int, most: float) -> None:
    """Give the best whatever the others have together beyond ``most``."""
    others = sum(share for i, share in enumerate(shares) if i != best)
    if others > most:
        for i in range(len(shares)):
            shares[i] *= most / others
        shares[best] = 1.0 - most


def _drawn(shares: Sequence[float], sample: float) -> int:
    """The candidate in whose part of [0, 1) ``sample`` falls."""
    passed, last = 0.0, 0
    for i, share in enumerate(shares):
        if share > 0.0:
            last = i
            passed += share
            if sample < passed:
                return i
    return last
