"""An encoder on a thread of its own, so that the event loop never waits for a model (``TextEncoder``).

Loads on first use, once however many ask at the same moment, because loading is the thread's first job. Long
batches give way: a job is a few short texts or one long one, so a question waits for one job at most, tens of
milliseconds, and a cancelled caller stops there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Protocol, TypeVar

import numpy as np

from engine.errors import EngineClosed
from engine.routing.contract import Reading, Vectors
from engine.routing.encoder import DIMENSIONS

T = TypeVar("T")
SLICE_CHARS: Final = 400


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
        done = [await self._run(partial(_encode, some)) for some in _slices(texts)]
        return np.concatenate([np.empty((0, DIMENSIONS), dtype=np.float32), *done])

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


def _encode(texts: Sequence[str], encoder: Encoder) -> Vectors:
    return encoder.encode(texts)


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """``texts`` in order, each slice at most ``SLICE_CHARS`` characters long or a single text."""
    start, chars = 0, 0
    for end, text in enumerate(texts):
        if end > start and chars + len(text) > SLICE_CHARS:
            yield texts[start:end]
            start, chars = end, 0
        chars += len(text)
    if start < len(texts):
        yield texts[start:]


def _closed() -> EngineClosed:
    return EngineClosed("the encoder has been closed", hint="ask inside `async with Engine.open(…)`")
