"""An encoder on a thread of its own, so that the event loop never waits for a model (``TextEncoder``).

Loads on first use, once however many ask at the same moment, because loading is the thread's first job. Long
batches give way: each text is a job, so a question waits for one text at most and a cancelled caller stops there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from engine.errors import EngineClosed
from engine.routing.contract import Reading, Vectors
from engine.routing.encoder import DIMENSIONS

T = TypeVar("T")


class Encoder(Protocol):
    """What runs on the thread; ``engine.routing.encoder.MiniLm``."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text."""
        ...

    def read(self, text: str) -> Reading:
        """Vector and familiarity."""
        ...


class EncoderThread:
    """The ``TextEncoder`` of a running engine. Close it; a load that failed is tried again by the next caller."""

    def __init__(self, load: Callable[[], Encoder]) -> None:
        self._load = load
        self._encoder: Encoder | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._closed = False

    async def warm(self) -> None:
        """Load the model now. Raises ``ModelFileError``, ``EngineClosed``."""
        await self._run(lambda _: None)

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        """See ``TextEncoder``."""
        out = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, text in enumerate(texts):
            out[row] = await self._run(lambda encoder, text=text: encoder.encode((text,))[0])
        return out

    async def aread(self, text: str) -> Reading:
        """See ``TextEncoder``."""
        return await self._run(lambda encoder: encoder.read(text))

    async def aclose(self) -> None:
        """Finish the text in hand, drop what waits (those callers get ``EngineClosed``), end the thread."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        self._encoder = None

    async def _run(self, job: Callable[[Encoder], T]) -> T:
        if self._closed:
            raise _closed()
        try:
            return await asyncio.wrap_future(self._executor.submit(lambda: job(self._loaded())))
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise _closed() from exc
            raise

    def _loaded(self) -> Encoder:
        if self._encoder is None:
            self._encoder = self._load()
        return self._encoder


def _closed() -> EngineClosed:
    return EngineClosed("the encoder has been closed", hint="ask inside `async with Engine.open(…)`")
