"""Scripted upstreams and a shield around them, on virtual time: what happens when is data.

::

    lab = Lab()
    lab.upstream.play("Hel", "lo", FINISH)          # first opening
    lab.upstream.play(3.0, failure(K.RESET))        # second: 3 s of silence, then a reset; the last one repeats
    assert await lab.text() == "Hello"
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agents.contract import Chunk
from agents.errors import CallFailed
from configs.kernel import Deadline, Failure, FailureKind, Outcome
from configs.settings import Settings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Report
from engine.resilience.attempt import CallReport
from engine.resilience.local import LocalBreakerStore
from engine.resilience.routes import Route, Routes
from engine.resilience.shield import Shield

FINISH = Chunk(finish_reason="stop")
HANG = object()
SUBJECT = "model:p/m#k"
Step = str | float | Chunk | BaseException | object


def failure(kind: FailureKind, **details: object) -> CallFailed:
    """An error as adapters raise it."""
    return CallFailed(Failure(kind=kind, detail=details.pop("detail", kind.value), **details))


async def pause(seconds: float) -> None:
    """Let virtual time pass."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    timer = loop.call_later(seconds, done.set_result, None)
    try:
        await done
    finally:
        timer.cancel()


class Upstream:
    """Openings of one scripted stream, and whether each was closed."""

    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.read = 0
        self.close_takes_s = 0.0
        self.tasks: set[asyncio.Task[object] | None] = set()
        self._plays: list[tuple[Step, ...]] = []

    def play(self, *steps: Step) -> None:
        """Script the next opening."""
        self._plays.append(steps)

    def replay(self, *steps: Step) -> None:
        """Script every opening from now on."""
        self._plays = [steps]

    async def open(self) -> AsyncGenerator[Chunk]:
        """One opening."""
        steps = self._plays[min(self.opened, len(self._plays) - 1)]
        self.opened += 1
        self.tasks.add(asyncio.current_task())
        try:
            for step in steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, float | int):
                    await pause(step)
                elif step is HANG:
                    await asyncio.Event().wait()
                else:
                    self.read += 1
                    yield Chunk(text=step) if isinstance(step, str) else step
        finally:
            self.tasks.add(asyncio.current_task())
            try:
                if self.close_takes_s:
                    await pause(self.close_takes_s)
            finally:  # a cancellation may hit a clean-up that had begun by itself
                self.closed += 1


class Lab:
    """A shield on the running loop's own clock, with an upstream to script."""

    def __init__(self, settings: Settings | None = None, **shield: object) -> None:
        loop = asyncio.get_running_loop()
        base = Settings() if settings is None else settings
        self.settings = base.model_copy(update={"shield": base.shield.model_copy(update=shield)})
        self.clock = loop.time
        self.began_s = loop.time()
        self.events: list[BreakerMoved] = []
        self.routes = Routes(self.settings)
        self.store = LocalBreakerStore(
            self.settings.breaker,
            clock=loop.time,
            sample=lambda: 0.5,
            listeners=(self.events.append, self.routes.moved),
        )
        self.shield = Shield(self.store, self.settings, clock=loop.time, sample=lambda: 0.5, routes=self.routes)
        self.upstream = Upstream()
        self.report = CallReport()

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the lab was made."""
        return self.clock() - self.began_s

    def deadline(self, seconds: float) -> Deadline:
        """A deadline from now."""
        return Deadline.after(seconds, now_s=self.clock())

    def stream(self, deadline_s: float = 120.0, **options: float) -> AsyncGenerator[Chunk]:
        """The shielded upstream."""
        return self.shield.stream(
            Route(subject=SUBJECT, **options), self.upstream.open, self.deadline(deadline_s), report=self.report
        )

    async def text(self, deadline_s: float = 120.0, **options: float) -> str:
        """Everything the shielded upstream says."""
        async with aclosing(self.stream(deadline_s, **options)) as chunks:
            return "".join([chunk.text async for chunk in chunks])

    def view(self, subject: str = SUBJECT) -> BreakerView:
        """The breaker."""
        return self.store.of(subject).view()

    def leases(self, subject: str = SUBJECT) -> int:
        """Probes that hold a permit."""
        return len(self.store.of(subject).record.leases)

    async def permit(self, subject: str = SUBJECT) -> Permit:
        """Leave for one call, which must be given."""
        permit = await self.store.acquire(subject, f"by hand {len(self.events)}")
        assert isinstance(permit, Permit)
        return permit

    async def until_half_open(self, subject: str = SUBJECT) -> None:
        """Open the breaker by failures and wait until its next call is a probe."""
        cell = self.store.of(subject)
        while cell.view().state is BreakerState.CLOSED:
            permit = await self.store.acquire(subject, f"trip-{len(cell.record.seen.young)}")
            await self.store.report(permit, Report(outcome=Outcome.FAIL))
        await pause(cell.view().retry_after_s or 0.0)
        assert cell.view().state is BreakerState.HALF_OPEN
