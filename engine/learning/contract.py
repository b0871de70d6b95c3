"""What is learned from outcomes, and where it is kept. Protocol and values, no implementation.

``engine/learning/inmemory.py`` is the twin in this process, ``redis_outcomes.py`` the one all replicas share. How
an outcome moves an average is in ``averages.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.types import Averages


def agent_subject(agent: str) -> str:
    """Under what an agent's outcomes are kept."""
    return f"agent:{agent}"


def model_subject(model: str) -> str:
    """Under what a model's outcomes are kept; ``model`` is its id in the settings."""
    return f"model:{model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteResult:
    """What one attempt says about one agent or model."""

    subject: str
    """``agent:<name>`` or ``model:<id>``."""
    ok: bool | None
    """``None``: says nothing about it (cancelled, the caller's fault)."""
    latency_ms: float | None = None
    cost_micros: float | None = None
    """Micro-dollars."""
    quality: float | None = None
    """In [0, 1], by whoever judged the answer."""
    context: tuple[float, ...] = ()
    """Features of the request for ``linucb`` (``engine.routing.explore.context_of``); empty: do not learn them."""

    @property
    def says_nothing(self) -> bool:
        """Whether there is nothing to learn from it."""
        return self.ok is self.latency_ms is self.cost_micros is self.quality is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What is kept of one agent or model."""

    success: float
    evidence: float
    """Outcomes that went into ``success``, older ones counting less and less."""
    at_s: float
    """Time of the last result, by the clock of whoever keeps it."""
    doubt: float = 0.0
    """Logarithm of the odds that it fails rather than does well, by its latest outcomes; never below 0."""
    held: bool = False
    """On probation."""
    latency_ms: float | None = None
    cost_micros: float | None = None
    quality: float | None = None
    moments: tuple[float, ...] = ()
    """Sufficient statistics of ``linucb``: Σ x xᵀ row by row, then Σ r x; d × (d + 1) numbers for d features."""

    def averages(self) -> Averages:
        """As the rest of the engine knows it."""
        return Averages(
            success=self.success,
            latency_ms=self.latency_ms,
            cost_micros=self.cost_micros,
            count=round(self.evidence),
            quality=self.quality,
            held=self.held,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a store keeps of some subjects at one moment of its clock, not aged to it."""

    now_s: float
    tallies: Mapping[str, Tally]
    """One that nobody has used may be missing."""


class Outcomes(Protocol):
    """Averages of agents and models. Raises ``BackendUnavailable`` when they cannot be asked."""

    async def record(self, results: Sequence[RouteResult]) -> Standing:
        """Count results, all of them or none; what is kept of their subjects afterwards."""
        ...

    async def look(self, subjects: Sequence[str]) -> Standing:
        """What is kept of ``subjects``."""
        ...

    async def averages(self, subjects: Sequence[str]) -> Mapping[str, Averages]:
        """How ``subjects`` are doing now; one that nobody has used may be missing."""
        ...
