"""What follows from a request that ended: averages, experiments, history. Never in front of the answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.contract import Finished
from engine.fleet import Fleet
from engine.history.contract import History
from engine.history.record import row_of
from engine.learning.results import results_of
from engine.routing.contract import Reading
from engine.routing.explore import context_of
from engine.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """``engine.contract.Observer`` of one engine. ``history`` is ``None`` where nothing is to be kept."""

    fleet: Fleet
    history: History | None
    reading: Callable[[str], Reading | None]
    """A question's reading if there has been one; it is not read for this."""
    key_of: Callable[[Request], str]

    def observe(self, finished: Finished) -> None:
        """Have it counted and kept once the answer is on its way."""
        asyncio.get_running_loop().call_soon(self._take, finished)

    def _take(self, finished: Finished) -> None:
        self.fleet.splits.observe(finished)
        self.fleet.learned.record(results_of(finished.attempts, _context(finished)))
        if self.history is not None:
            read = self.reading(finished.request.question)
            row = row_of(
                finished,
                row_id=uuid.uuid4().hex,
                now_s=time.time(),
                fingerprint=self.key_of(finished.request),
                embedding=None if read is None else read.vector.astype(np.float16).tobytes(),
            )
            self.history.put(row)


def _context(finished: Finished) -> tuple[float, ...]:
    decision = finished.decision
    if decision is None:
        return ()
    chosen = next((c for c in decision.candidates if c.agent == decision.agent), None)
    if chosen is None:
        return ()
    return context_of(chosen, decision.complexity, len(finished.request.question))
