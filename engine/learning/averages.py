"""How an outcome moves what is known of an agent or model, and how that fades. Pure; ``learn.lua`` is its twin.

Exponential moving averages for comparing, and a sequential test for catching: Page's CUSUM (1954) of the
likelihood ratio between an agent that fails and one that does well. Beyond its mark an agent is *held* (on
probation) and gets probes only, which weigh more; some good ones let it go, so near the mark that a few failures
bring it back. What is known fades with a half-life, so nothing is held against anybody for ever. Only +, -, * and
/ on doubles, in a fixed order, so that the script computes the same bits. Not who is asked: that is
``engine/routing/explore.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from configs.routing import LearnSettings
from engine.learning.contract import RouteResult, Tally

LN2: Final = 0.6931471805599453
TERMS: Final = 12
"""Of the series for 2^-f: enough for 1e-12. A library's ``pow`` may differ between machines by a bit."""
FORGOTTEN: Final = 64.0
"""After so many half-lives nothing is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """The numbers of the sequential test, as logarithms of odds."""

    failure: float
    """What a failure adds to doubt."""
    success: float
    """What a success takes away."""
    held: float
    """Doubt from which an agent is on probation; nobody is doubted more."""
    free: float
    """Doubt at which it is let go."""


def marks(rules: LearnSettings) -> Marks:
    """Those that follow from the settings."""
    return _marks(rules.sound, rules.failing, rules.probation_odds, rules.release_odds)


@lru_cache(maxsize=16)
def _marks(sound: float, failing: float, probation_odds: float, release_odds: float) -> Marks:
    held = math.log(probation_odds)
    return Marks(
        failure=math.log((1.0 - failing) / (1.0 - sound)),
        success=math.log(sound / failing),
        held=held,
        free=held - math.log(release_odds),
    )


def fresh(rules: LearnSettings, now_s: float) -> Tally:
    """Of somebody whom nobody has asked."""
    return Tally(success=rules.prior, evidence=0.0, at_s=now_s)


def kept(rules: LearnSettings, seconds: float) -> float:
    """Share of what was known that is left after so long: 2^(-seconds / half-life)."""
    halves = min(seconds / rules.half_life_s, FORGOTTEN)
    whole = math.floor(halves)
    z = (halves - whole) * LN2
    series = 1.0
    for k in range(TERMS, 0, -1):
        series = 1.0 - z / k * series
    return series * 2.0 ** (0 - whole)


def aged(tally: Tally, rules: LearnSettings, now_s: float) -> Tally:
    """What is left of it at ``now_s``. A clock that went back (a failed-over server) changes nothing."""
    if now_s <= tally.at_s:
        return tally
    left = kept(rules, now_s - tally.at_s)
    doubt = tally.doubt * left
    return replace(
        tally,
        success=rules.prior + (tally.success - rules.prior) * left,
        doubt=doubt,
        evidence=tally.evidence * left,
        at_s=now_s,
        held=tally.held and doubt > marks(rules).free,
        moments=tuple(m * left for m in tally.moments),
    )


def step(tally: Tally | None, result: RouteResult, rules: LearnSettings, now_s: float) -> Tally:
    """What is known after one more result."""
    known = fresh(rules, now_s) if tally is None else aged(tally, rules, now_s)
    success, evidence, moments = known.success, known.evidence, known.moments
    doubt, held = known.doubt, known.held
    if result.ok is not None:
        gain = rules.probe_alpha if held else rules.alpha
        reward = 1.0 if result.ok else 0.0
        success = success + gain * (reward - success)
        evidence = evidence + 1.0
        test = marks(rules)
        doubt = min(test.held, max(0.0, doubt - test.success if result.ok else doubt + test.failure))
        held = doubt > test.free if held else doubt >= test.held
        if result.context:
            moments = learned(moments, result.context, reward, rules)
    return replace(
        known,
        success=success,
        evidence=evidence,
        doubt=doubt,
        held=held,
        moments=moments,
        latency_ms=_moved(known.latency_ms, result.latency_ms, rules.alpha),
        cost_micros=_moved(known.cost_micros, result.cost_micros, rules.alpha),
        quality=_moved(known.quality, result.quality, rules.alpha),
    )


def replay(
    tally: Tally | None, results: Iterable[RouteResult], rules: LearnSettings, now_s: float
) -> Tally | None:
    """``step`` for each of them."""
    for result in results:
        tally = step(tally, result, rules, now_s)
    return tally


def learned(
    moments: tuple[float, ...], context: tuple[float, ...], reward: float, rules: LearnSettings
) -> tuple[float, ...]:
    """Sufficient statistics with one more pair. Those of another number of features are dropped."""
    size = len(context)
    before = moments if len(moments) == size * (size + 1) else (0.0,) * (size * (size + 1))
    left = 1.0 - rules.context_alpha
    products = [x * y for x in context for y in context] + [reward * x for x in context]
    return tuple(m * left + p for m, p in zip(before, products, strict=True))


def _moved(average: float | None, value: float | None, alpha: float) -> float | None:
    if value is None or average is None:
        return average if value is None else value
    return average + alpha * (value - average)
