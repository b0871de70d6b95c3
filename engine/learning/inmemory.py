"""Averages of this process alone: the twin of ``redis_outcomes.py``, and what ``learn.shared: false`` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from configs.routing import LearnSettings
from engine.learning.averages import aged, step
from engine.learning.contract import RouteResult, Standing, Tally
from engine.types import Averages


class LocalOutcomes:
    """``Outcomes`` in a dict. ``clock`` in seconds."""

    def __init__(self, rules: LearnSettings, *, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._tallies: dict[str, Tally] = {}

    async def record(self, results: Sequence[RouteResult]) -> Standing:
        """Count results."""
        now_s = self._clock()
        for result in results:
            known = self._tallies.get(result.subject)
            if known is not None and now_s - known.at_s >= self._rules.kept_s:
                known = None
            if not result.says_nothing and (known is not None or self._has_room(now_s)):
                self._tallies[result.subject] = step(known, result, self._rules, now_s)
        return self._standing([r.subject for r in results], now_s)

    async def look(self, subjects: Sequence[str]) -> Standing:
        """What is kept of ``subjects``."""
        return self._standing(subjects, self._clock())

    async def averages(self, subjects: Sequence[str]) -> Mapping[str, Averages]:
        """How ``subjects`` are doing now."""
        stands = await self.look(subjects)
        return averages_of(stands, self._rules)

    def _standing(self, subjects: Sequence[str], now_s: float) -> Standing:
        tallies = {s: self._tallies[s] for s in subjects if s in self._tallies}
        recent = {s: t for s, t in tallies.items() if now_s - t.at_s < self._rules.kept_s}
        return Standing(now_s=now_s, tallies=recent)

    def _has_room(self, now_s: float) -> bool:
        if len(self._tallies) < self._rules.subjects_max:
            return True
        old = [s for s, t in self._tallies.items() if now_s - t.at_s >= self._rules.kept_s]
        for subject in old:
            del self._tallies[subject]
        return bool(old)


def averages_of(stands: Standing, rules: LearnSettings) -> dict[str, Averages]:
    """A standing as the rest of the engine knows it, aged to its moment."""
    return {s: aged(t, rules, stands.now_s).averages() for s, t in stands.tallies.items()}
