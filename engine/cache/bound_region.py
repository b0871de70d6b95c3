"""What observations alone say of one entry at one score: the confidence region of a logistic curve. Pure.

vCache (arXiv 2502.03771) takes, for every confidence 1 - ε, the worst curve that the observations still allow,
and believes (1 - ε) of what that curve says; the best ε counts. Here the region is that of the likelihood ratio:
curves whose likelihood is at least ε of the best one's. For threshold and slope together this is the region of
confidence 1 - ε (Wilks: half of a chi-square of two degrees exceeds ln 1/ε with probability ε), and for one share
it holds for any number of observations (Chernoff). The slope is as unknown as the threshold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
STEP: Final = 0.5
"""Log-odds within which observations are one."""
LEVELS: Final[Floats] = np.arange(-4.0, 9.01, 0.25)
"""Log-odds of being right, at the score asked about."""
SLOPES: Final[Floats] = np.array((0.0, 0.5, 1.0, 2.0, 4.0))
"""Log-odds of being right per log-odds of the score; 1: as the verifier says."""
FLAT: Final = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """At one score."""

    believed: float
    """Log-odds of being right, of the likeliest curve; of several the worst."""
    slope: float
    surely: float
    """Probability of being right that may be relied on: α of the paper, in [0, 1)."""


def region_at(asked: float, observed: Sequence[tuple[float, bool]]) -> Region:
    """What ``observed``, pairs of log-odds of a score and whether it was right, say about ``asked``, log-odds too.

    At least one pair.
    """
    likelihood = _likelihood(asked, observed)
    profile = likelihood.max(axis=1)
    best = float(profile.max())
    # Where the likelihood is flat, nothing has been observed that tells, and the worst of the best is believed.
    point = int(np.argmax(profile >= best - FLAT))
    doubt = np.maximum.accumulate(np.exp(np.minimum(profile - best, 0.0)))
    shares = 1.0 / (1.0 + np.exp(-LEVELS))
    return Region(
        believed=float(LEVELS[point]),
        slope=float(SLOPES[int(np.argmax(likelihood[point]))]),
        surely=float(np.max((1.0 - doubt) * shares)),
    )


def _likelihood(asked: float, observed: Sequence[tuple[float, bool]]) -> Floats:
    """Log-likelihood by level (rows) and slope (columns)."""
    groups = Counter((round((odds - asked) / STEP) * STEP, right) for odds, right in observed)
    away = np.array([distance for distance, _ in groups])
    sign = np.array([1.0 if right else -1.0 for _, right in groups])
    counts = np.array([float(count) for count in groups.values()])
    odds = LEVELS[:, None, None] + SLOPES[None, :, None] * away[None, None, :]
    return -(np.logaddexp(0.0, -sign * odds) @ counts)
