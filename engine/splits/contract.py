"""What replicas share about an experiment: counters per arm, and arms that were rolled back. Protocol and values.

``engine/splits/redis_splits.py`` and its twin ``engine/splits/inmemory.py`` implement it, under
``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from configs.splits import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums over measurements, from which mean and variance follow; adding two is exact for both sides."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, value: float) -> Moments:
        """One measurement."""
        return cls(count=1, total=value, squares=value * value)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            count=self.count + other.count, total=self.total + other.total, squares=self.squares + other.squares
        )

    @property
    def mean(self) -> float:
        """0 without measurements."""
        return self.total / self.count if self.count else 0.0

    @property
    def variance(self) -> float:
        """Of one measurement, unbiased; 0 for fewer than two."""
        if self.count < 2:
            return 0.0
        return max(0.0, (self.squares - self.total * self.mean) / (self.count - 1))


NOTHING = Moments()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmStats:
    """How the requests of one arm have gone."""

    requests: int = 0
    errors: int = 0
    """Not answered, or not by the agent and model that were meant."""
    cost_micros: Moments = NOTHING
    latency_ms: Moments = NOTHING
    """Of the requests without an error."""
    quality: Moments = NOTHING
    """Where somebody judged the answer, in [0, 1]."""

    def __add__(self, other: ArmStats) -> ArmStats:
        return ArmStats(
            requests=self.requests + other.requests,
            errors=self.errors + other.errors,
            cost_micros=self.cost_micros + other.cost_micros,
            latency_ms=self.latency_ms + other.latency_ms,
            quality=self.quality + other.quality,
        )


NO_STATS = ArmStats()


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """An arm gets no traffic until a person resumes it."""

    reason: str
    at_s: float
    """On the store's own clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One experiment as the store has it."""

    age_s: float
    """Since it was first seen, on the store's own clock."""
    stats: Mapping[str, ArmStats] = field(default_factory=dict[str, ArmStats])
    """By arm, ``control`` among them; one that was never counted is missing."""
    halted: Mapping[str, Halt] = field(default_factory=dict[str, Halt])
    """By arm."""


class SplitState(Protocol):
    """Where experiments live. Every method is one atomic step and raises ``BackendUnavailable``.

    An experiment is known by name and salt: another salt is another experiment.
    """

    async def add(self, experiment: Experiment, counts: Mapping[str, ArmStats]) -> Standing:
        """Count, possibly nothing, and look: the experiment begins with the first call."""
        ...

    async def halt(self, experiment: Experiment, arm: str, reason: str) -> bool:
        """Take the traffic of ``arm`` away; whether it had any. The first reason stays."""
        ...

    async def resume(self, experiment: Experiment, arm: str) -> bool:
        """Give it back and forget everybody's counters, so that it is judged anew; whether it was halted."""
        ...
