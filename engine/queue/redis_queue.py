"""The queue in Redis: ``TicketStore``, ``RequestQueue`` and ``HookOutbox`` over ``redis.state``.

Every method is one call of ``queue.lua``; nothing is decided here. One Stream with a consumer group per priority
keeps the order and the leases; ``engine/queue/inmemory.py`` is the twin. Redis' own exceptions end here, as
``memory.errors.BackendUnavailable``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError, RedisError

from configs.settings import QueueSettings
from engine.queue.contract import Delivery, Enqueue, Full, Hook, OtherRequest
from engine.queue.stored import decode_answer, decode_error, encode_answer
from engine.ticket import HookStatus, Ticket, TicketError, TicketStatus
from engine.types import Answer, Priority
from memory.errors import BackendUnavailable

SCRIPT = Path(__file__).with_name("queue.lua").read_text()
# A Redis that is full refuses a put before its first write; what only empties the queue may still go on.
BOUNDED, EMPTYING = "#!lua\n", "#!lua flags=allow-oom\n"
PREFIX: Final = "sg:{q}:"
CANCELLED = TicketError(code="cancelled", message="cancelled by hand")
Reply = Sequence["bytes | Reply"]


class RedisQueue:
    """The queue over one Redis client, whose own retries must be off (X3): every operation is safe to repeat."""

    def __init__(
        self, client: Redis, settings: QueueSettings, *, missed: Callable[[], None] | None = None
    ) -> None:
        """``missed`` is called when Redis was not there, for whoever looks after it."""
        self._missed = missed
        self._unanswered: list[str] = []
        self._put = client.register_script(BOUNDED + SCRIPT)
        self._script = client.register_script(EMPTYING + SCRIPT)
        self._life = _ms(settings.expiry_s)
        self._head = (_ms(settings.lease_s), settings.deliveries_max, settings.length_max, _ms(settings.keep_s))

    async def put(self, request: Enqueue) -> Ticket | Full | OtherRequest:
        """Queue it; see ``TicketStore``."""
        kind, found = cast(
            "tuple[bytes, bytes | Reply]",
            await self._call(
                "put",
                *(request.id, request.priority, self._life, _ms(request.delay_s)),
                *(request.idempotency or "", request.digest, request.body),
                *(request.tenant_id, request.user_id, request.webhook or ""),
            ),
        )
        match kind:
            case b"full":
                return Full(length=int(cast("bytes", found)))
            case b"other":
                return OtherRequest(id=cast("bytes", found).decode())
            case _:
                return _ticket(cast("Reply", found))

    async def get(self, ticket_id: str) -> Ticket | None:
        """The ticket, if it is kept."""
        found = await self._call("get", ticket_id)
        return None if found is None else _ticket(cast("Reply", found))

    async def latest(self, limit: int) -> tuple[Ticket, ...]:
        """Open tickets, then final ones."""
        rows = cast("Sequence[Reply]", await self._call("latest", limit))
        return tuple(_ticket(row) for row in rows[:limit])

    async def cancel(self, ticket_id: str) -> Ticket | None:
        """Fail it unless it is final."""
        found = await self._call("cancel", ticket_id, _error(CANCELLED))
        return None if found is None else _ticket(cast("Reply", found))

    async def take(self) -> Delivery | None:
        """The next request. After a lost reply the next call asks for that very delivery (X3)."""
        key = self._unanswered.pop() if self._unanswered else uuid.uuid4().hex
        try:
            found = await self._call("take", key)
        except BackendUnavailable:
            self._unanswered.append(key)
            raise
        if found is None:
            return None
        row, body = cast("tuple[Reply, bytes]", found)[:2]
        ticket = _ticket(row)
        return Delivery(ticket=ticket, token=ticket.attempts, body=body)

    async def renew(self, delivery: Delivery) -> bool:
        """Start the lease anew."""
        return await self._call("renew", delivery.ticket.id, delivery.token) == 1

    async def finish(self, delivery: Delivery, result: Answer | TicketError) -> bool:
        """Write the result, once."""
        written = (
            ("failed", "error", _error(result))
            if isinstance(result, TicketError)
            else ("done", "answer", encode_answer(result))
        )
        return await self._call("finish", delivery.ticket.id, delivery.token, *written) == 1

    async def put_back(self, delivery: Delivery, *, delay_s: float) -> bool:
        """Give it back."""
        return await self._call("back", delivery.ticket.id, delivery.token, _ms(delay_s)) == 1

    async def take_hook(self) -> Hook | None:
        """The next webhook that is due."""
        found = await self._call("hook")
        if found is None:
            return None
        fields = _fields(cast("Reply", found))
        return Hook(ticket=_ticket_of(fields), url=fields["url"].decode(), tries=int(fields["tries"]))

    async def close_hook(self, hook: Hook, *, delivered: bool) -> None:
        """Told, or given up."""
        status = HookStatus.DELIVERED if delivered else HookStatus.FAILED
        await self._call("hooked", hook.ticket.id, hook.tries, status.value, 0)

    async def delay_hook(self, hook: Hook, *, delay_s: float) -> None:
        """Later."""
        await self._call("hooked", hook.ticket.id, hook.tries, HookStatus.PENDING.value, _ms(delay_s))

    async def _call(self, operation: str, *args: str | int | bytes) -> object:
        try:
            script = self._put if operation == "put" else self._script
            return await script(keys=[PREFIX], args=[operation, *self._head, *args])
        except (RedisError, OSError) as exc:
            if self._missed is not None and not isinstance(exc, OutOfMemoryError):
                self._missed()
            problem = f"{type(exc).__name__} while talking to the queue"
            raise BackendUnavailable("redis.state", problem) from exc


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _error(error: TicketError) -> str:
    return json.dumps({"code": error.code, "message": error.message})


def _fields(row: Reply) -> dict[str, bytes]:
    flat = cast("Sequence[bytes]", row)
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _ticket(row: Reply) -> Ticket:
    return _ticket_of(_fields(row))


def _ticket_of(fields: Mapping[str, bytes]) -> Ticket:
    position, not_before = fields.get("position"), fields["not_before"]
    answer, error = fields.get("answer"), fields.get("error")
    return Ticket(
        id=fields["id"].decode(),
        status=_status(fields),
        priority=cast("Priority", fields["priority"].decode()),
        tenant_id=fields["tenant"].decode(),
        user_id=fields["user"].decode(),
        created_s=int(fields["created"]) / 1000,
        expires_s=int(fields["expires"]) / 1000,
        attempts=int(fields["attempts"]),
        not_before_s=int(not_before) / 1000 if not_before else None,
        position=int(position) if position else None,
        answer=decode_answer(answer) if answer else None,
        error=decode_error(error) if error else None,
        webhook=_hook(fields["hook"].decode()),
    )


def _status(fields: Mapping[str, bytes]) -> TicketStatus:
    """One that a later release brought is shown as the nearest of ours: concluded if there is a result."""
    with suppress(ValueError):
        return TicketStatus(fields["status"].decode())
    if fields.get("answer"):
        return TicketStatus.DONE
    return TicketStatus.FAILED if fields.get("error") else TicketStatus.RUNNING


def _hook(status: str) -> HookStatus:
    try:
        return HookStatus(status)
    except ValueError:
        return HookStatus.PENDING
