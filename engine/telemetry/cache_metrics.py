"""Metrics of the answer cache, through the OpenTelemetry API (obs.metrics). Names and labels are bounded.

What they show is asked for when somebody collects; without a meter provider nobody ever does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final, Protocol

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

LOOKUPS: Final = "switchgear.cache.lookups"
RATE: Final = "switchgear.cache.false_hit_rate"
ENDS: Final = ("", ".low", ".high")
Lookups = Callable[[], Mapping[tuple[str, str], int]]
"""Since the process began, by tier and result."""
Rates = Callable[[], Mapping[str, tuple[float, float, float]]]
"""Rate and the ends of its interval by agent; of all agents under an empty name."""


class Counted(Protocol):
    """``engine.cache.tally_sync.TallySync``."""

    def lookups(self) -> Mapping[tuple[str, str], int]:
        """Since it began, by tier and result."""
        ...

    def rates(self) -> Mapping[str, tuple[float, float, float]]:
        """Rate and the ends of its interval by agent."""
        ...


class CacheMeter:
    """The metrics of all engines of one process. What an engine counted stays when it is gone.

    Somebody collects in a thread of their own while engines come and go.
    """

    def __init__(self) -> None:
        self._counted: set[Counted] = set()
        self._gone: Counter[tuple[str, str]] = Counter()
        self._changing = Lock()
        self._watched = False

    def add(self, counted: Counted) -> None:
        """Count one more engine in, until it is ``gone``."""
        with self._changing:
            self._counted.add(counted)
        if not self._watched:
            self._watched = True
            watch_cache(get_meter("switchgear"), self.lookups, self.rates)

    def gone(self, counted: Counted) -> None:
        """Its engine has closed. A counter that fell would look like a restart: its lookups stay."""
        with self._changing:
            if counted in self._counted:
                self._counted.remove(counted)
                self._gone.update(counted.lookups())

    def lookups(self) -> Mapping[tuple[str, str], int]:
        """Of all engines together, since the process began."""
        with self._changing:
            return sum((Counter(one.lookups()) for one in self._counted), self._gone.copy())

    def rates(self) -> Mapping[str, tuple[float, float, float]]:
        """All replicas' counts, so whichever engine knows them has them all."""
        with self._changing:
            counted = tuple(self._counted)
        return {name: rate for one in counted for name, rate in one.rates().items()}


def watch_cache(meter: Meter, lookups: Lookups, rates: Rates) -> None:
    """Have ``meter`` ask for both. Once per process and meter: instruments cannot be taken back.

    ``switchgear.cache.lookups{tier,result}`` is a counter, ``switchgear.cache.false_hit_rate{agent}`` and its
    interval ``.low`` and ``.high`` are gauges of all replicas' counts; without ``agent`` they are of all agents.
    """

    def counted(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(count, {"tier": tier, "result": result}) for (tier, result), count in lookups().items()
        ]

    meter.create_observable_counter(
        LOOKUPS, callbacks=[counted], unit="{lookup}", description="Lookups in the answer cache"
    )
    what = "Share of compared semantic hits that were wrong"
    for at, end in enumerate(ENDS):
        meter.create_observable_gauge(
            RATE + end,
            callbacks=[_end_of(rates, at)],
            unit="1",
            description=f"{what}: {end[1:]} end of its interval" if end else what,
        )


def _end_of(rates: Rates, at: int) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observed(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(rate[at], {"agent": agent} if agent else {}) for agent, rate in rates().items()]

    return observed
