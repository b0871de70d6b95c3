"""When to try again, and how often all calls of a process together may (F1).

The budget is Finagle's: retries are a share of the calls of the last window, with a floor for quiet times. Calls
are counted when they start; counting them at the end lets a storm of slow failures retry freely. Full jitter as in
"Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
"""

from __future__ import annotations

import math
from collections import deque

from configs.settings import ShieldSettings

SLICES = 10
"""Steps in which the window slides."""


def pause_s(settings: ShieldSettings, retry: int, sample: float) -> float:
    """Seconds before the ``retry``-th retry (from 1): anything up to a doubling cap. ``sample`` in [0, 1)."""
    return sample * min(settings.backoff_s_max, settings.backoff_s * 2.0 ** (retry - 1))


class RetryBudget:
    """Retries, or hedges, left to one process: in every ``retry_window_s`` at most the share, or the floor.

    Calls are summed over slightly less than the window and retries over slightly more, so the bound holds for any
    window, not only for those that begin with a slice.
    """

    def __init__(self, settings: ShieldSettings, share: float) -> None:
        """``share``: of the calls, ``retry_share`` or ``hedge_share``."""
        self._settings = settings
        self._share = share
        self._slices: deque[list[int]] = deque()  # [slice, calls, retries], oldest first

    def called(self, now_s: float) -> None:
        """Count a call that starts now."""
        self._slice_at(now_s)[1] += 1

    def take(self, now_s: float) -> bool:
        """Whether one more retry fits, and if so count it."""
        current = self._slice_at(now_s)
        calls = sum(calls for index, calls, _ in self._slices if index > current[0] - SLICES)
        retries = sum(retries for _, _, retries in self._slices)
        if retries + 1 > max(self._settings.retry_floor, self._share * calls):
            return False
        current[2] += 1
        return True

    def _slice_at(self, now_s: float) -> list[int]:
        index = math.floor(now_s * SLICES / self._settings.retry_window_s)
        if not self._slices or self._slices[-1][0] < index:
            self._slices.append([index, 0, 0])
        while self._slices[0][0] < index - SLICES:
            self._slices.popleft()
        return self._slices[-1]
