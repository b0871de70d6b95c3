"""Where an engine's tickets are handed in and out: the queue's store, opened on first use, and its worker.

``engine.app`` gives it to callers. Nothing is started before the first ticket or ``work``: opening an engine for
one question must not begin to work on other people's. ``engine/queue`` holds the parts and knows nothing of
requests that run.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from typing import Protocol

from pydantic import SecretStr
from redis.asyncio import Redis

from configs.errors import ConfigError
from configs.kernel import Deadline
from configs.settings import Settings
from engine.errors import InvalidInput, QueueFull, UnknownTicket
from engine.once import Once
from engine.queue.contract import Enqueue, Full, OtherRequest
from engine.queue.redis_queue import RedisQueue
from engine.queue.stored import QueuedRequest, digest, encode, scoped
from engine.queue.webhook import WebhookPost
from engine.queue.worker import QueueWorker, Worked
from engine.ticket import Ticket
from engine.types import Answer, Request
from memory.errors import BackendUnavailable

Run = Callable[[Request], Awaitable[Answer]]
log = logging.getLogger(__name__)


class State(Protocol):
    """``redis.state`` as the engine holds it (``engine.redis_state.StateRedis``)."""

    async def client(self) -> Redis:
        """The client. Raises ``BackendUnavailable``."""
        ...

    def missed(self) -> None:
        """It was not there."""
        ...


class TicketDesk:
    """The queue of one engine. Every method raises ``BackendUnavailable`` when ``redis.state`` is not there."""

    def __init__(self, settings: Settings, state: State, run: Run, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._state = state
        self._run = run
        self._secret = _secret(settings.queue.webhook_secret_env, environ)
        self._store = Once(self._open)
        self._worker: QueueWorker | None = None
        self._working: asyncio.Task[None] | None = None

    async def put(self, request: Request, *, delay_s: float) -> Ticket:
        """Queue ``request`` for ``delay_s`` from now on, and work on the queue from now on.

        Raises ``QueueFull``, and ``InvalidInput`` (codes ``prompt_too_large``, ``idempotency_conflict``).
        """
        queue = self._settings.queue
        queued = _queued(request, self._settings.request.deadline_s)
        body = encode(queued)
        if len(body) > queue.request_bytes_max:
            raise InvalidInput(
                f"the request has {len(body):,} bytes as JSON, at most {queue.request_bytes_max:,} are queued",
                hint="shorten it, or raise queue.request_bytes_max",
                code="prompt_too_large",
            )
        principal, key = request.principal, request.idempotency_key
        store = await self._store.get()
        put = await store.put(
            Enqueue(
                id=request.id,
                priority=request.priority,
                tenant_id=principal.tenant_id,
                user_id=principal.user_id,
                body=body,
                digest=digest(queued),
                delay_s=delay_s,
                idempotency=None if key is None else scoped(principal, key),
                webhook=request.webhook,
            )
        )
        match put:
            case Full():
                raise QueueFull(put.length, queue.retry_s)
            case OtherRequest():
                raise InvalidInput(
                    "this idempotency_key belongs to another request",
                    hint="use a key once per request",
                    code="idempotency_conflict",
                )
            case Ticket():
                self.start()
                return put

    async def get(self, ticket_id: str) -> Ticket:
        """The ticket as it stands. Raises ``UnknownTicket``."""
        return _known(await (await self._store.get()).get(ticket_id), ticket_id)

    async def cancel(self, ticket_id: str) -> Ticket:
        """Fail it with code ``cancelled`` unless it is final. Raises ``UnknownTicket``."""
        return _known(await (await self._store.get()).cancel(ticket_id), ticket_id)

    async def latest(self, limit: int) -> tuple[Ticket, ...]:
        """At most ``limit`` tickets: open ones, then final ones, newest first."""
        return await (await self._store.get()).latest(limit)

    async def wait(self, ticket_id: str, timeout_s: float | None) -> Ticket:
        """The ticket once it is final, or as it stands after ``timeout_s``. Raises ``UnknownTicket``.

        Waits through an outage of the store that is shorter than ``queue.lease_s``.
        """
        patience = asyncio.timeout(timeout_s)
        ticket = await self.get(ticket_id)
        seen_s = time.monotonic()
        try:
            async with patience:
                while not (ticket.status.final or patience.expired()):
                    await asyncio.sleep(self._settings.queue.poll_s)
                    try:
                        ticket, seen_s = await self.get(ticket_id), time.monotonic()
                    except BackendUnavailable:
                        if time.monotonic() - seen_s > self._settings.queue.lease_s:
                            raise
        except TimeoutError:
            if not patience.expired():
                raise
        return ticket

    def start(self) -> None:
        """Work on the queue in the background until ``aclose``; again and it looks at once."""
        if self._working is None or self._working.done():
            # In a context of its own: whoever starts it may be a request, with deadline, depth and trace.
            self._working = asyncio.create_task(self.work(), context=Context())
            self._working.add_done_callback(_log_end)
        elif self._worker is not None:
            self._worker.wake()

    async def work(self, on_step: Callable[[Worked], None] | None = None) -> None:
        """Work on the queue until cancelled; what is under way then goes back to its place."""
        store = await self._store.get()
        # In a thread: httpx reads the certificates from disk.
        post = await asyncio.to_thread(WebhookPost, self._settings.queue, self._secret)
        try:
            self._worker = QueueWorker(store, self._execute, post, self._settings.queue, on_step=on_step)
            await self._worker.run()
        finally:
            await post.aclose()

    async def aclose(self) -> None:
        """Stop working; the client of the store belongs to whoever gave it."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait((self._working,))
        await self._store.settle()

    async def _open(self) -> RedisQueue:
        return RedisQueue(await self._state.client(), self._settings.queue, missed=self._state.missed)

    async def _execute(self, queued: QueuedRequest) -> Answer:
        return await self._run(
            Request(
                id=queued.id,
                principal=queued.principal,
                messages=queued.messages,
                max_tokens=queued.max_tokens,
                temperature=queued.temperature,
                deadline=Deadline.after(queued.deadline_s, now_s=time.monotonic()),
                agent=queued.agent,
                models=queued.models,
                cache=queued.cache,
                ttl_s=queued.ttl_s,
                tags=queued.tags,
                data_class=queued.data_class,
                region=queued.region,
                priority=queued.priority,
            )
        )


def _queued(request: Request, deadline_s: float) -> QueuedRequest:
    return QueuedRequest(
        id=request.id,
        principal=request.principal,
        messages=request.messages,
        deadline_s=deadline_s if request.deadline_s is None else request.deadline_s,
        priority=request.priority,
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        agent=request.agent,
        models=request.models,
        cache=request.cache,
        ttl_s=request.ttl_s,
        tags=request.tags,
        data_class=request.data_class,
        region=request.region,
    )


def _known(ticket: Ticket | None, ticket_id: str) -> Ticket:
    if ticket is None:
        raise UnknownTicket(ticket_id)
    return ticket


def _secret(variable: str | None, environ: Mapping[str, str]) -> SecretStr | None:
    if variable is None:
        return None
    if not environ.get(variable):
        raise ConfigError(
            f"queue.webhook_secret_env names {variable}, which is not set",
            hint="set it, or leave the setting out: webhooks are then not signed",
        )
    return SecretStr(environ[variable])


def _log_end(working: asyncio.Task[None]) -> None:
    if not working.cancelled() and (error := working.exception()) is not None:
        log.error("the queue's worker ended: %s", type(error).__name__, exc_info=error)
