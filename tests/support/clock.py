"""A monotonic clock that moves only when a test says so. Stands in for ``time.monotonic``; never sleeps."""

from __future__ import annotations

import math


class FakeClock:
    """Callable like ``time.monotonic``; ``advance`` is the only thing that moves it.

    Starts far from zero, so that code which confuses a duration with a point in time is found out.
    """

    def __init__(self, start_s: float = 1_000.0) -> None:
        self._now_s = start_s

    def __call__(self) -> float:
        """Seconds, as ``time.monotonic`` returns them."""
        return self._now_s

    @property
    def now_s(self) -> float:
        """The same seconds, for tests that pass ``now`` to a pure function."""
        return self._now_s

    def advance(self, seconds: float) -> float:
        """Move forward and return the new time; a step back raises ``ValueError``, as no such clock exists."""
        if not math.isfinite(seconds) or seconds < 0:
            raise ValueError(f"a monotonic clock cannot move by {seconds} s")
        self._now_s += seconds
        return self._now_s
