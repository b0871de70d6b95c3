"""Settings of experiments: shares of traffic that try something else, and what ends that (route.split).

Part of ``configs.settings``, split off for size; their defaults live here.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from configs.section import Name, Section, Share

CONTROL = "control"
"""The part of the traffic that no arm has."""
ROUNDING = 1e-9


class Step(Section):
    """A smaller share while an arm is young."""

    until_s: PositiveFloat
    """Seconds since the experiment began."""
    share: Share


class Arm(Section):
    """One side of an experiment."""

    name: Name
    share: Share
    """Part of the traffic; what the arms leave over is the control group."""
    agents: dict[Name, Name] = Field(default={})
    """Agent that was chosen → agent that answers instead."""
    models: dict[Name, Name] = Field(default={})
    """Model of the chain → model that is asked instead."""
    rollout: tuple[Step, ...] = ()
    """By rising ``until_s``; ``share`` counts after the last one."""

    @model_validator(mode="after")
    def _sound(self) -> Arm:
        if self.name == CONTROL:
            raise ValueError(f"an arm cannot be called {CONTROL}: that is the rest of the traffic")
        if not self.agents and not self.models:
            raise ValueError("agents or models is required: the arm would change nothing")
        for before, after in pairwise(self.rollout):
            if after.until_s <= before.until_s:
                raise ValueError("rollout: every until_s must be later than the one before it")
        if any(step.share > self.share for step in self.rollout):
            raise ValueError("rollout: a step has a larger share than the arm ends with")
        return self


class GuardRails(Section):
    """What an arm may do worse than the control group before it is rolled back. ``None``: anything."""

    min_requests: PositiveInt = 50
    """Of the arm and of the control group, before anything is concluded."""
    max_error_rise: Share | None = 0.02
    """How much more of its requests may fail or need a fallback."""
    max_cost_ratio: PositiveFloat | None = 1.5
    max_latency_ratio: PositiveFloat | None = 2.0
    """Of the requests that it answered by itself."""
    min_quality_ratio: Share | None = 0.9
    false_alarm_max: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.05
    """Probability that an arm which keeps to all of this is ever rolled back, however often it is looked at."""


class Experiment(Section):
    """Sticky shares of traffic with automatic roll-back (route.split)."""

    name: Name
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    enabled: bool = True
    by: Literal["user", "tenant", "request"] = "user"
    """Whose requests stay on one arm."""
    salt: Annotated[str, Field(max_length=64)] = ""
    """Change it to begin anew: everybody is assigned again, and nothing that was counted before counts."""
    rails: GuardRails = GuardRails()

    @model_validator(mode="after")
    def _sound(self) -> Experiment:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError("two arms have the same name")
        if sum(arm.share for arm in self.arms) > 1.0 + ROUNDING:
            raise ValueError("the shares of the arms exceed 1")
        return self


class SplitSettings(Section):
    """How replicas agree on experiments, in ``redis.state``."""

    refresh_s: PositiveFloat = 1.0
    """How often counters are sent, what the others counted is fetched, and arms are judged."""
    timeout_s: PositiveFloat = 1.0
    """How long one of these takes at most."""
