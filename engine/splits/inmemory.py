"""``SplitState`` in dicts: the twin for tests, and for one process on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from configs.splits import Experiment
from engine.splits.contract import NO_STATS, ArmStats, Halt, Standing


@dataclass
class _Kept:
    began_s: float
    stats: dict[str, ArmStats] = field(default_factory=dict[str, ArmStats])
    halted: dict[str, Halt] = field(default_factory=dict[str, Halt])


class InMemorySplits:
    """Gone with the process."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def add(self, experiment: Experiment, counts: Mapping[str, ArmStats]) -> Standing:
        """Count and look."""
        kept = self._of(experiment)
        for arm, more in counts.items():
            kept.stats[arm] = kept.stats.get(arm, NO_STATS) + more
        return Standing(age_s=self._clock() - kept.began_s, stats=dict(kept.stats), halted=dict(kept.halted))

    async def halt(self, experiment: Experiment, arm: str, reason: str) -> bool:
        """Take its traffic."""
        kept = self._of(experiment)
        fresh = arm not in kept.halted
        kept.halted.setdefault(arm, Halt(reason=reason, at_s=self._clock()))
        return fresh

    async def resume(self, experiment: Experiment, arm: str) -> bool:
        """Give it back."""
        kept = self._of(experiment)
        if kept.halted.pop(arm, None) is None:
            return False
        kept.stats.clear()
        return True

    def _of(self, experiment: Experiment) -> _Kept:
        key = (experiment.name, experiment.salt)
        return self._kept.setdefault(key, _Kept(began_s=self._clock()))
