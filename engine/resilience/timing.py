"""How long a breaker stays open or parked. Pure: ``sample`` in [0, 1) is drawn by the caller."""

from __future__ import annotations

import math

from configs.kernel import Outcome
from configs.settings import BreakerSettings

DOUBLINGS_MAX = 64
"""Enough to reach any cap; keeps the power a float for ever."""


def open_for_s(rules: BreakerSettings, opens_in_a_row: int, retry_after_s: float | None, sample: float) -> float:
    """Open time: doubled with each opening in a row, spread by ``jitter``, never over ``open_s_max``.

    At the cap the spread is kept below it, so that replicas do not all come back in the same instant. When the
    other side asked for longer, it gets that, up to ``park_s_max``.
    """
    base = min(rules.open_s_max, rules.open_s * 2.0 ** min(opens_in_a_row - 1, DOUBLINGS_MAX))
    lowest = base * (1.0 - rules.jitter)
    highest = min(rules.open_s_max, base * (1.0 + rules.jitter))
    drawn = lowest + (highest - lowest) * sample
    asked = _readable(retry_after_s)
    return drawn if asked is None else max(drawn, min(asked, rules.park_s_max))


def park_for_s(rules: BreakerSettings, outcome: Outcome, retry_after_s: float | None, sample: float) -> float:
    """Parked time: what a throttle asked for or a little more, the slow re-probe for everything else.

    Clamped to [0, ``park_s_max``]; a throttle that says nothing readable parks for ``open_s`` (fault 13).
    """
    asked = _readable(retry_after_s)
    if outcome is Outcome.THROTTLE:
        wanted = rules.open_s if asked is None else asked
        return min(rules.park_s_max, wanted * (1.0 + rules.jitter * sample))
    slow = rules.reprobe_s * (1.0 + rules.jitter * (2.0 * sample - 1.0))
    return slow if asked is None else max(slow, min(asked, rules.park_s_max))


def _readable(retry_after_s: float | None) -> float | None:
    return None if retry_after_s is None or math.isnan(retry_after_s) else max(0.0, retry_after_s)
