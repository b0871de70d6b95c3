"""Something that is made on first use, once, however many ask at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """A value made by ``make`` when first asked for. A failure is raised to all who wait and not remembered."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._task: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """The value. A caller that is cancelled does not stop the making for the others."""
        if self._task is None or (self._task.done() and _failed(self._task)):
            self._task = asyncio.create_task(self._run())
        return await asyncio.shield(self._task)

    def peek(self) -> T | None:
        """The value if it has been made."""
        task = self._task
        return None if task is None or not task.done() or _failed(task) else task.result()

    async def settle(self) -> None:
        """Stop a making that is under way and wait for its end, for a clean end of the engine."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> T:
        return await self._make()


def _failed(task: asyncio.Task[T]) -> bool:
    return task.cancelled() or task.exception() is not None
