"""Tickets: what a queued request looks like from outside, and what happened to it. Frozen values, no I/O.

Every time is Unix seconds on the store's own clock (X2). ``engine/queue/contract.py`` says who keeps tickets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from engine.types import Answer, Priority

RANKS: tuple[Priority, ...] = ("high", "normal", "low")
"""In the order they are worked on; shed from the other end."""


class TicketStatus(StrEnum):
    """Where a ticket stands. The last four are final."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    SHED = "shed"

    @property
    def final(self) -> bool:
        """Nothing will happen to it any more."""
        return self not in (TicketStatus.WAITING, TicketStatus.RUNNING)


class HookStatus(StrEnum):
    """What became of a ticket's webhook."""

    NONE = "none"
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketError:
    """Why there is no answer: the stable code of ``engine.errors`` and words for a person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One queued request. ``answer`` when it is done, ``error`` when it failed."""

    id: str
    """Also the id of the request, at every delivery: what it does, it does once by this key."""
    status: TicketStatus
    priority: Priority
    tenant_id: str
    user_id: str
    created_s: float
    expires_s: float
    """Without an answer by then it never gets one."""
    attempts: int = 0
    """How often a worker took it."""
    not_before_s: float | None = None
    """It is not tried before; ``None``: as soon as a worker is free."""
    position: int | None = None
    """1 is next, counted in the order of queueing; ``None`` when it is not waiting, and in lists."""
    answer: Answer | None = None
    """Also ``None`` in lists."""
    error: TicketError | None = None
    webhook: HookStatus = HookStatus.NONE
