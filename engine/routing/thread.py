"""An encoder on threads of its own, so that the event loop never waits for a model (``TextEncoder``).

Loads on first use, once however many ask at the same moment. Every question is read once: whoever asks for the
same text again, at the same moment or soon after, shares the reading, so that semantic cache, guard, router and
recall cost one run of the model together. Questions that wait are read side by side (decision 0006).
Long batches give way: a job is a few short texts or one long one, so a question waits for one job at most.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from typing import Final, Protocol, TypeVar

import numpy as np

from configs.settings import EncoderSettings
from engine.errors import EmbeddingInvalid, EngineClosed
from engine.routing.contract import Reading, Vectors
from engine.routing.encoder import DIMENSIONS

T = TypeVar("T")
SLICE_CHARS: Final = 400
NICENESS: Final = 10
TOGETHER: Final = 16
"""Questions of one job; all of them wait for the last of them."""


class Encoder(Protocol):
    """What runs on the threads; ``engine.routing.encoder.MiniLm``. Safe for several threads at once."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text."""
        ...

    def read_all(self, texts: Sequence[str]) -> list[Reading | EmbeddingInvalid]:
        """Vector and familiarity of each."""
        ...


class _Question:
    """One text that is being read, and how many wait for it."""

    __slots__ = ("answer", "text", "waiters")

    def __init__(self, text: str) -> None:
        self.text = text
        self.waiters = 0
        self.answer: asyncio.Future[Reading] = asyncio.get_running_loop().create_future()

    def fail(self, error: BaseException) -> None:
        """Tell whoever waits; nobody may have stayed."""
        if self.waiters:
            self.answer.set_exception(error)
        else:
            self.answer.cancel()


class EncoderThread:
    """The ``TextEncoder`` of a running engine. Close it; a load that failed is tried again by the next caller."""

    def __init__(self, load: Callable[[], Encoder], settings: EncoderSettings) -> None:
        self._load = load
        self._encoder: Encoder | None = None
        self._loading = threading.Lock()
        self._workers = settings.workers
        self._executor = ThreadPoolExecutor(
            max_workers=settings.workers, thread_name_prefix="encoder", initializer=_step_back
        )
        self._closed = False
        self._remembered_max = settings.remembered
        self._remembered: OrderedDict[bytes, Reading] = OrderedDict()
        self._asked: dict[bytes, _Question] = {}
        self._waiting: OrderedDict[bytes, _Question] = OrderedDict()
        self._jobs = 0

    async def warm(self) -> None:
        """Load the model now. Raises ``ModelFileError``, ``EngineClosed``."""
        await self._run(lambda _: None)

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        """See ``TextEncoder``."""
        done = [await self._run(partial(_encode, some)) for some in _slices(texts)]
        return np.concatenate([np.empty((0, DIMENSIONS), dtype=np.float32), *done])

    async def aread(self, text: str) -> Reading:
        """See ``TextEncoder``."""
        if self._closed:
            raise _closed()
        key = _key(text)
        known = self._remembered.get(key)
        if known is not None:
            self._remembered.move_to_end(key)
            return known
        question = self._asked.get(key)
        if question is None:
            question = self._asked[key] = self._waiting[key] = _Question(text)
            self._read_on()
        question.waiters += 1
        try:
            return await asyncio.shield(question.answer)
        finally:
            question.waiters -= 1
            if not question.waiters and self._waiting.get(key) is question:
                del self._waiting[key], self._asked[key]
                question.answer.cancel()

    def peek(self, text: str) -> Vectors | None:
        """The vector of ``text`` if it is among the remembered ones. Reads nothing."""
        known = self._remembered.get(_key(text))
        return None if known is None else known.vector

    async def aclose(self) -> None:
        """Finish the texts in hand, drop what waits (those callers get ``EngineClosed``), end the threads."""
        self._closed = True
        for key, question in self._waiting.items():
            del self._asked[key]
            question.fail(_closed())
        self._waiting.clear()
        await asyncio.to_thread(self._executor.shutdown, wait=True, cancel_futures=True)
        self._encoder = None

    def _read_on(self) -> None:
        """Give what waits to the threads that are free, in equal shares."""
        while self._waiting and self._jobs < self._workers:
            share = -(-len(self._waiting) // (self._workers - self._jobs))
            taken = [self._waiting.popitem(last=False) for _ in range(min(share, TOGETHER))]
            texts = [question.text for _, question in taken]
            self._jobs += 1
            job = asyncio.wrap_future(self._executor.submit(self._job, partial(_read_all, texts)))
            job.add_done_callback(partial(self._have_read, taken))

    def _have_read(
        self,
        taken: Sequence[tuple[bytes, _Question]],
        job: asyncio.Future[list[Reading | EmbeddingInvalid]],
    ) -> None:
        self._jobs -= 1
        failed = _closed() if job.cancelled() else job.exception()
        answers = [failed] * len(taken) if failed is not None else job.result()
        self._hand_out(list(zip(taken, answers, strict=True)))
        if not self._closed:
            self._read_on()

    def _hand_out(self, left: list[tuple[tuple[bytes, _Question], Reading | BaseException | None]]) -> None:
        """One reading a turn of the loop: who gets it goes on at once, and a job's worth of that is too long."""
        ((key, question), answer), *rest = left
        del self._asked[key]
        if isinstance(answer, Reading):
            question.answer.set_result(answer)
            self._remember(key, answer)
        elif answer is not None:
            question.fail(answer)
        if rest:
            asyncio.get_running_loop().call_soon(self._hand_out, rest)

    def _remember(self, key: bytes, reading: Reading) -> None:
        self._remembered[key] = reading
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)

    async def _run(self, work: Callable[[Encoder], T]) -> T:
        if self._closed:
            raise _closed()
        try:
            return await asyncio.wrap_future(self._executor.submit(self._job, work))
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if self._closed and task is not None and not task.cancelling():
                raise _closed() from exc
            raise

    def _job(self, work: Callable[[Encoder], T]) -> T:
        """On a thread."""
        with self._loading:
            if self._encoder is None:
                self._encoder = self._load()
        return work(self._encoder)


def _step_back() -> None:
    """Let the event loop go first where there are more threads than cores (Linux: niceness is a thread's own)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _encode(texts: Sequence[str], encoder: Encoder) -> Vectors:
    return encoder.encode(texts)


def _read_all(texts: Sequence[str], encoder: Encoder) -> list[Reading | EmbeddingInvalid]:
    return encoder.read_all(texts)


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


def _key(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _closed() -> EngineClosed:
    return EngineClosed("the encoder has been closed", hint="ask inside `async with Engine.open(…)`")
