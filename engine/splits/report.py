"""How the arms of an experiment compare, for people and programs. What follows from it ``judge`` decides. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from configs.splits import CONTROL, Experiment
from engine.splits.assign import effective_shares
from engine.splits.contract import NO_STATS, ArmStats, Moments, Standing
from engine.splits.judge import interval, judge, wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A share or a mean with its 95 % interval; ``None`` where too little was counted."""

    mean: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmReport:
    """One arm, or the control group."""

    arm: str
    share: float
    """Of the traffic, now."""
    requests: int
    error_rate: Estimate
    cost_micros: Estimate
    latency_ms: Estimate
    """Of the requests without an error."""
    quality: Estimate
    verdict: str
    """``keep``, ``promote``, ``roll_back`` or ``rolled_back``; empty for control."""
    reason: str


def report_of(experiment: Experiment, standing: Standing) -> tuple[ArmReport, ...]:
    """Control first, then the arms in the order of the settings."""
    shares = effective_shares(experiment, standing.age_s, standing.halted.keys())
    control = standing.stats.get(CONTROL, NO_STATS)
    rows = [_row(CONTROL, max(0.0, 1.0 - sum(shares)), control, ("", ""))]
    for arm, share in zip(experiment.arms, shares, strict=True):
        stats = standing.stats.get(arm.name, NO_STATS)
        verdict = judge(stats, control, experiment.rails)
        halt = standing.halted.get(arm.name)
        said = (verdict.action, verdict.reason) if halt is None else ("rolled_back", halt.reason)
        rows.append(_row(arm.name, share, stats, said))
    return tuple(rows)


def _row(arm: str, share: float, stats: ArmStats, said: tuple[str, str]) -> ArmReport:
    low, high = wilson(stats.errors, stats.requests)
    errors = Estimate(mean=stats.errors / stats.requests, low=low, high=high) if stats.requests else NOTHING_KNOWN
    return ArmReport(
        arm=arm,
        share=share,
        requests=stats.requests,
        error_rate=errors,
        cost_micros=_estimate(stats.cost_micros),
        latency_ms=_estimate(stats.latency_ms),
        quality=_estimate(stats.quality),
        verdict=said[0],
        reason=said[1],
    )


NOTHING_KNOWN = Estimate(mean=None)


def _estimate(moments: Moments) -> Estimate:
    if moments.count == 0:
        return NOTHING_KNOWN
    low, high = interval(moments) or (None, None)
    return Estimate(mean=moments.mean, low=low, high=high)
