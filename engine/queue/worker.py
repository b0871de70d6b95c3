"""Works on queued requests: takes one, keeps its lease alive, runs it, writes down the end.

Knows nothing of engines: ``execute`` is given. A request whose routes are all out goes back for later; every other
error is its result. Stopping gives back what is under way. A worker that dies needs no farewell: its leases end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from configs.errors import SwitchgearError
from configs.settings import QueueSettings
from engine.errors import AllRoutesUnavailable, EngineClosed
from engine.queue.contract import Delivery, Hook, HookOutbox, RequestQueue
from engine.queue.stored import NotReadable, QueuedRequest, decode
from engine.ticket import TicketError
from engine.types import Answer
from memory.errors import BackendUnavailable

Execute = Callable[[QueuedRequest], Awaitable[Answer]]
PostHook = Callable[[Hook], Awaitable[bool]]
BEATS_PER_LEASE = 3
DOUBLINGS_MAX = 30
# What a record that nobody foresaw, or a mistake of ours, raises. No OSError: a closed terminal ends a worker.
UNFORESEEN = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """One step of a worker, for people who watch. ``lost``: it was concluded elsewhere, or cancelled."""

    ticket_id: str
    what: Literal["taken", "done", "failed", "later", "lost", "hook_delivered", "hook_later", "hook_failed"]
    detail: str = ""


class Store(RequestQueue, HookOutbox, Protocol):
    """What a worker needs of the queue."""


def pause_s(settings: QueueSettings, attempts: int) -> float:
    """How long to wait after the ``attempts``-th try: ``retry_s``, doubled each time, at most ``retry_s_max``."""
    return min(settings.retry_s * 2 ** min(attempts - 1, DOUBLINGS_MAX), settings.retry_s_max)


def _cancelled() -> bool:
    """Whether this task has been told to end, also when a library has lost that: one that is cancelled as its
    reply arrives may return the reply instead (``asyncio.wait_for`` in Python 3.11), and a loop would never end.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class QueueWorker:
    """Runs ``queue.concurrency`` requests at once, and one webhook, until ``run`` is cancelled."""

    def __init__(
        self,
        store: Store,
        execute: Execute,
        post: PostHook,
        settings: QueueSettings,
        *,
        on_step: Callable[[Worked], None] | None = None,
    ) -> None:
        self._store = store
        self._execute = execute
        self._post = post
        self._settings = settings
        self._on_step = on_step
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something new: look now rather than at the next ``poll_s``."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. What is under way then goes back to its place in the queue."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._settings.concurrency):
                group.create_task(self._for_ever(self._one_request))
            group.create_task(self._for_ever(self._one_hook))

    async def _for_ever(self, step: Callable[[], Awaitable[bool]]) -> None:
        while not _cancelled():
            self._wake.clear()
            try:
                busy = await step()
            except BackendUnavailable:
                busy = False  # leases and records are in the store: when it is back, so is everything else
            except UNFORESEEN as exc:
                # Its lease ends and counts as a death, so it comes to an end; the others go on. Its words may
                # quote a prompt, so only its kind is written down.
                log.error("a step of the queue's worker failed: %s", type(exc).__name__)  # noqa: TRY400 - no words of it
                busy = False
            if not busy:
                await self._idle()
        raise asyncio.CancelledError

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _one_request(self) -> bool:
        delivery = await self._take()
        if delivery is None:
            return False
        self._tell(delivery.ticket.id, "taken")
        try:
            request = decode(delivery.body)
        except NotReadable as exc:
            await self._unreadable(delivery, exc)
            return True
        work = asyncio.ensure_future(self._execute(request))
        beat = asyncio.ensure_future(self._keep(delivery))
        try:
            await asyncio.wait((work, beat), return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not work.cancelled():
                await self._conclude(delivery, work)
            else:
                self._tell(delivery.ticket.id, "lost")
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(delivery, work))
            raise
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.wait((work, beat))
            if not work.cancelled():
                work.exception()  # of work that was no longer ours: nobody else will look at it
        return True

    async def _take(self) -> Delivery | None:
        """The next request; one that arrives while this worker is being stopped goes back at once."""
        taking = asyncio.ensure_future(self._store.take())
        try:
            await asyncio.wait((taking,))
        except asyncio.CancelledError:
            await asyncio.shield(self._untake(taking))
            raise
        return taking.result()

    async def _untake(self, taking: asyncio.Future[Delivery | None]) -> None:
        await asyncio.wait((taking,))
        try:
            if (delivery := taking.result()) is not None:
                await self._store.put_back(delivery, delay_s=0.0)
        except BackendUnavailable:
            pass  # if it was taken, its lease ends by itself

    async def _keep(self, delivery: Delivery) -> None:
        """Renew the lease for as long as it is ours; returns when it is not."""
        while not _cancelled():
            await asyncio.sleep(self._settings.lease_s / BEATS_PER_LEASE)
            try:
                if not await self._store.renew(delivery):
                    return
            except BackendUnavailable:
                continue  # if it stays away, the lease ends and somebody else may run it too: at least once

    async def _conclude(self, delivery: Delivery, work: asyncio.Future[Answer]) -> None:
        error = work.exception()
        if error is None:
            await self._write(delivery, work.result())
        elif isinstance(error, AllRoutesUnavailable):
            await self._later(delivery, error.retry_after_s or 0.0)
        elif isinstance(error, EngineClosed):
            await self._store.put_back(delivery, delay_s=0.0)
        elif isinstance(error, SwitchgearError):
            await self._write(delivery, TicketError(code=error.code, message=error.message))
        else:
            await self._write(delivery, TicketError(code="internal_error", message=type(error).__name__))

    async def _write(self, delivery: Delivery, result: Answer | TicketError) -> None:
        """Write the result; while the store is away, as long as a lease: the work is done and would be lost."""
        patience = asyncio.timeout(self._settings.lease_s)
        try:
            async with patience:
                while True:
                    try:
                        written = await self._store.finish(delivery, result)
                        break
                    except BackendUnavailable:
                        await asyncio.sleep(self._settings.poll_s)
        except TimeoutError:
            written = False
        failed = isinstance(result, TicketError)
        self._tell(
            delivery.ticket.id,
            ("failed" if failed else "done") if written else "lost",
            result.message if failed else "",
        )
        self.wake()  # it may have a webhook

    async def _later(self, delivery: Delivery, wanted_s: float) -> None:
        delay_s = max(wanted_s, pause_s(self._settings, delivery.ticket.attempts))
        kept = await self._store.put_back(delivery, delay_s=delay_s)
        self._tell(delivery.ticket.id, "later" if kept else "lost", f"again in {delay_s:.0f} s")

    async def _unreadable(self, delivery: Delivery, problem: NotReadable) -> None:
        if problem.newer:  # a replica of the release that wrote it will read it
            await self._later(delivery, 0.0)
        else:
            await self._write(delivery, TicketError(code="request_unreadable", message=str(problem)))

    async def _give_back(self, delivery: Delivery, work: asyncio.Future[Answer]) -> None:
        """The worker is stopping: finished work is written down, unfinished work goes back to its place.

        Takes ``queue.stop_s`` at most, however long ``_write`` would wait for the store (fault 71).
        """
        try:
            async with asyncio.timeout(self._settings.stop_s):
                if work.done() and not work.cancelled():
                    await self._conclude(delivery, work)
                else:
                    work.cancel()
                    await asyncio.wait((work,))
                    await self._store.put_back(delivery, delay_s=0.0)
        except (BackendUnavailable, TimeoutError):
            pass  # its lease ends by itself

    async def _one_hook(self) -> bool:
        hook = await self._store.take_hook()
        if hook is None:
            return False
        if await self._post(hook):
            await self._store.close_hook(hook, delivered=True)
            self._tell(hook.ticket.id, "hook_delivered")
        elif hook.tries >= self._settings.webhook_tries:
            await self._store.close_hook(hook, delivered=False)
            self._tell(hook.ticket.id, "hook_failed")
        else:
            await self._store.delay_hook(hook, delay_s=pause_s(self._settings, hook.tries))
            self._tell(hook.ticket.id, "hook_later")
        return True

    def _tell(
        self,
        ticket_id: str,
        what: Literal["taken", "done", "failed", "later", "lost", "hook_delivered", "hook_later", "hook_failed"],
        detail: str = "",
    ) -> None:
        if self._on_step is not None:
            self._on_step(Worked(ticket_id=ticket_id, what=what, detail=detail))
