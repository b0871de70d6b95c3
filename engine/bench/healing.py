"""``switchgear bench healing``: an agent fails for a while; how soon routing leaves it, and how soon it is back.

Many seeds of ``engine/bench/healing_world.py``, the worst and the median of each figure. ``--out`` plots the share
of the agent and the regret beside that of fixed routing. Seeded, and no time is measured: the same everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Final

from configs.settings import Settings
from engine.bench import healing_world as world
from engine.bench.healing_world import Run, Scene, first, share
from engine.bench.report import Report, report

SEEDS: Final = 200
TWIN_SEEDS: Final = 20
TWIN_REQUESTS: Final = 2_000
FAILS, RECOVERS, ENDS = 100, 400, 800
WINDOW: Final = 50
"""Requests over which a share is taken."""
FAILING, HEALTHY = 0.4, 0.99
LEFT, BACK = 0.1, 0.8
ALONE, REPLICAS, DELAY = 1, 4, 4
STRATEGIES: Final = ("thompson", "linucb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Healed:
    """One seed in numbers."""

    to_left: int
    """Requests of failing until fewer than ``LEFT`` of the next ``WINDOW`` go to the agent."""
    share_at_50: float
    """Its share of requests 51 to 100 of failing."""
    share_failing: float
    """Its share from request 51 of failing until it recovers."""
    to_back: int
    """Requests after recovery until at least ``BACK`` of the next ``WINDOW`` go to it."""
    share_at_100: float
    """Its share of requests 101 to 150 after recovery."""
    explored: float
    """Share of all requests that were answered by somebody else than the best, to learn."""
    regret: float
    fixed: float


def run(settings: Settings, on_step: Callable[[str], None], out: Path | None = None) -> Report:
    """Figures over ``SEEDS`` seeds, as many with replicas, and twins that are healthy throughout."""
    on_step("one process")
    runs = [world.run(scene(), settings, seed) for seed in range(SEEDS)]
    figures = figures_of("healing", [healed(r) for r in runs])
    figures["fixed.regret"] = median(r.fixed_regret[-1] for r in runs)
    on_step(f"{REPLICAS} replicas")
    fleet = [healed(world.run(scene(REPLICAS, DELAY), settings, seed)) for seed in range(SEEDS)]
    figures |= figures_of("healing.replicas", fleet)
    for name in STRATEGIES:
        on_step(name)
        other = with_strategy(settings, name)
        figures |= figures_of(
            f"healing.{name}", [healed(world.run(scene(), other, seed)) for seed in range(TWIN_SEEDS)]
        )
    for percent in (99, 90):
        on_step(f"an agent at {percent} %")
        kept = [keeps(settings, percent / 100, seed) for seed in range(TWIN_SEEDS)]
        figures |= {f"healing.keeps_{percent}": fmean(kept), f"healing.keeps_{percent}_worst": min(kept)}
    notes = (
        f"an agent fails {1 - FAILING:.0%} of requests {FAILS + 1} to {RECOVERS}; {SEEDS} seeds, median and worst",
        "regret: successes that the best choice of each moment would have had more; fixed: always that agent",
    )
    if out is not None:
        plot(runs, out)
        notes = (*notes, f"plotted to {out}")
    return report("healing", figures, notes=notes)


def scene(replicas: int = ALONE, delay: int = 0) -> Scene:
    """Healthy, failing, healthy again."""
    return Scene(
        success=lambda n: FAILING if FAILS <= n < RECOVERS else HEALTHY,
        requests=ENDS,
        replicas=replicas,
        delay=delay,
    )


def healed(one: Run) -> Healed:
    """What a seed came to."""
    return Healed(
        to_left=first(one.asked, FAILS, RECOVERS, lambda s: s < LEFT, WINDOW),
        share_at_50=share(one.asked, FAILS + 50, WINDOW),
        share_failing=share(one.asked, FAILS + 50, RECOVERS - FAILS - 50),
        to_back=first(one.asked, RECOVERS, ENDS, lambda s: s >= BACK, WINDOW),
        share_at_100=share(one.asked, RECOVERS + 100, WINDOW),
        explored=share(one.explored, 0, ENDS),
        regret=one.regret[-1],
        fixed=one.fixed_regret[-1],
    )


def keeps(settings: Settings, success: float, seed: int) -> float:
    """Share of its own questions that an agent keeps that is this good throughout."""
    steady = Scene(success=lambda _: success, requests=TWIN_REQUESTS, replicas=ALONE)
    return share(world.run(steady, settings, seed).asked, 0, TWIN_REQUESTS)


def figures_of(prefix: str, all_of: Sequence[Healed]) -> dict[str, float]:
    """Median and worst over the seeds."""
    return {
        f"{prefix}.requests_to_10pct": median(h.to_left for h in all_of),
        f"{prefix}.requests_to_10pct_worst": max(h.to_left for h in all_of),
        f"{prefix}.share_at_50": median(h.share_at_50 for h in all_of),
        f"{prefix}.share_at_50_p95": _p95([h.share_at_50 for h in all_of]),
        f"{prefix}.share_at_50_worst": max(h.share_at_50 for h in all_of),
        f"{prefix}.share_failing": median(h.share_failing for h in all_of),
        f"{prefix}.share_failing_worst": max(h.share_failing for h in all_of),
        f"{prefix}.recovery_requests_to_80pct": median(h.to_back for h in all_of),
        f"{prefix}.recovery_requests_to_80pct_worst": max(h.to_back for h in all_of),
        f"{prefix}.share_at_100_after": median(h.share_at_100 for h in all_of),
        f"{prefix}.share_at_100_after_worst": min(h.share_at_100 for h in all_of),
        f"{prefix}.explored_worst": max(h.explored for h in all_of),
        f"{prefix}.regret": median(h.regret for h in all_of),
        f"{prefix}.regret_worst": max(h.regret for h in all_of),
    }


def with_strategy(settings: Settings, name: str) -> Settings:
    """The same settings, exploring in another way."""
    return settings.model_copy(update={"learn": settings.learn.model_copy(update={"explore": name})})


def plot(runs: Sequence[Run], out: Path) -> None:
    """Share and regret over requests into ``out``; its ending chooses the format (PNG, SVG, PDF)."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second to import

    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    shares = [fmean(r.asked[n] for r in runs) for n in range(ENDS)]
    above.plot(shares)
    above.set_ylabel("share of its questions")
    for level in (LEFT, BACK):
        above.axhline(level, linewidth=0.5, linestyle="--", color="gray")
    below.plot([median(r.regret[n] for r in runs) for n in range(ENDS)], label="switchgear (median)")
    below.plot([max(r.regret[n] for r in runs) for n in range(ENDS)], label="switchgear (worst)", linewidth=0.8)
    below.plot([median(r.fixed_regret[n] for r in runs) for n in range(ENDS)], label="fixed routing")
    below.set_ylabel("regret in successes")
    below.set_xlabel("requests")
    below.legend()
    for axes in (above, below):
        axes.axvspan(FAILS, RECOVERS, alpha=0.1, color="red")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]
