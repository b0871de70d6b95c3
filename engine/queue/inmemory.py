"""The queue in a dict: the twin of ``engine/queue/redis_queue.py``, for tests and for reading what the Lua does.

Not durable and not shared, so an engine never uses it. Rules and order are those of ``queue.lua``.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from configs.settings import QueueSettings
from engine.queue.contract import Delivery, Enqueue, Full, Hook, OtherRequest
from engine.ticket import RANKS, HookStatus, Ticket, TicketError, TicketStatus
from engine.types import Answer

CANCELLED = TicketError(code="cancelled", message="cancelled by hand")


@dataclass(slots=True, kw_only=True)
class _Kept:
    """A ticket and what only the store knows of it."""

    ticket: Ticket
    request: Enqueue
    arrival: int
    entry: int
    """Its place in the stream of its priority."""
    body: bytes | None
    lease_end_s: float = 0.0
    returned: bool = False
    deaths: int = 0
    tries: int = 0
    hook_due_s: float | None = None
    gone_s: float


class InMemoryQueue:
    """``TicketStore``, ``RequestQueue`` and ``HookOutbox`` on a clock that the caller brings."""

    def __init__(self, settings: QueueSettings, *, now_s: Callable[[], float]) -> None:
        self._settings = settings
        self._now_s = now_s
        self._kept: dict[str, _Kept] = {}
        self._keys: dict[str, str] = {}
        self._final: list[tuple[float, str]] = []
        self._numbers = 0

    async def put(self, request: Enqueue) -> Ticket | Full | OtherRequest:
        """Queue it; see ``TicketStore``."""
        now = self._sweep()
        known = self._kept.get(self._keys.get(request.idempotency or "", ""))
        if known is not None and known.request.digest != request.digest:
            return OtherRequest(id=known.ticket.id)
        known = known if known is not None else self._kept.get(request.id)
        if known is not None:
            return self._view(known)
        length = sum(1 for _ in self._open())
        if length >= self._settings.length_max and not self._shed_below(RANKS.index(request.priority)):
            return Full(length=length)
        ends = now + self._settings.expiry_s
        self._kept[request.id] = kept = _Kept(
            ticket=Ticket(
                id=request.id,
                status=TicketStatus.WAITING,
                priority=request.priority,
                tenant_id=request.tenant_id,
                user_id=request.user_id,
                created_s=now,
                expires_s=ends,
                not_before_s=now + request.delay_s if request.delay_s > 0 else None,
                webhook=HookStatus.NONE if request.webhook is None else HookStatus.PENDING,
            ),
            request=request,
            arrival=self._next(),
            entry=self._next(),
            body=request.body,
            gone_s=ends + self._settings.keep_s,
        )
        if request.idempotency is not None:
            self._keys[request.idempotency] = request.id
        return self._view(kept)

    async def get(self, ticket_id: str) -> Ticket | None:
        """The ticket, if it is kept."""
        self._sweep()
        kept = self._kept.get(ticket_id)
        return None if kept is None else self._view(kept)

    async def latest(self, limit: int) -> tuple[Ticket, ...]:
        """Open tickets, then final ones."""
        self._sweep()
        opened = sorted(self._open(), key=lambda k: (k.ticket.expires_s, k.ticket.id), reverse=True)
        final = [self._kept[ticket_id] for _, ticket_id in reversed(self._final)]
        return tuple(replace(kept.ticket, answer=None) for kept in [*opened, *final][:limit])

    async def cancel(self, ticket_id: str) -> Ticket | None:
        """Fail it unless it is final."""
        self._sweep()
        kept = self._kept.get(ticket_id)
        if kept is None:
            return None
        if not kept.ticket.status.final:
            self._settle(kept, TicketStatus.FAILED, CANCELLED)
        return self._view(kept)

    async def take(self) -> Delivery | None:
        """The next request."""
        now = self._sweep()
        due = [k for k in self._open() if k.ticket.not_before_s is not None and k.ticket.not_before_s <= now]
        for kept in sorted(due, key=lambda k: (k.ticket.not_before_s, k.ticket.id)):
            kept.ticket = replace(kept.ticket, not_before_s=None)
            kept.entry = self._next()
        for priority in RANKS:
            entries = sorted((k for k in self._open() if k.ticket.priority == priority), key=lambda k: k.entry)
            for kept in (*filter(self._reclaimable, entries), *filter(_fresh, entries)):
                delivery = self._deliver(kept, now)
                if delivery is not None:
                    return delivery
        return None

    async def renew(self, delivery: Delivery) -> bool:
        """Start the lease anew."""
        kept = self._current(delivery)
        if kept is not None:
            kept.lease_end_s = self._now_s() + self._settings.lease_s
        return kept is not None

    async def finish(self, delivery: Delivery, result: Answer | TicketError) -> bool:
        """Write the result, once."""
        kept = self._current(delivery)
        if kept is None:
            return self._repeated(delivery, result)
        failed = isinstance(result, TicketError)
        self._settle(kept, TicketStatus.FAILED if failed else TicketStatus.DONE, result)
        return True

    async def put_back(self, delivery: Delivery, *, delay_s: float) -> bool:
        """Give it back."""
        kept = self._current(delivery)
        if kept is not None:
            later = self._now_s() + delay_s if delay_s > 0 else None
            kept.ticket = replace(kept.ticket, status=TicketStatus.WAITING, not_before_s=later)
            kept.returned = later is None
        return kept is not None

    async def take_hook(self) -> Hook | None:
        """The next webhook that is due."""
        now = self._sweep()
        due = [(k.hook_due_s, k.ticket.id) for k in self._kept.values() if k.hook_due_s is not None]
        for at, ticket_id in sorted(due):
            if at <= now:
                kept = self._kept[ticket_id]
                kept.tries += 1
                kept.hook_due_s = now + self._settings.lease_s
                return Hook(ticket=self._view(kept), url=kept.request.webhook or "", tries=kept.tries)
        return None

    async def close_hook(self, hook: Hook, *, delivered: bool) -> None:
        """Told, or given up."""
        self._hooked(hook, HookStatus.DELIVERED if delivered else HookStatus.FAILED, None)

    async def delay_hook(self, hook: Hook, *, delay_s: float) -> None:
        """Later."""
        self._hooked(hook, HookStatus.PENDING, self._now_s() + delay_s)

    def _hooked(self, hook: Hook, status: HookStatus, due_s: float | None) -> None:
        kept = self._kept.get(hook.ticket.id)
        if kept is not None and kept.tries == hook.tries and kept.hook_due_s is not None:
            kept.ticket = replace(kept.ticket, webhook=status)
            kept.hook_due_s = due_s

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _open(self) -> Iterator[_Kept]:
        return (kept for kept in self._kept.values() if not kept.ticket.status.final)

    def _sweep(self) -> float:
        now = self._now_s()
        overdue = (k for k in self._open() if k.ticket.expires_s <= now)
        for kept in sorted(overdue, key=lambda k: (k.ticket.expires_s, k.ticket.id)):
            self._settle(kept, TicketStatus.EXPIRED, None)
        for ticket_id in [i for i, kept in self._kept.items() if kept.gone_s <= now]:
            self._forget(ticket_id)
        return now

    def _settle(self, kept: _Kept, status: TicketStatus, result: Answer | TicketError | None) -> None:
        now = self._now_s()
        failed = isinstance(result, TicketError)
        kept.ticket = replace(
            kept.ticket,
            status=status,
            not_before_s=None,
            answer=None if failed else result,
            error=result if failed else None,
        )
        kept.body = None
        kept.gone_s = now + self._settings.keep_s
        kept.hook_due_s = now if kept.ticket.webhook is HookStatus.PENDING else None
        insort(self._final, (now, kept.ticket.id))
        while len(self._final) > self._settings.length_max:
            self._forget(self._final[0][1])

    def _forget(self, ticket_id: str) -> None:
        kept = self._kept.pop(ticket_id)
        self._keys.pop(kept.request.idempotency or "", None)
        self._final = [(at, other) for at, other in self._final if other != ticket_id]

    def _shed_below(self, rank: int) -> bool:
        waiting = [k for k in self._open() if k.ticket.status is TicketStatus.WAITING]
        below = [k for k in waiting if RANKS.index(k.ticket.priority) > rank]
        if below:
            victim = max(below, key=lambda k: (RANKS.index(k.ticket.priority), k.arrival))
            self._settle(victim, TicketStatus.SHED, None)
        return bool(below)

    def _reclaimable(self, kept: _Kept) -> bool:
        overdue = kept.lease_end_s <= self._now_s()
        return kept.returned or (kept.ticket.status is TicketStatus.RUNNING and overdue)

    def _deliver(self, kept: _Kept, now: float) -> Delivery | None:
        if kept.ticket.status is TicketStatus.RUNNING:
            kept.deaths += 1
            if kept.deaths >= self._settings.deliveries_max:
                error = TicketError(code="worker_lost", message=f"{kept.deaths} workers died over it")
                self._settle(kept, TicketStatus.FAILED, error)
                return None
        kept.returned = False
        kept.lease_end_s = now + self._settings.lease_s
        kept.ticket = replace(kept.ticket, status=TicketStatus.RUNNING, attempts=kept.ticket.attempts + 1)
        return Delivery(ticket=self._view(kept), token=kept.ticket.attempts, body=kept.body or b"")

    def _current(self, delivery: Delivery) -> _Kept | None:
        self._sweep()
        kept = self._kept.get(delivery.ticket.id)
        if kept is None or kept.ticket.status is not TicketStatus.RUNNING:
            return None
        return kept if kept.ticket.attempts == delivery.token else None

    def _repeated(self, delivery: Delivery, result: Answer | TicketError) -> bool:
        kept = self._kept.get(delivery.ticket.id)
        if kept is None or kept.ticket.attempts != delivery.token:
            return False
        return result in (kept.ticket.answer, kept.ticket.error)

    def _view(self, kept: _Kept) -> Ticket:
        if kept.ticket.status is not TicketStatus.WAITING:
            return kept.ticket
        rank = RANKS.index(kept.ticket.priority)
        before = sum(
            1
            for k in self._open()
            if k.ticket.status is TicketStatus.WAITING
            and (RANKS.index(k.ticket.priority), k.arrival) < (rank, kept.arrival)
        )
        return replace(kept.ticket, position=before + 1)


def _fresh(kept: _Kept) -> bool:
    waiting = kept.ticket.status is TicketStatus.WAITING
    return waiting and not kept.returned and kept.ticket.not_before_s is None
