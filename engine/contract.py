"""What the independent parts of the engine expect of each other. Protocols and their values, nothing else.

Implementations: ``engine/resilience`` (BreakerStore), ``engine/routing`` (Router), ``engine/cost`` (Ledger); the
answer cache has ``engine.cached``. Each has an in-memory or deny-by-default twin that passes the same contract
suite under ``tests/contract``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from configs.kernel import Money, Outcome
from engine.types import Answer, Attempt, Decision, Leg, Request


class BreakerState(StrEnum):
    """States of a breaker (docs/rules.md, B)."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    DISABLED = "disabled"
    PARKED = "parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """Leave to make one call. Valid for the generation it was given in (B4)."""

    subject: str
    call_id: str
    generation: int
    probe: bool
    state: BreakerState


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No leave, and when asking again may help."""

    subject: str
    state: BreakerState
    generation: int
    retry_after_s: float | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How one call ended. ``retry_after_s`` is what the other side asked for, unchecked."""

    outcome: Outcome
    reason: str = ""
    retry_after_s: float | None = None
    slow: bool = False
    """The call went well but its first token was slow; whoever measured it decides that (X2: no clock of a replica
    enters a decision, a duration may)."""
    may_open: bool = True
    """``False``: too many of its pool are OPEN already, so this report may not open it (max ejection)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerView:
    """A breaker as it stands: for the router, the record and people."""

    subject: str
    state: BreakerState
    generation: int
    consecutive_failures: int
    ema_success: float
    retry_after_s: float | None
    reason: str
    last_errors: tuple[str, ...] = ()
    """Oldest first, of this run of bad luck."""
    actor: str = ""
    """Who forced it (B16); empty otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerMoved:
    """One change of state, for tracing, metrics, audit and people. One per generation, in its order (B13)."""

    subject: str
    generation: int
    before: BreakerState
    after: BreakerState
    at_s: float
    """On the store's own clock."""
    reason: str
    last_errors: tuple[str, ...]
    """Oldest first."""
    retry_after_s: float | None
    actor: str
    """Who forced it (B16); empty for automatic changes."""


class BreakerStore(Protocol):
    """Where breakers live. One atomic step per call (X1); callers never read, decide and write."""

    async def acquire(self, subject: str, call_id: str) -> Permit | Refusal:
        """Ask leave for one call."""
        ...

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """Say how the call ended, exactly once in effect (B6). Also frees the permit."""
        ...

    async def view(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Current state of each subject; one that was never used is CLOSED with a fresh record."""
        ...

    async def force(self, subject: str, state: BreakerState, *, actor: str, reason: str) -> BreakerView:
        """Set FORCED_OPEN, FORCED_CLOSED or DISABLED by hand, or CLOSED to give control back (B16)."""
        ...

    async def subjects(self) -> tuple[str, ...]:
        """Every breaker that has been used lately, sorted."""
        ...

    async def history(self, subject: str) -> tuple[BreakerMoved, ...]:
        """Its latest changes of state, oldest first, forced ones with who and why (B13, B16)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LegResult:
    """How one leg ended. ``shown``: text of it has reached the client, so nobody may take over (F4)."""

    attempt: Attempt
    text: str
    shown: bool
    may_fall_back: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A request that has come to its end, for whoever learns from it or keeps it (route.learn, route.history)."""

    request: Request
    decision: Decision | None
    """``None`` when it ended before anybody was chosen."""
    attempts: tuple[Attempt, ...]
    answer: Answer | None
    error: str
    """Code of the error it ended with; empty with an answer."""
    latency_ms: float
    fingerprint: str = ""
    """The cache's, where it was asked."""


Observer = Callable[[Finished], None]
"""Hears of every request that ended; returns at once and never raises."""


class LegRunner(Protocol):
    """Runs legs of a chain. Every failure is a value; only cancellation and graph signals are raised."""

    async def run(
        self, legs: tuple[Leg, ...], request: Request, show: Callable[[str], None] | None
    ) -> tuple[LegResult, ...]:
        """Answer ``request`` by the first of ``legs``, or by one that was asked as well when it took too long.

        One result per leg that was asked, always the leading ones of ``legs``; the result that counts is the last.
        Each piece of text goes to ``show`` when somebody is watching, from one leg only (F6).
        """
        ...


class Router(Protocol):
    """Chooses who answers."""

    async def preview(self, request: Request) -> Decision:
        """What ``route`` would say, without anybody being asked: no turn and no limit is used up."""
        ...

    async def route(self, request: Request) -> Decision:
        """Rank the registered agents for ``request``; deterministic for equal inputs and equal breaker views."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Money held for one request before any paid call."""

    request_id: str
    estimate: Money


Estimate = Callable[[Request, tuple[Leg, ...]], Money]
"""The most that ``request`` can cost over these legs (L1)."""


class Ledger(Protocol):
    """Reserve, then settle (docs/rules.md, L)."""

    async def reserve(self, request: Request, estimate: Money) -> Reservation:
        """Hold ``estimate`` or refuse."""
        ...

    async def settle(self, reservation: Reservation, actual: Money) -> None:
        """Turn the hold into a charge of what was really spent."""
        ...

    async def abandon(self, request_id: str) -> None:
        """The request ended without settling, cancelled or broken: what it held becomes a charge (L2)."""
        ...
