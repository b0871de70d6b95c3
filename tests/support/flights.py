"""Waiters for tests of single flight: calls that end when the test says so, and replicas that share a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from configs.caching import FlightSettings
from engine.cache.flight import Boarding, Flights, Landed
from engine.cache.leases import InMemoryLeases, Leases
from engine.events import Emit, Event, Token

RULES = FlightSettings(lease_s=9.0, poll_s=0.5, poll_s_max=2.0)


async def nothing() -> None:
    """Nowhere has anything to be found, and nothing has to be kept."""


@dataclass(eq=False)
class Caller:
    """One waiter whose upstream call does what the test says."""

    name: str = "a"
    streams: bool = False
    arrived: Callable[[], Awaitable[str | None]] = nothing
    kept: Callable[[], Awaitable[None]] = nothing
    sought: Callable[[], Awaitable[str | None]] = nothing
    calls: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    shown: list[Event] = field(default_factory=list[Event])
    _emit: Emit | None = None
    _end: asyncio.Future[str] | None = None

    def boarding(self) -> Boarding[str]:
        """What it brings along."""
        return Boarding(
            call=self._call,
            arrived=self.arrived,
            sought=self.sought,
            kept=self.kept,
            emit=self.shown.append if self.streams else None,
        )

    async def _call(self, emit: Emit | None) -> str:
        self.calls += 1
        self._emit, self._end = emit, asyncio.get_running_loop().create_future()
        self.began.set()
        try:
            return await self._end
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    @property
    def call_streams(self) -> bool:
        """Its call was told to stream."""
        return self._emit is not None

    def tells(self, event: Event) -> None:
        """Its call shows something."""
        assert self._emit is not None
        self._emit(event)

    def say(self, *texts: str) -> None:
        """Its call shows text."""
        for text in texts:
            self.tells(Token(text=text))

    def answers(self, text: str) -> None:
        """Its call ends well."""
        assert self._end is not None
        self._end.set_result(text)

    def fails(self, error: BaseException) -> None:
        """Its call ends badly."""
        assert self._end is not None
        self._end.set_exception(error)

    @property
    def text(self) -> str:
        """What it was shown."""
        return "".join(event.text for event in self.shown if isinstance(event, Token))


def flights(leases: Leases | None = None, rules: FlightSettings = RULES) -> Flights[str]:
    """One replica."""
    return Flights(leases, rules, sample=lambda: 1.0)


def board(on: Flights[str], caller: Caller, key: str = "k") -> asyncio.Task[Landed[str]]:
    """Let ``caller`` wait; it is aboard after the next pass of the loop."""
    return asyncio.create_task(on.fly(key, caller.boarding()))


async def passes(number: int = 10) -> None:
    """Let everything happen that needs no time and no answer from outside."""
    for _ in range(number):
        await asyncio.sleep(0)


def leases_of_loop() -> InMemoryLeases:
    """Leases that end by the clock of the running loop."""
    return InMemoryLeases(now_s=asyncio.get_running_loop().time)


async def later(seconds: float) -> None:
    """On virtual time: when everything has happened that happens within ``seconds``."""
    passed = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, passed.set)
    await passed.wait()


def now_s() -> float:
    """Virtual seconds."""
    return asyncio.get_running_loop().time()


@dataclass
class Shelf:
    """Where replicas store answers and look for those of others."""

    answer: str | None = None
    looks: list[float] = field(default_factory=list[float])

    async def look(self) -> str | None:
        """The answer, if it is there."""
        self.looks.append(asyncio.get_running_loop().time())
        return self.answer

    def store(self, text: str) -> Callable[[], Awaitable[None]]:
        """Something that stores ``text`` when it is awaited."""

        async def kept() -> None:
            self.answer = text

        return kept

    def caller(self, name: str = "a", stores: str | None = None) -> Caller:
        """A waiter that looks here, and whose answer is kept here when it ``stores`` one."""
        made = Caller(name, arrived=self.look)
        return made if stores is None else replace(made, kept=self.store(stores))
