"""What the router decided and what came of it, summed up for people. Pure.

From the rows of a ``HistoryReader``; what another policy would have done is in ``engine/learning/ope.py``.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from engine.learning.ope import DecisionRow, wilson

BINS: Final = 10
"""Of confidence, equally wide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Requests of one agent, one arm, or all. ``None`` where nothing is known."""

    name: str
    requests: int
    share: float
    """Of all requests."""
    known: int
    """Requests whose outcome says something about the agent."""
    success: float | None
    success_low: float
    success_high: float
    """Interval at 95 % (Wilson)."""
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    cost_micros: float | None
    """Mean per request that was answered."""
    confidence: float | None
    """Mean."""
    explored: float
    out_of_scope: float
    """Shares of these requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Decisions of about the same confidence: are they right as often as they say?"""

    low: float
    high: float
    rows: int
    confidence: float
    success: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The whole table."""

    total: Line
    agents: tuple[Line, ...]
    """By falling number of requests."""
    arms: tuple[Line, ...]
    wanted: Mapping[str, int]
    """Strategy that the policy asked for, and how often."""
    reliability: tuple[Bin, ...]
    """Only bins that somebody is in."""
    calibration_error: float | None
    """Mean distance between confidence and success, weighted by rows."""


def summary(rows: Sequence[DecisionRow]) -> Summary:
    """Sum up. Without rows everything is empty."""
    count = len(rows)
    bins = _bins([row for row in rows if row.ok is not None and row.confidence is not None and row.options])
    binned = sum(b.rows for b in bins)
    return Summary(
        total=_line("all", rows, count),
        agents=_lines(rows, lambda row: row.agent, count),
        arms=_lines([row for row in rows if row.arm], lambda row: row.arm, count),
        wanted=dict(Counter(row.wanted for row in rows).most_common()),
        reliability=bins,
        calibration_error=sum(b.rows * abs(b.confidence - b.success) for b in bins) / binned if binned else None,
    )


def quantile(values: Sequence[float], share: float) -> float | None:
    """Nearest rank: the smallest value that at least this share is not above."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _lines(rows: Sequence[DecisionRow], key: Callable[[DecisionRow], str], count: int) -> tuple[Line, ...]:
    groups: dict[str, list[DecisionRow]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    lines = [_line(name, group, count) for name, group in groups.items()]
    return tuple(sorted(lines, key=lambda line: (-line.requests, line.name)))


def _line(name: str, rows: Sequence[DecisionRow], count: int) -> Line:
    outcomes = [row.ok for row in rows if row.ok is not None]
    latencies = [row.latency_ms for row in rows if row.latency_ms is not None]
    success = _mean([float(ok) for ok in outcomes])
    low, high = wilson(success or 0.0, len(outcomes))
    return Line(
        name=name,
        requests=len(rows),
        share=len(rows) / count if count else 0.0,
        known=len(outcomes),
        success=success,
        success_low=low,
        success_high=high,
        latency_p50_ms=quantile(latencies, 0.5),
        latency_p95_ms=quantile(latencies, 0.95),
        cost_micros=_mean([row.cost_micros for row in rows if row.cost_micros is not None]),
        confidence=_mean([row.confidence for row in rows if row.confidence is not None]),
        explored=_mean([float(row.explored) for row in rows]) or 0.0,
        out_of_scope=_mean([float(row.out_of_scope) for row in rows]) or 0.0,
    )


def _bins(rows: Sequence[DecisionRow]) -> tuple[Bin, ...]:
    groups: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for row in rows:
        if row.confidence is not None and row.ok is not None:
            groups[min(BINS - 1, int(row.confidence * BINS))].append((row.confidence, row.ok))
    return tuple(
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            rows=len(pairs),
            confidence=sum(confidence for confidence, _ in pairs) / len(pairs),
            success=sum(ok for _, ok in pairs) / len(pairs),
        )
        for number, pairs in sorted(groups.items())
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
