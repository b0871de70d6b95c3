"""Many requests with bounded concurrency (run.batch). Not packing: one request is one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from configs.errors import SwitchgearError
from configs.settings import RequestSettings
from engine.errors import InvalidInput
from engine.types import Answer

Ask = Callable[[], Awaitable[Answer]]


async def answer_all(
    asks: Sequence[Ask],
    limits: RequestSettings,
    *,
    concurrency: int | None,
    on_done: Callable[[int, int], None] | None,
) -> list[Answer | SwitchgearError]:
    """The answers in order, at most ``concurrency`` under way; a request that fails leaves its error in its place.

    ``on_done(done, total)`` is called after each. Raises ``InvalidInput`` for too many and for no concurrency.
    """
    if len(asks) > limits.batch_max:
        raise InvalidInput(f"{len(asks)} prompts, at most {limits.batch_max} are taken", code="batch_too_large")
    width = limits.batch_concurrency if concurrency is None else concurrency
    if width < 1:
        raise InvalidInput("concurrency must be at least 1", code="invalid_option")
    places = asyncio.Semaphore(width)

    async def one(ask: Ask) -> Answer | SwitchgearError:
        async with places:
            try:
                return await ask()
            except SwitchgearError as exc:
                return exc

    tasks = [asyncio.create_task(one(ask)) for ask in asks]
    try:
        for done, task in enumerate(asyncio.as_completed(tasks), start=1):
            await task
            if on_done is not None:
                on_done(done, len(asks))
        return [task.result() for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
