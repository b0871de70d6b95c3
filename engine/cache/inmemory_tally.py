"""Counters of this process alone: the twin of ``redis_tally.py``, for tests and engines without Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from engine.cache.tally import Counts


class LocalTallies:
    """``TallyStore`` in a dict; days that nobody reads any more stay."""

    def __init__(self) -> None:
        self._days: dict[int, Counter[tuple[str, str]]] = {}

    async def add(self, day: int, counts: Counts) -> None:
        """Add."""
        if counts:
            self._days.setdefault(day, Counter()).update(counts)

    async def read(self, days: tuple[int, ...]) -> Mapping[int, Counts]:
        """What was added."""
        return {day: dict(self._days[day]) for day in days if day in self._days}
