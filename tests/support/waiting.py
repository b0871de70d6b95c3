"""Waiting for what happens in the background: a condition, looked at again and again, with a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

GUARD_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` holds; ``TimeoutError`` after ``GUARD_S``."""

    async def look() -> bool:
        return condition()

    await until_async(look)


async def until_async(condition: Callable[[], Awaitable[bool]]) -> None:
    """The same for a condition that has to be awaited."""
    async with asyncio.timeout(GUARD_S):
        while not await condition():  # noqa: ASYNC110 - there is no event for what another replica does
            await asyncio.sleep(0)
