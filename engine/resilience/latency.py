"""How long routes take to their first token lately: p50 for skipping (F3), p95 for hedging. Pure.

Not a metric for people and not an input of the breaker. Only calls of the last ``latency_window_s`` count, so that
a route which was slow is not passed over for ever by callers in a hurry.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

from configs.settings import ShieldSettings


class Recent:
    """First-token times of one route, in seconds.

    A call that was given up on before its first token is a lower bound of one. Leaving it out would make the route
    look quicker with every call that was too slow.
    """

    __slots__ = ("_by_age", "_measured", "_settings", "_sorted")

    def __init__(self, settings: ShieldSettings) -> None:
        self._settings = settings
        self._by_age: deque[tuple[float, float, bool]] = deque()
        self._sorted: list[float] = []
        self._measured = 0

    def add(self, seconds: float, now_s: float, *, measured: bool) -> None:
        """Take note of one call; ``measured``: it has produced something."""
        if len(self._by_age) >= self._settings.latency_samples:
            self._drop_oldest()
        self._by_age.append((now_s, seconds, measured))
        self._measured += measured
        insort(self._sorted, seconds)

    def quantile(self, share: float, now_s: float) -> float | None:
        """Nearest-rank quantile; ``None`` before ``latency_samples_min`` calls were measured."""
        oldest_s = now_s - self._settings.latency_window_s
        while self._by_age and self._by_age[0][0] < oldest_s:
            self._drop_oldest()
        if self._measured < self._settings.latency_samples_min:
            return None
        return self._sorted[math.ceil(share * len(self._sorted)) - 1]

    def _drop_oldest(self) -> None:
        _, seconds, measured = self._by_age.popleft()
        self._measured -= measured
        del self._sorted[bisect_left(self._sorted, seconds)]


class Latencies:
    """``Recent`` by route. Routes are configured, so there are only so many."""

    def __init__(self, settings: ShieldSettings) -> None:
        self._settings = settings
        self._routes: dict[str, Recent] = {}

    def add(self, subject: str, seconds: float, now_s: float, *, measured: bool = True) -> None:
        """Take note of one call; ``measured`` is false for one that was given up on."""
        if subject not in self._routes:
            self._routes[subject] = Recent(self._settings)
        self._routes[subject].add(seconds, now_s, measured=measured)

    def p50(self, subject: str, now_s: float) -> float | None:
        """The middle, in seconds; ``None`` while unknown."""
        return self._quantile(subject, 0.5, now_s)

    def p95(self, subject: str, now_s: float) -> float | None:
        """What 19 of 20 calls stay below, in seconds; ``None`` while unknown."""
        return self._quantile(subject, 0.95, now_s)

    def _quantile(self, subject: str, share: float, now_s: float) -> float | None:
        recent = self._routes.get(subject)
        return None if recent is None else recent.quantile(share, now_s)
