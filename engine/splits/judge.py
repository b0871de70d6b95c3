"""Whether an arm does harm, is fine, or cannot be told yet. Pure.

Looked at after every second, a test at a fixed level would roll back every arm sooner or later. This one may be
looked at all the time: the difference to control, in standard errors, is compared with a boundary that a random
walk without drift crosses with a small probability in all eternity (normal mixture; Howard, Ramdas, McAuliffe,
Sekhon, Annals of Statistics 49(2), 2021, proposition 6). Guards share the probability of a false alarm.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from configs.splits import GuardRails
from engine.splits.contract import ArmStats, Moments

Action = Literal["keep", "roll_back", "promote"]
CONFIDENT = 1.959963984540054
"""Standard deviations around a mean that hold 95 % of a normal distribution; for intervals in reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What to do with an arm, and why in one line."""

    action: Action
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guard:
    """One thing an arm must not do worse. ``excess`` above 0 is harm, if it is not chance."""

    what: str
    excess: float
    error: float
    """Standard error of ``excess``."""
    size: float
    """Requests behind it, as if both sides had as many."""


def judge(arm: ArmStats, control: ArmStats, rails: GuardRails) -> Verdict:
    """``roll_back`` on proven harm, ``promote`` when every guard is proven to hold, else ``keep``."""
    fewest = min(arm.requests, control.requests)
    if fewest < rails.min_requests:
        return Verdict(action="keep", reason=f"{fewest} of {rails.min_requests} requests on its smaller side")
    guards = list(_guards(arm, control, rails))
    limits = [_boundary(guard.size, rails) * guard.error for guard in guards]
    for guard, limit in zip(guards, limits, strict=True):
        if guard.excess > limit:
            return Verdict(action="roll_back", reason=guard.what)
    open_ = [guard.what for guard, limit in zip(guards, limits, strict=True) if guard.excess > -limit]
    if open_ or not guards:
        return Verdict(action="keep", reason=f"not certain yet: {'; '.join(open_) or 'there are no guard rails'}")
    return Verdict(action="promote", reason="within every guard rail")


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, JASA 22, 1927); (0, 1) without anything counted."""
    if count == 0:
        return 0.0, 1.0
    share, z2 = hits / count, CONFIDENT * CONFIDENT
    middle = share + z2 / (2 * count)
    half = CONFIDENT * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count))
    scale = 1 + z2 / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def interval(moments: Moments) -> tuple[float, float] | None:
    """95 % interval of a mean, by the normal approximation; ``None`` for fewer than two measurements."""
    if moments.count < 2:
        return None
    half = CONFIDENT * math.sqrt(moments.variance / moments.count)
    return moments.mean - half, moments.mean + half


def _guards(arm: ArmStats, control: ArmStats, rails: GuardRails) -> Iterator[_Guard]:
    if rails.max_error_rise is not None:
        yield _errors(arm, control, rails.max_error_rise)
    for name, ours, theirs, limit in (
        ("cost", arm.cost_micros, control.cost_micros, rails.max_cost_ratio),
        ("latency", arm.latency_ms, control.latency_ms, rails.max_latency_ratio),
        ("quality", arm.quality, control.quality, rails.min_quality_ratio),
    ):
        if limit is not None and min(ours.count, theirs.count) >= rails.min_requests:
            yield _ratio(name, ours, theirs, limit)


def _errors(arm: ArmStats, control: ArmStats, rise: float) -> _Guard:
    """Difference of two shares, with the variance that they have when the arm is just on its limit."""
    # Half a request more of each kind: with few of them the shares themselves would leave hardly any variance.
    base = (control.errors + 0.5) / (control.requests + 1)
    worst = min(0.5, max(base + rise, (arm.errors + control.errors + 1) / (arm.requests + control.requests + 2)))
    error = math.sqrt(worst * (1 - worst) / arm.requests + base * (1 - base) / control.requests)
    ours, theirs = arm.errors / arm.requests, control.errors / control.requests
    return _Guard(
        what=f"errors {ours:.1%}, control {theirs:.1%}, allowed {rise:.1%} more",
        excess=ours - theirs - rise,
        error=error,
        size=_size(arm.requests, control.requests),
    )


def _ratio(name: str, arm: Moments, control: Moments, limit: float) -> _Guard:
    """Difference of a mean and ``limit`` times another; for quality the other way round."""
    sign = -1.0 if name == "quality" else 1.0
    variance = arm.variance / arm.count + limit * limit * control.variance / control.count
    return _Guard(
        what=f"{name} {arm.mean:.4g}, control {control.mean:.4g}, allowed {limit:g} times that",
        excess=sign * (arm.mean - limit * control.mean),
        error=math.sqrt(variance),
        size=_size(arm.count, control.count),
    )


def _size(arm: int, control: int) -> float:
    return 2.0 / (1.0 / arm + 1.0 / control)


def _boundary(size: float, rails: GuardRails) -> float:
    """Standard errors that chance ever exceeds with the allowed probability; sharpest at some ``min_requests``."""
    time = size / rails.min_requests
    limits = (rails.max_error_rise, rails.max_cost_ratio, rails.max_latency_ratio, rails.min_quality_ratio)
    level = rails.false_alarm_max / sum(limit is not None for limit in limits)
    return math.sqrt(2.0 * (1.0 + 1.0 / time) * math.log(math.sqrt(1.0 + time) / (2.0 * level) + 1.0))
