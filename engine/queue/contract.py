"""What the queue's parts expect of each other. Protocols and their values, nothing else.

Three faces of one store: callers see a ``TicketStore``, workers a ``RequestQueue`` and a ``HookOutbox``.
``engine/queue/redis_queue.py`` and its twin ``engine/queue/inmemory.py`` implement them, under ``tests/contract``.
Every method is one atomic step (X1) on the store's own clock (X2) and raises ``BackendUnavailable`` when the store
is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from engine.ticket import Ticket, TicketError
from engine.types import Answer, Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Enqueue:
    """One request to be kept, already encoded."""

    id: str
    priority: Priority
    tenant_id: str
    user_id: str
    body: bytes
    """``engine.queue.stored.encode``."""
    digest: str
    """Of what was asked; tells a repeat from another request under the same key."""
    delay_s: float = 0.0
    idempotency: str | None = None
    """Scope and key as one digest; a second request under it gets the first one's ticket."""
    webhook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """Not taken: the queue is full of tickets of this priority or higher."""

    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherRequest:
    """Not taken: the idempotency key belongs to a different request."""

    id: str


class TicketStore(Protocol):
    """Tickets as callers see them."""

    async def put(self, request: Enqueue) -> Ticket | Full | OtherRequest:
        """Queue it, shedding the newest waiting ticket of the lowest lower priority when there is no room."""
        ...

    async def get(self, ticket_id: str) -> Ticket | None:
        """The ticket; ``None`` when it was never there or is no longer kept."""
        ...

    async def latest(self, limit: int) -> tuple[Ticket, ...]:
        """At most ``limit`` tickets, newest first; none carries an answer or a position."""
        ...

    async def cancel(self, ticket_id: str) -> Ticket | None:
        """Fail it with code ``cancelled`` unless it is final already; the ticket as it then is."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A request in the hands of one worker. ``token`` counts deliveries; only the latest may conclude."""

    ticket: Ticket
    token: int
    body: bytes


class RequestQueue(Protocol):
    """The queue as workers see it. ``False``: this delivery is no longer the one, and nothing was changed."""

    async def take(self) -> Delivery | None:
        """The next request: high before normal before low, oldest first; of workers that died first of all."""
        ...

    async def renew(self, delivery: Delivery) -> bool:
        """Still at work: the lease starts anew."""
        ...

    async def finish(self, delivery: Delivery, result: Answer | TicketError) -> bool:
        """The result, written once: the first writer wins, a late duplicate changes nothing."""
        ...

    async def put_back(self, delivery: Delivery, *, delay_s: float) -> bool:
        """Not now. Without a delay it keeps its place, with one it queues again after it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook that is due, in the hands of one worker until its lease ends. ``tries`` includes this one."""

    ticket: Ticket
    url: str
    tries: int


class HookOutbox(Protocol):
    """Results that still have to be told. Kept with the ticket, so that a crash between the two loses nothing."""

    async def take_hook(self) -> Hook | None:
        """The next one that is due."""
        ...

    async def close_hook(self, hook: Hook, *, delivered: bool) -> None:
        """It was told, or it will never be."""
        ...

    async def delay_hook(self, hook: Hook, *, delay_s: float) -> None:
        """Try again later."""
        ...
