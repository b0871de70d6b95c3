"""How many calls a route can take at once, found from how it answers. Pure.

Gradient2 of Netflix's concurrency-limits: the limit shrinks when first tokens take longer than ``tolerance``
times their long-term average, and grows while they do not. Two things are TCP's (RFC 5681): until something goes
wrong it doubles with every round (slow start), afterwards it grows by a constant a round; and a failure or a
throttle takes it down by ``backoff``, once per round, since one overload fails many calls.
"""

from __future__ import annotations

import math

from configs.settings import LimiterSettings

GROWTH = 4.0
"""Calls that may wait inside the other side; Gradient2's queue size."""
LONG_TERM = 1 / 600
"""Weight of one call in the long-term average, as in the original."""
SHRINK_MOST = 0.5
CATCH_UP = 0.95
"""The long-term average decays this fast after a burst that left it far too high."""


class Gradient:
    """The limit of one route. ``most`` is its ceiling."""

    __slots__ = ("_backed_off_s", "_long_s", "_most", "_settings", "_slow_start", "limit")

    def __init__(self, settings: LimiterSettings, most: int) -> None:
        self._settings = settings
        self._most = float(most)
        self.limit = float(min(settings.start, most))
        self._slow_start = True
        self._long_s: float | None = None
        self._backed_off_s = float("-inf")

    @property
    def places(self) -> int:
        """Calls that may run at once."""
        return max(1, int(self.limit))

    def rounds(self, calls: int) -> float:
        """How many rounds of calls it takes until the last of ``calls`` in line has had its turn."""
        share = calls / self.places
        return math.log2(1.0 + share) if self._slow_start else share

    def answered(self, first_token_s: float, running: int) -> None:
        """A call went well; ``running`` calls were under way, itself included."""
        long_s = first_token_s if self._long_s is None else self._long_s
        long_s += LONG_TERM * (first_token_s - long_s)
        if long_s > self._settings.tolerance * first_token_s:
            long_s *= CATCH_UP
        self._long_s = long_s
        if running < self.limit / 2:
            return  # nobody needs more, so nothing was learnt about more
        ratio = 1.0 if first_token_s <= 0.0 else self._settings.tolerance * long_s / first_token_s
        if ratio < 1.0:
            self._slow_start = False
            shrunk = self.limit * max(SHRINK_MOST, ratio)
            self._become(self.limit + self._settings.smoothing * (shrunk - self.limit) / self.limit)
        else:
            self._become(
                self.limit + (1.0 if self._slow_start else self._settings.smoothing * GROWTH / self.limit)
            )

    def dropped(self, now_s: float, round_s: float) -> None:
        """A call failed or was throttled; ``round_s`` is how long one call takes."""
        self._slow_start = False
        if now_s - self._backed_off_s >= round_s:
            self._backed_off_s = now_s
            self._become(self.limit * self._settings.backoff)

    def restart(self) -> None:
        """The route is back after an outage: begin small and double (ramp-up)."""
        self._slow_start = True
        self._long_s = None
        self._become(float(self._settings.restart))

    def _become(self, limit: float) -> None:
        self.limit = min(self._most, max(float(self._settings.least), limit))
