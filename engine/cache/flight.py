"""Single flight: identical misses at the same moment make one upstream call (cache.flight, docs/decisions/0024).

In this process every waiter of a key is aboard the same flight, which owns the call; across replicas a lease says
who calls, and the others look for the stored answer until it is there or the lease is free. It knows neither graph
nor cache: what to call and where an answer may have come from is in ``Boarding``. ``flight_state.py`` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from agents.errors import CallFailed
from configs.caching import FlightSettings
from engine.cache.flight_state import PAYING, Crew, Role
from engine.cache.leases import Leases
from engine.events import Emit, Event, Token
from memory.errors import BackendUnavailable

T = TypeVar("T")
STORE_GONE = (BackendUnavailable, CallFailed)
"""What a store, or the guard before it, says when it cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boarding(Generic[T]):
    """What one waiter brings along. ``call`` and ``arrived`` run in the context of its ``fly``."""

    call: Callable[[Emit | None], Awaitable[T]]
    """Makes the upstream call of this waiter's own request; its events go to the argument when there is one."""
    arrived: Callable[[], Awaitable[T | None]]
    """The answer if it is stored by now. May raise ``BackendUnavailable`` and ``CallFailed``, and what the stored
    answer amounts to."""
    sought: Callable[[], Awaitable[T | None]]
    """An answer that serves as well, looked for before anybody else is asked; ``None``: there is none."""
    kept: Callable[[], Awaitable[None]]
    """Asked after ``call``, comes back when what that has stored, answer or refusal, if anything, can be found by
    other replicas. The waiters know how it ended by then; the lease is held until then. Never raises."""
    emit: Emit | None = None
    """Shows this waiter the events of the call, whoever's it is, if that one streams too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed(Generic[T]):
    """What a waiter got."""

    answer: T
    role: Role
    shown: bool
    """Its ``emit`` has had all events of this answer."""
    degraded: str
    """Why other replicas may have made the same call; empty when they have not."""

    @property
    def pays(self) -> bool:
        """Whether usage, cost and attempts of the call are this waiter's."""
        return self.role in PAYING


@dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    boarding: Boarding[T]
    context: Context
    events: list[Event]
    """Of the call under way; shared by all waiters."""
    seen: int = 0
    end: Landed[T] | BaseException | None = None
    wake: asyncio.Future[None] | None = None

    async def wait(self) -> Landed[T]:
        """Show what there is until there is an end. Costs nothing between two events."""
        while True:
            self._show()
            if isinstance(self.end, Landed):
                return self.end
            if self.end is not None:
                raise self.end
            self.wake = asyncio.get_running_loop().create_future()
            await self.wake

    def stir(self, end: Landed[T] | BaseException | None = None) -> None:
        """Something is new: events, or the end."""
        self.end = end
        if self.wake is not None and not self.wake.done():
            self.wake.set_result(None)

    def _show(self) -> None:
        emit = self.boarding.emit
        while emit is not None and self.seen < len(self.events):
            event = self.events[self.seen]
            self.seen += 1
            emit(event)


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    key: str
    crew: Crew[_Waiter[T]] = field(default_factory=Crew["_Waiter[T]"])
    events: list[Event] = field(default_factory=list[Event])
    streams: bool = False
    """The owner of the call under way streams, so there are events."""
    called: bool = False
    """That call has begun."""
    before: asyncio.Task[None] | None = None
    """The flight of this key that has landed, or was given up, and is not over yet."""
    token: str | None = None
    degraded: str = ""
    task: asyncio.Task[None] | None = None

    def board(self, boarding: Boarding[T]) -> _Waiter[T]:
        """Let one more in; it is shown what was shown to the others."""
        waiter = _Waiter(boarding, copy_context(), self.events)
        self.crew.join(waiter, streams=boarding.emit is not None)
        return waiter

    def next_owner(self) -> _Waiter[T] | None:
        """Begin a call: whose it is."""
        owner = self.crew.next_owner()
        self.events, self.called = [], False
        self.streams = owner is not None and owner.boarding.emit is not None
        for waiter in self.crew.everybody:
            waiter.events, waiter.seen = self.events, 0
        return owner

    def show(self, event: Event) -> None:
        """One event of the call. Everybody who watches passes it on in its own task, whatever that does there."""
        self.events.append(event)
        for waiter in self.crew.watching:
            waiter.stir()

    def land(self, answer: T, *, elsewhere: bool) -> None:
        """Everybody has the answer."""
        for waiter, role in self.crew.landed(elsewhere=elsewhere):
            shown = self.streams and not elsewhere and waiter.boarding.emit is not None
            waiter.stir(Landed(answer=answer, role=role, shown=shown, degraded=self.degraded))

    def fail(self, error: BaseException) -> None:
        """The call failed: some leave with an error."""
        shown = "".join(event.text for event in self.events if isinstance(event, Token))
        for waiter, said in self.crew.failed(error, shown):
            waiter.stir(said)


@dataclass(frozen=True, slots=True)
class _Came(Generic[T]):
    answer: T
    elsewhere: bool


class Flights(Generic[T]):
    """All flights of one engine, on one event loop. Needs ``settle`` at the end."""

    def __init__(self, leases: Leases | None, rules: FlightSettings, *, sample: Callable[[], float]) -> None:
        """``leases``: shared with other replicas; ``None``: there are none. ``sample`` draws from [0, 1)."""
        self._leases = leases
        self._rules = rules
        self._sample = sample
        self._flights: dict[str, _Flight[T]] = {}
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Keys with waiters."""
        return len(self._flights)

    async def fly(self, key: str, boarding: Boarding[T]) -> Landed[T]:
        """The answer to everything that has this ``key``, by one call if possible.

        ``key`` must tell apart whatever may have different answers, and whoever may not see another's. Raises
        what the call raises: to its owner as it is, to the others as ``flight_state.for_follower`` says. A waiter
        that is cancelled leaves; the last one to leave has the call cancelled and waits for its end.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight[T](key)
        waiter = flight.board(boarding)
        if flight.task is None:
            # In a context of its own: what a lease costs or fails is not part of anybody's request.
            flight.before = self._latest.get(key)
            task = flight.task = asyncio.create_task(self._drive(flight), context=Context())
            self._latest[key] = task
            self._tasks.add(task)
            task.add_done_callback(lambda done: self._over(flight, done))
        try:
            return await waiter.wait()
        finally:
            if flight.crew.leave(waiter):
                self._forget(flight)
                await _stop(flight.task)

    async def settle(self) -> None:
        """Wait until the leases of what has landed are free."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _drive(self, flight: _Flight[T]) -> None:
        """One turn after the other until everybody has left, with the answer or without."""
        if flight.before is not None:  # a lease of our own is on its way back, and perhaps an answer to the store
            await asyncio.wait((flight.before,))
        renewing = None if self._leases is None else asyncio.create_task(self._renew(self._leases, flight))
        try:
            while (owner := flight.next_owner()) is not None:
                turn = asyncio.create_task(self._turn(flight, owner), context=owner.context)
                try:
                    await asyncio.wait((turn,))
                finally:
                    await _stop(turn)
                self._conclude(flight, turn)
                if flight.called:
                    await owner.boarding.kept()
        finally:
            if renewing is not None:
                await _stop(renewing)
            if self._leases is not None and flight.token is not None:
                with contextlib.suppress(*STORE_GONE):  # then it ends by itself
                    await self._leases.release(flight.key, flight.token)

    def _conclude(self, flight: _Flight[T], turn: asyncio.Task[_Came[T] | None]) -> None:
        """Give the waiters what a turn came to."""
        if turn.cancelled():
            flight.fail(asyncio.CancelledError())
        elif (error := turn.exception()) is not None:
            flight.fail(error)
        elif (came := turn.result()) is not None:
            flight.land(came.answer, elsewhere=came.elsewhere)
        if not flight.crew:  # whoever comes from now on flies anew
            self._forget(flight)

    async def _turn(self, flight: _Flight[T], owner: _Waiter[T]) -> _Came[T] | None:
        """What one waiter's turn came to; ``None``: it left before its call began."""
        answer = await owner.boarding.sought()
        if answer is None:
            answer = await self._elsewhere(flight, owner.boarding)
        if answer is not None:
            return _Came(answer, elsewhere=True)
        if owner not in flight.crew:
            return None
        flight.called = True
        return _Came(await owner.boarding.call(flight.show if flight.streams else None), elsewhere=False)

    async def _elsewhere(self, flight: _Flight[T], boarding: Boarding[T]) -> T | None:
        """The answer of another replica, or ``None`` when it is our turn to call.

        Looked for with the lease in hand too: it may have been stored between our miss and our lease.
        """
        pause_s = self._rules.poll_s
        while not flight.degraded:
            try:
                if self._leases is not None and flight.token is None:
                    flight.token = await self._leases.take(flight.key, lease_s=self._rules.lease_s)
                answer = await boarding.arrived()
            except STORE_GONE as gone:  # nobody aboard waits for it a second time
                flight.degraded = str(gone)
                return None
            if answer is not None or self._leases is None or flight.token is not None:
                return answer
            await asyncio.sleep(pause_s * (1 + self._sample()) / 2)
            pause_s = min(2 * pause_s, self._rules.poll_s_max)
        return None

    async def _renew(self, leases: Leases, flight: _Flight[T]) -> None:
        while True:
            await asyncio.sleep(self._rules.lease_s / 3)
            token = flight.token
            if token is not None:
                with contextlib.suppress(*STORE_GONE):  # there is time for two more tries
                    if not await leases.renew(flight.key, token, lease_s=self._rules.lease_s):
                        flight.token = None

    def _forget(self, flight: _Flight[T]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _over(self, flight: _Flight[T], done: asyncio.Task[None]) -> None:
        """Whatever ended the task, nobody waits for it any longer."""
        self._tasks.discard(done)
        if self._latest.get(flight.key) is done:
            del self._latest[flight.key]
        self._forget(flight)
        left = flight.crew.disband()
        if left:
            error = None if done.cancelled() else done.exception()
            for waiter in left:
                waiter.stir(asyncio.CancelledError() if error is None else error)


async def _stop(task: asyncio.Task[T]) -> None:
    """Cancel what is not done, and wait for its end, whatever that is."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # asked for, so that nobody is told that nobody asked
