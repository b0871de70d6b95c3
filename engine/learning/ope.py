"""What another policy would have achieved, from decisions that were recorded (off-policy evaluation). Pure.

Inverse propensity scoring: an outcome counts as often as the other policy would have caused it, relative to how
often ours did (Horvitz and Thompson 1952; self-normalised: Swaminathan and Joachims 2015). Rows without the
propensity of every candidate are refused: without it nothing can be said about choices that were not made. Where
the other policy would choose somebody who had no chance, nothing is known either: ``covered`` says how often it
was otherwise, and the estimate is of those rows. The rows come from a ``HistoryReader``; nothing is read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.errors import InvalidInput

Z95: Final = 1.959963984540054
"""Of a normal interval at 95 %."""
ROUNDING: Final = 1e-6
"""By how much propensities may miss a sum of 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One candidate as it was recorded."""

    agent: str
    score: float
    intent: float
    success: float
    cost: float
    latency: float
    propensity: float
    excluded: bool = False
    """Ruled out by a constraint, or dominated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRow:
    """One decision and what came of it, as reports need it."""

    at_s: float
    """Seconds since 1970."""
    agent: str
    """Who was chosen, not who answered in the end."""
    ok: bool | None
    """Whether that agent answered; ``None`` when the outcome says nothing about it."""
    latency_ms: float | None = None
    cost_micros: float | None = None
    confidence: float | None = None
    out_of_scope: bool = False
    explored: bool = False
    wanted: str = "single"
    """Strategy that the policy asked for."""
    arm: str = ""
    """``experiment/arm``; empty: no experiment."""
    options: tuple[Option, ...] = ()
    """Candidates in the order of the decision; empty for an agent that was asked for by name."""


class HistoryReader(Protocol):
    """Decisions that were recorded."""

    def rows(self, since_s: float, limit: int) -> Iterator[DecisionRow]:
        """The latest ``limit`` rows at most from ``since_s`` (seconds since 1970) on, oldest first."""
        ...


Policy = Callable[[Sequence[Option]], int]
"""Position of the option that it chooses."""


def _greedy(options: Sequence[Option]) -> int:
    return _best(options, lambda o: o.score)


def _by_intent(options: Sequence[Option]) -> int:
    return _best(options, lambda o: o.intent)


def _by_success(options: Sequence[Option]) -> int:
    return _best(options, lambda o: o.intent * o.success)


def _cheapest(options: Sequence[Option]) -> int:
    return _best(options, lambda o: o.intent * o.cost)


POLICIES: Final[dict[str, Policy]] = {
    "greedy": _greedy,
    "intent": _by_intent,
    "success": _by_success,
    "cheap": _cheapest,
}
"""``greedy``: the score, nobody is on probation; ``intent``: whoever fits best, however it does; ``success``:
intent times success in full; ``cheap``: intent times the cost factor in full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Mean reward of a policy."""

    rows: int
    value: float | None
    """Self-normalised; ``None`` when no recorded choice agrees with the policy."""
    low: float
    high: float
    """Interval of ``value`` at 95 %."""
    ips: float
    """Not normalised: unbiased, and not bounded by the rewards."""
    effective: float
    """Effective sample size (Kish): how many rows of the policy's own this is worth."""
    agreed: float
    """Share of rows in which the policy would have chosen as we did."""
    covered: float
    """Share of rows in which whom the policy would choose had a chance; the estimate is of these."""
    decided: float | None
    """Success of what was decided in these rows, to compare ``value`` with."""


def usable(row: DecisionRow) -> bool:
    """Whether a row can enter an estimate: it has an outcome and options were compared."""
    return row.ok is not None and bool(row.options)


def estimate(rows: Iterable[DecisionRow], policy: Policy) -> Estimate:
    """Success that ``policy`` would have had, by inverse propensity.

    Rows without an outcome or without options are left out. Raises ``InvalidInput`` for a row whose propensities
    are missing (``no_propensities``) and when no row is left (``no_rows``).
    """
    weights, rewards, agreed, decided = list[float](), list[float](), 0, list[bool]()
    for row in rows:
        if not usable(row):
            continue
        propensity = _propensity(row)
        wanted = row.options[policy(row.options)]
        same = wanted.agent == row.agent
        agreed += same
        if wanted.propensity > 0.0:
            decided.append(bool(row.ok))
        weights.append(1.0 / propensity if same else 0.0)
        rewards.append(1.0 if row.ok else 0.0)
    if not weights:
        raise InvalidInput(
            "no recorded decision has both an outcome and candidates", hint="serve some requests", code="no_rows"
        )
    return _estimated(weights, rewards, agreed, decided)


def wilson(share: float, count: float) -> tuple[float, float]:
    """Interval of a share of ``count`` at 95 % (Wilson 1927)."""
    if count <= 0:
        return 0.0, 1.0
    z2 = Z95 * Z95 / count
    middle = (share + z2 / 2.0) / (1.0 + z2)
    half = Z95 * math.sqrt(share * (1.0 - share) / count + z2 / (4.0 * count)) / (1.0 + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _estimated(
    weights: Sequence[float], rewards: Sequence[float], agreed: int, decided: Sequence[bool]
) -> Estimate:
    count, total = len(weights), sum(weights)
    share = len(decided) / count
    mean = sum(decided) / len(decided) if decided else None
    if total <= 0.0:
        return Estimate(
            rows=count,
            value=None,
            low=0.0,
            high=1.0,
            ips=0.0,
            effective=0.0,
            agreed=0.0,
            covered=share,
            decided=mean,
        )
    earned = sum(w * r for w, r in zip(weights, rewards, strict=True))
    value = earned / total
    effective = total**2 / sum(w * w for w in weights)
    # Delta method for a ratio of means.
    variance = sum((w * (r - value)) ** 2 for w, r in zip(weights, rewards, strict=True)) / total**2
    low, high = wilson(value, effective)
    if variance > 0.0:  # else all rewards are alike, and a normal interval would have no width
        half = Z95 * math.sqrt(variance)
        low, high = min(low, max(0.0, value - half)), max(high, min(1.0, value + half))
    return Estimate(
        rows=count,
        value=value,
        low=low,
        high=high,
        ips=earned / count,
        effective=effective,
        agreed=agreed / count,
        covered=share,
        decided=mean,
    )


def has_propensities(row: DecisionRow) -> bool:
    """Whether the probability of every candidate was recorded."""
    return _own(row) is not None


def _own(row: DecisionRow) -> float | None:
    """Probability of who was chosen; ``None`` when those that were recorded are no probabilities."""
    total = sum(o.propensity for o in row.options)
    own = next((o.propensity for o in row.options if o.agent == row.agent), 0.0)
    return own if own > 0.0 and abs(total - 1.0) <= ROUNDING else None


def _propensity(row: DecisionRow) -> float:
    own = _own(row)
    if own is None:
        raise InvalidInput(
            f"a decision for {row.agent} was recorded without the probability of every candidate",
            hint="only decisions made with learn.enabled can be evaluated",
            code="no_propensities",
        )
    return own


def _best(options: Sequence[Option], worth: Callable[[Option], float]) -> int:
    """The highest; of equals the first."""
    free = [i for i, o in enumerate(options) if not o.excluded] or list(range(len(options)))
    return max(free, key=lambda i: worth(options[i]))
