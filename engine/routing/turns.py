"""How long each agent on probation has waited for a probe, in questions of its own. One count per process."""

from __future__ import annotations

from collections.abc import Mapping

from engine.routing.explore import Chosen


class Turns:
    """Small and bounded: only agents that are on probation are in it."""

    def __init__(self, most: int) -> None:
        """Beyond ``most`` agents the one that was noted first is forgotten, and waits anew."""
        self._most = most
        self._waited: dict[str, int] = {}

    @property
    def waited(self) -> Mapping[str, int]:
        """For ``Situation.waited``."""
        return self._waited

    def note(self, chosen: Chosen, agent: str) -> None:
        """Count a choice; ``agent`` is who was chosen."""
        if not chosen.held:
            self._waited.pop(agent, None)
            return
        if chosen.held not in self._waited and len(self._waited) >= self._most:
            del self._waited[next(iter(self._waited))]
        self._waited[chosen.held] = 0 if agent == chosen.held else self._waited.get(chosen.held, 0) + 1
