"""The one background task of a shared breaker store: sends what nobody waits for, many subjects in one message."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable, Callable

from engine.resilience.known import Known

SUBJECTS_PER_MESSAGE = 128
"""Enough for one round trip, few enough that the server is not busy for long."""


class Sender:
    """Runs only while there is something to send."""

    def __init__(
        self,
        deliver: Callable[[list[Known]], Awaitable[None]],
        register: Callable[[], Awaitable[None]],
        every_s: float,
    ) -> None:
        """``deliver`` sends for up to ``SUBJECTS_PER_MESSAGE`` subjects; ``register`` follows each round."""
        self._deliver = deliver
        self._register = register
        self._every_s = every_s
        self._waiting: dict[str, Known] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The task, if there ever was one."""
        return self._task

    def waits(self, subject: str) -> bool:
        """Whether something of ``subject`` is to be sent."""
        return subject in self._waiting

    def later(self, known: Known) -> None:
        """Send for ``known`` in the next round."""
        self._waiting[known.subject] = known
        self.wake()

    def wake(self) -> None:
        """See to it that there is a next round."""
        if not self._closing and (self._task is None or self._task.done()):
            # In a context of its own: what it loses must not count as a failure of the request that woke it.
            self._task = asyncio.create_task(self._run(), name="breaker reports", context=contextvars.Context())

    async def flush(self) -> None:
        """One round, now. Cancelled, it leaves what it had not come to for the next one."""
        rest, self._waiting = self._waiting, {}
        try:
            while rest:
                some = list(itertools.islice(rest, SUBJECTS_PER_MESSAGE))
                await self._deliver([rest.pop(subject) for subject in some])
        finally:
            self._waiting = rest | self._waiting
        await self._register()

    async def aclose(self) -> None:
        """Stop the task and send what waits."""
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        while True:
            for known in list(self._waiting.values()):
                await known.lock.acquire()  # a round leaves out whoever has a message on its way
                known.lock.release()
            await self.flush()
            if not self._waiting:
                return

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self.flush()
            if not self._waiting:
                return
