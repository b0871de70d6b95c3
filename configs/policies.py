"""Settings of model policies: in which order the models of a role are asked (route.models, route.adapt).

Part of ``configs.settings``, split off for size; their defaults live here. What they name is checked against the
chains by ``configs.model_references``, and ``engine/routing/models.py`` applies them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, tzinfo
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PositiveInt, model_validator

from configs.kernel import Tier
from configs.section import Name, Section, Share

Models = Annotated[tuple[Name, ...], Field(min_length=1)]
_DAY_MINUTES = 24 * 60


class TimeRule(Section):
    """Other models first at some time of day (route.adapt)."""

    start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """From ``start`` up to ``end`` by the clock on the wall, over midnight when that is earlier."""
    zone: str = "UTC"
    """Name of a time zone, as in ``Europe/Zurich``."""
    models: Models
    """Come first then, in this order."""

    @model_validator(mode="after")
    def _applies(self) -> TimeRule:
        if self.start == self.end:
            raise ValueError("start and end are the same minute, so the rule never applies")
        try:
            zone_of(self.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("zone is no time zone of the IANA database, as in Europe/Zurich") from None
        return self

    def covers(self, minute: int) -> bool:
        """Whether it applies at this minute of the day in its zone, 0 to 1439."""
        start, end = _minute(self.start), _minute(self.end)
        return start <= minute < end if start < end else minute >= start or minute < end


class BudgetRule(Section):
    """Other models once so much of the day's budget is spent (route.adapt)."""

    from_share: Annotated[float, Field(gt=0.0, le=1.0)]
    """Of the daily budget; the last rule that is reached counts."""
    models: tuple[Name, ...] = ()
    """Come first then, in this order."""
    local_only: bool = False
    """Only models that run on this machine or network are asked then."""

    @model_validator(mode="after")
    def _says_something(self) -> BudgetRule:
        if not self.models and not self.local_only:
            raise ValueError("models or local_only is required: the rule would change nothing")
        return self


class LengthRule(Section):
    """Models for prompts up to a length (``by_length``)."""

    up_to: PositiveInt | None = None
    """Tokens of the prompt, estimated; ``None``: any length, for the last rule."""
    models: Models
    """Come first then, in this order."""


PolicyName = Literal[
    "fixed",
    "cheapest",
    "fastest",
    "weighted",
    "round_robin",
    "by_complexity",
    "by_length",
    "by_tier",
    "by_region",
]
TABLES: Mapping[PolicyName, str] = {
    "by_complexity": "complexities",
    "by_length": "lengths",
    "by_tier": "tiers",
    "by_region": "regions",
}
"""The setting that each of these policies reads."""


class RolePolicy(Section):
    """How the models of one role are ordered for one request (route.models, route.adapt)."""

    policy: PolicyName = "fixed"
    """What decides: docs/model-policies.md has an example of each."""
    quality_min: Share = 0.0
    """``cheapest``: models below it, or of unknown ``quality``, come last."""
    probe_every: Annotated[int, Field(ge=2)] = 100
    """``fastest``: every so many-th request asks another model first, to notice one that became faster."""
    complexities: dict[Literal["simple", "medium", "complex"], Models] = Field(default={})
    """``by_complexity``: the models that come first for this kind of work, in this order."""
    lengths: tuple[LengthRule, ...] = ()
    """``by_length``: the first rule whose ``up_to`` holds the prompt counts."""
    tiers: dict[Tier, Models] = Field(default={})
    """``by_tier``: the models that come first for callers of this tier, in this order."""
    regions: tuple[Name, ...] = ()
    """``by_region``: models of these regions come first, in this order; instances too."""
    times: tuple[TimeRule, ...] = ()
    """The first one that applies counts; its models come before the policy's order."""
    budget_rules: tuple[BudgetRule, ...] = ()
    """By rising ``from_share``; they come before everything else."""

    @model_validator(mode="after")
    def _complete(self) -> RolePolicy:
        for policy, table in TABLES.items():
            given = bool(getattr(self, table))
            if policy == self.policy and not given:
                raise ValueError(f"policy {policy} needs {table}")
            if policy != self.policy and given:
                raise ValueError(f"{table} never applies: only policy {policy} reads it")
        if self.quality_min and self.policy != "cheapest":
            raise ValueError("quality_min never applies: only policy cheapest reads it")
        if "probe_every" in self.model_fields_set and self.policy != "fastest":
            raise ValueError("probe_every never applies: only policy fastest reads it")
        _rising("lengths", [rule.up_to for rule in self.lengths])
        _rising("budget_rules", [rule.from_share for rule in self.budget_rules])
        self._distinct_times()
        return self

    def _distinct_times(self) -> None:
        taken: dict[str, set[int]] = {}
        for index, rule in enumerate(self.times):
            minutes = {minute for minute in range(_DAY_MINUTES) if rule.covers(minute)}
            before = taken.setdefault(rule.zone, set())
            if minutes <= before:
                raise ValueError(f"times[{index}] never applies: rules before it have all of its time")
            before |= minutes


def zone_of(name: str) -> tzinfo:
    """The time zone of a rule. Raises ``ZoneInfoNotFoundError``, ``ValueError``, ``OSError``.

    UTC needs no database, which slim containers lack.
    """
    return UTC if name == "UTC" else ZoneInfo(name)


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)


def _rising(name: str, bounds: Sequence[float | None]) -> None:
    """Refuse rules that an earlier one leaves nothing to."""
    for index, (before, bound) in enumerate(pairwise(bounds), start=1):
        if before is None or (bound is not None and bound <= before):
            raise ValueError(f"{name}[{index}] never applies: it must begin above the one before it")
