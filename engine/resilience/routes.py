"""What one process knows about its routes besides how to call them: gates, first-token times, pools.

Not their breakers: those are shared by replicas (``engine.contract.BreakerStore``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from configs.settings import Settings
from engine.contract import BreakerMoved, BreakerState, BreakerView
from engine.resilience.latency import Latencies
from engine.resilience.limiter import CLOSES, Gate

EJECTED = frozenset({BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.PARKED, BreakerState.FORCED_OPEN})
"""Not there for everybody, so that one more of the pool may not go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One leaf: its breaker, the breaker of its credential, and limits of its own."""

    subject: str
    credential: str | None = None
    """Breaker key of the credential, which is parked for 401, 402, 403 instead of the route (B17)."""
    first_token_s: float | None = None
    """``None``: ``shield.first_token_s``."""
    most: int | None = None
    """Calls at once that the other side takes; ``None``: ``limiter.most``."""


class Routes:
    """Tell it of every change of a breaker (``moved``)."""

    def __init__(self, settings: Settings, pools: Mapping[str, tuple[str, ...]] | None = None) -> None:
        """``pools`` names, for each route, all routes of the chain it belongs to (max ejection)."""
        self.pools: Mapping[str, tuple[str, ...]] = {} if pools is None else pools
        self.latencies = Latencies(settings.shield)
        self._limiter = settings.limiter
        self._gates: dict[str, Gate] = {}
        self._gates_of_key: dict[str, list[Gate]] = {}
        self._out: dict[str, asyncio.Event] = {}

    def gate(self, route: Route) -> Gate | None:
        """The gate of a route, ``None`` where gates are switched off."""
        if not self._limiter.enabled:
            return None
        gate = self._gates.get(route.subject)
        if gate is None:
            gate = self._gates[route.subject] = Gate(self._limiter, route.most)
            if route.credential is not None:
                self._gates_of_key.setdefault(route.credential, []).append(gate)
        return gate

    def out(self, subject: str) -> asyncio.Event:
        """Set when the route's breaker opens the next time."""
        if subject not in self._out:
            self._out[subject] = asyncio.Event()
        return self._out[subject]

    def moved(self, event: BreakerMoved) -> None:
        """A breaker has changed its state."""
        if event.after in CLOSES and (waited_for := self._out.pop(event.subject, None)) is not None:
            waited_for.set()
        gate = self._gates.get(event.subject)
        if gate is not None:
            gate.moved(event)
        if event.after in CLOSES:
            for behind in self._gates_of_key.get(event.subject, ()):
                behind.moved(event)


def may_open(subject: str, pool: Mapping[str, BreakerView], ejection_max: float) -> bool:
    """Whether one more of ``pool`` may open: at most that share of it, and one always (max ejection)."""
    others = sum(view.state in EJECTED for name, view in pool.items() if name != subject)
    return others < max(1, int(ejection_max * len(pool)))
