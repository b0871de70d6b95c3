"""The store in process passes the suite of all breaker stores."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from engine.contract import BreakerMoved
from engine.resilience.local import LocalBreakerStore
from tests.contract.breaker_store_suite import RULES, Subject, suite_tests
from tests.support.clock import FakeClock

globals().update(suite_tests())


@dataclass(slots=True)
class InProcess:
    """A local store on a fake clock."""

    clock: FakeClock
    events: list[BreakerMoved] = field(default_factory=list[BreakerMoved])
    store: LocalBreakerStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = LocalBreakerStore(
            RULES, clock=self.clock, sample=lambda: 0.5, listeners=(self.events.append,)
        )

    async def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)


@pytest.fixture
def subject(clock: FakeClock) -> Subject:
    """A fresh store."""
    return InProcess(clock)
