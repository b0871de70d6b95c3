"""How many calls a route can take at once, found from how it answers. Pure.

Gradient2 of Netflix's concurrency-limits: the limit shrinks when first tokens take longer than ``tolerance``
times their long-term average, and grows while they do not. Two things are TCP's (RFC 5681): after an outage it
doubles with every round up to what it was before (slow start) and then grows by less than one a round; and a
failure or a throttle takes it down by ``backoff``, once per round, since one overload fails many calls. Growing by
steps that small keeps what it costs to find the edge below the failures in a row that open a breaker.
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

    __slots__ = ("_backed_off_s", "_known_good", "_long_s", "_most", "_settings", "limit")

    def __init__(self, settings: LimiterSettings, most: int) -> None:
        self._settings = settings
        self._most = float(most)
        self.limit = float(min(settings.start, most))
        self._known_good = self.limit
        self._long_s: float | None = None
        self._backed_off_s = float("-inf")

    @property
    def places(self) -> int:
        """Calls that may run at once."""
        return max(1, int(self.limit))

    @property
    def ramping(self) -> bool:
        """Doubling up to what it was before an outage."""
        return self.limit < self._known_good

    def rounds(self, calls: int) -> float:
        """How many rounds of calls it takes until the last of ``calls`` in line has had its turn."""
        share = calls / self.places
        return math.log2(1.0 + share) if self.ramping else share

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
            shrunk = self.limit * max(SHRINK_MOST, ratio)
            self._become(self.limit + self._settings.smoothing * (shrunk - self.limit) / self.limit)
            self._known_good = min(self._known_good, self.limit)
        elif self.ramping:
            self._become(min(self.limit + 1.0, self._known_good))
        else:
            self._become(self.limit + self._settings.smoothing * GROWTH / self.limit)
            self._known_good = self.limit

    def dropped(self, now_s: float, round_s: float) -> None:
        """A call failed or was throttled; ``round_s`` is how long one call takes."""
        if now_s - self._backed_off_s >= round_s:
            self._backed_off_s = now_s
            self._become(self.limit * self._settings.backoff)
            self._known_good = self.limit

    def restart(self) -> None:
        """The route is back after an outage: begin small and double (ramp-up)."""
        self._known_good = max(self._known_good, self.limit)
        self._long_s = None
        self._become(float(self._settings.restart))

    def _become(self, limit: float) -> None:
        self.limit = min(self._most, max(float(self._settings.least), limit))
