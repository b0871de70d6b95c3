"""Which strategy a request is worth: one agent, several at once, or refinement in steps (route.strategy). Pure.

Not which agent (``engine/routing/select.py``), not the running (``engine/strategies``). Each strategy has an
expected quality and a cost in answers; the one with the highest worth is wanted. The assumptions are settings
(``StrategySettings``); docs/strategies.md shows what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from configs.routing import LevelShares, StrategySettings
from engine.types import Complexity, Strategy

LEVELS: Final[tuple[Complexity, ...]] = get_args(Complexity)
ORDER: Final[tuple[Strategy, ...]] = ("single", "cascade", "parallel")
"""Of strategies that are worth the same the first is taken."""
UNJUDGED: Final = (0.0, 1.0, 0.0)
"""Work that nobody judged counts as medium."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What one strategy promises for one request."""

    quality: float
    """Expected share of good answers, 0 to 1."""
    cost: float
    """In multiples of one answer of one agent."""
    worth: float
    """``answer_worth × quality - cost``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyChoice:
    """What the policy asks for, and what runs."""

    wanted: Strategy
    runs: Strategy
    """``wanted`` where this engine has it, else ``single``."""
    complexity: Complexity | None
    """``None``: nobody judged it."""
    reason: str
    """One sentence for people."""


def choose_strategy(
    *,
    confidence: float,
    margin: float,
    complexity_probabilities: Sequence[float] | None,
    out_of_scope: bool,
    available: frozenset[Strategy],
    settings: StrategySettings,
) -> StrategyChoice:
    """The strategy for one request.

    ``confidence``: calibrated probability that the chosen agent is right. ``margin``: by how much it exceeds
    that of the second agent. ``complexity_probabilities``: of simple, medium and complex, as the head judges them;
    ``None`` when nobody judged. ``available``: what this engine can run, with ``single`` always.
    """
    level = None if complexity_probabilities is None else _largest(complexity_probabilities)
    if out_of_scope:
        reason = "No specialist is for this, so the general agent answers alone."
        return StrategyChoice(wanted="single", runs="single", complexity=level, reason=reason)
    levels = UNJUDGED if complexity_probabilities is None else complexity_probabilities
    found = prospects(confidence, margin, levels, settings)
    wanted = best(found)
    reason = _reason(wanted, found, confidence, level)
    if wanted in available:
        return StrategyChoice(wanted=wanted, runs=wanted, complexity=level, reason=reason)
    missing = f"{reason} This engine does not have {wanted} yet, so one agent answers."
    return StrategyChoice(wanted=wanted, runs="single", complexity=level, reason=missing)


def best(found: Mapping[Strategy, Prospect]) -> Strategy:
    """The strategy of the highest worth."""
    return max(ORDER, key=lambda name: found[name].worth)


def prospects(
    confidence: float, margin: float, levels: Sequence[float], settings: StrategySettings
) -> Mapping[Strategy, Prospect]:
    """Quality, cost and worth of every strategy.

    ``single``: the right agent does well as often as ``good`` says for work of this kind, a wrong one as
    often as ``misrouted``. ``parallel``: the right one is among the three asked (``reach``), and its answer is
    recognised as the best with probability ``judged``. ``cascade``: like ``single``, as ``refined`` says.
    """
    good, refined, missed = _mean(settings.good, levels), _mean(settings.refined, levels), settings.misrouted
    found = reach(confidence, margin) * settings.judged
    qualities: dict[Strategy, tuple[float, float]] = {
        "single": (confidence * good + (1.0 - confidence) * missed, 1.0),
        "cascade": (confidence * refined + (1.0 - confidence) * missed, settings.cascade_cost),
        "parallel": (found * good + (1.0 - found) * missed, settings.parallel_cost),
    }
    return {
        name: Prospect(quality=quality, cost=cost, worth=settings.answer_worth * quality - cost)
        for name, (quality, cost) in qualities.items()
    }


def reach(confidence: float, margin: float) -> float:
    """Probability that the right agent is among the first three, which is known of the first two only.

    The third is taken to be as likely as the second, as far as probability is left (decision 21: how far that is
    from what was counted).
    """
    second = max(0.0, min(confidence - margin, 1.0 - confidence))
    return confidence + second + min(second, 1.0 - confidence - second)


def _mean(shares: LevelShares, levels: Sequence[float]) -> float:
    simple, medium, hard = levels
    return simple * shares.simple + medium * shares.medium + hard * shares.complex


def _largest(levels: Sequence[float]) -> Complexity:
    return max(LEVELS, key=lambda name: levels[LEVELS.index(name)])


def _reason(
    wanted: Strategy, found: Mapping[Strategy, Prospect], confidence: float, level: Complexity | None
) -> str:
    gain = found[wanted].quality - found["single"].quality
    paid = found[wanted].cost - found["single"].cost
    work = f"the work looks {level}" if level else "how much work it is was not judged"
    if wanted == "parallel":
        return (
            f"The choice is unsure (confidence {confidence:.2f}), so three agents compete: "
            f"{gain:+.2f} in expected quality for {paid:g} more answers."
        )
    if wanted == "cascade":
        return (
            f"{work.capitalize()}, so the answer is refined in steps: {gain:+.2f} in expected quality "
            f"for {paid:g} more answers."
        )
    return f"Confidence is {confidence:.2f} and {work}: more answers than one are not worth their cost."
