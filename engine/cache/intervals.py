"""Intervals of a share of which a few cases are known, in plain arithmetic. Pure.

Clopper-Pearson is exact: it covers at least as often as it says. Wilson is shorter, and covers about as often.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist
from typing import Final

HALVINGS: Final = 40
TERMS: Final = 500
TINY: Final = 1e-300
CLOSE: Final = 1e-14


@lru_cache(maxsize=1_024)
def clopper_pearson(wrong: int, count: int, confidence: float) -> tuple[float, float]:
    """Ends of the interval of ``wrong`` out of ``count``; everything is possible without cases.

    Source: Clopper and Pearson, Biometrika 26 (1934). Raises ``ValueError`` unless 0 <= wrong <= count.
    """
    if not 0 <= wrong <= count:
        raise ValueError(f"{wrong} of {count} is no share")
    if count == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if wrong == 0 else _where(lambda p: beta_share(wrong, count - wrong + 1, p), tail)
    high = 1.0 if wrong == count else _where(lambda p: beta_share(wrong + 1, count - wrong, p), 1.0 - tail)
    return low, high


def wilson(wrong: int, count: int, confidence: float) -> tuple[float, float]:
    """Ends of the interval of ``wrong`` out of ``count``. Source: Wilson, JASA 22 (1927). Raises as the other."""
    if not 0 <= wrong <= count:
        raise ValueError(f"{wrong} of {count} is no share")
    if count == 0:
        return 0.0, 1.0
    z, share = NormalDist().inv_cdf(0.5 + confidence / 2.0), wrong / count
    scale = 1.0 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z * math.sqrt(share * (1.0 - share) / count + z * z / (4 * count * count)) / scale
    return (max(0.0, middle - half) if wrong else 0.0), (min(1.0, middle + half) if wrong < count else 1.0)


def is_above(wrong: int, count: int, share: float, confidence: float) -> bool:
    """Whether the exact interval of ``wrong`` out of ``count`` lies above ``share``; cheaper than its ends."""
    return wrong > 0 and beta_share(wrong, count - wrong + 1, share) < (1.0 - confidence) / 2.0


def beta_share(a: float, b: float, x: float) -> float:
    """Regularised incomplete beta function I_x(a, b) for a, b > 0 and x in [0, 1].

    By its continued fraction (Abramowitz and Stegun 26.5.8), on the side where that converges fast.
    """
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    """By Lentz's rule: products of numerators over denominators, none of which may be zero."""
    above, below = 1.0, 1.0 / _not_zero(1.0 - (a + b) * x / (a + 1.0))
    value = below
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        below = 1.0 / _not_zero(1.0 + even * below)
        above = _not_zero(1.0 + even / above)
        value *= below * above
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        below = 1.0 / _not_zero(1.0 + odd * below)
        above = _not_zero(1.0 + odd / above)
        change = below * above
        value *= change
        if abs(change - 1.0) < CLOSE:
            break
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY


def _where(rising: Callable[[float], float], level: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2.0
