"""What follows from a request that ended: averages, experiments, history. Never in front of the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.contract import Finished, Observer
from engine.fleet import Fleet
from engine.learning.results import results_of
from engine.routing.explore import context_of
from engine.types import SHADOW


@dataclass(frozen=True, slots=True)
class Aftermath:
    """``engine.contract.Observer`` of one engine. ``keep`` puts a request into history, where one is kept."""

    fleet: Fleet
    keep: Observer | None
    in_context: bool
    """Whether averages are learned in context (``linucb``)."""

    def observe(self, finished: Finished) -> None:
        """Have it counted and kept once the answer is on its way."""
        asyncio.get_running_loop().call_soon(self._take, finished)

    def _take(self, finished: Finished) -> None:
        if SHADOW not in finished.request.tags:  # its user was counted with the request that it checks
            self.fleet.splits.observe(finished)
        self.fleet.learned.record(results_of(finished.attempts, _context(finished) if self.in_context else ()))
        if self.keep is not None:
            self.keep(finished)


def _context(finished: Finished) -> tuple[float, ...]:
    """Features of the request for the agent that was chosen, which ``linucb`` learns from."""
    decision = finished.decision
    if decision is None:
        return ()
    chosen = next((c for c in decision.candidates if c.agent == decision.agent), None)
    return () if chosen is None else context_of(chosen, decision.complexity, len(finished.request.question))
