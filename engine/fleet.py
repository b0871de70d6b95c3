"""What all replicas of an engine share besides breakers and queue: averages, registrations, experiments.

Each lives in ``redis.state``, opened when first needed, and goes on in this process alone while that is gone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from agents.roster import Roster
from configs.settings import Settings
from engine.learning.learned import LearnedAverages
from engine.learning.redis_outcomes import RedisOutcomes
from engine.redis_state import StateRedis
from engine.registry.redis_registry import RedisRegistry
from engine.registry.sync import RegistrySync
from engine.splits.running import Splits


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One replica's share of it. Needs ``aclose``, before ``StateRedis.aclose``."""

    learned: LearnedAverages
    registry: RegistrySync
    splits: Splits

    @property
    def degraded(self) -> dict[str, str]:
        """What is not shared right now, and why."""
        parts = (
            ("averages", self.learned.degraded),
            ("registry", self.registry.degraded),
            ("experiments", self.splits.degraded),
        )
        return {name: why for name, why in parts if why}

    async def aclose(self) -> None:
        """Send what waits and stop."""
        await self.splits.aclose()
        await self.learned.aclose()
        await self.registry.aclose()


def fleet_of(settings: Settings, state: StateRedis, roster: Roster) -> Fleet:
    """The fleet as ``settings`` say. Starts nothing."""

    async def outcomes() -> RedisOutcomes:
        return RedisOutcomes(await state.client(), settings.learn, timeout_s=settings.redis.timeout_s)

    async def registry() -> RedisRegistry:
        return RedisRegistry(await state.client(), settings.registry, missed=state.missed)

    return Fleet(
        learned=LearnedAverages(settings.learn, outcomes, clock=time.monotonic),
        registry=RegistrySync(roster, registry, settings.registry, settings.agents),
        splits=Splits(settings.experiments, settings.splits, state.splits, clock=time.monotonic),
    )
