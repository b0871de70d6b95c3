"""The encoder's thread: one load for all, the loop stays free, cancelling and closing leave nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from configs.settings import EncoderSettings
from engine.errors import EmbeddingInvalid, EngineClosed, ModelFileError
from engine.routing.contract import Reading, Vectors
from engine.routing.encoder import DIMENSIONS
from engine.routing.thread import SLICE_CHARS, EncoderThread

GUARD_S = 5.0
ALONE = EncoderSettings(workers=1)
TOGETHER = EncoderSettings(workers=2)


class _Gated:
    """Encodes when it is let; remembers what it was given and on which thread."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.seen: list[str] = []
        self.jobs: list[int] = []
        self.threads: set[int] = set()

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.threads.add(threading.get_ident())
        self.seen += texts
        self.entered.set()
        assert self.gate.wait(GUARD_S)
        return np.full((len(texts), DIMENSIONS), len(texts[0]), dtype=np.float32)

    def read_all(self, texts: Sequence[str]) -> list[Reading | EmbeddingInvalid]:
        self.jobs.append(len(texts))
        return [Reading(vector=self.encode([text])[0], familiarity=1.0) for text in texts]


async def _entered(encoder: _Gated) -> None:
    assert await asyncio.to_thread(encoder.entered.wait, GUARD_S)


@pytest.mark.req("route.embed")
async def test_many_first_callers_share_one_load() -> None:
    """Ten callers at once: the model is loaded once, off the event loop's thread."""
    loads: list[int] = []
    gated = _Gated()
    gated.gate.set()

    def load() -> _Gated:
        loads.append(threading.get_ident())
        return gated

    thread = EncoderThread(load, ALONE)
    readings = await asyncio.gather(*(thread.aread("abc") for _ in range(10)))
    await thread.aclose()
    assert len(loads) == 1
    assert gated.threads == set(loads)
    assert threading.get_ident() not in gated.threads
    assert [float(r.vector[0]) for r in readings] == [3.0] * 10


async def test_a_failed_load_reaches_every_caller_and_is_tried_again() -> None:
    """A missing file that has been put back works without a new engine."""
    gated = _Gated()
    gated.gate.set()
    answers = iter([ModelFileError("gone"), ModelFileError("gone")])

    def load() -> _Gated:
        for error in answers:
            raise error
        return gated

    thread = EncoderThread(load, ALONE)
    failed = await asyncio.gather(thread.warm(), thread.aread("a"), return_exceptions=True)
    assert [type(error) for error in failed] == [ModelFileError, ModelFileError]
    assert (await thread.aencode(["ab"]))[0, 0] == 2.0
    await thread.aclose()


async def test_a_question_does_not_wait_for_a_long_batch() -> None:
    """A batch gives way after each long text: the question is second in line, not hundredth."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    batch = asyncio.create_task(thread.aencode([f"text {n} " * SLICE_CHARS for n in range(100)]))
    await _entered(gated)
    question = asyncio.create_task(thread.aread("question"))
    await asyncio.sleep(0)
    gated.gate.set()
    async with asyncio.timeout(GUARD_S):
        await question
        assert gated.seen.index("question") == 1
        assert (await batch).shape == (100, DIMENSIONS)
    await thread.aclose()


async def test_short_texts_share_a_job() -> None:
    """Crossing threads for each would cost more than encoding them; order and number are kept."""
    jobs: list[int] = []

    class _Lengths(_Gated):
        def encode(self, texts: Sequence[str]) -> Vectors:
            jobs.append(len(texts))
            return np.array([[len(text)] * DIMENSIONS for text in texts], dtype=np.float32)

    thread = EncoderThread(_Lengths, ALONE)
    texts = ["a" * 100, "b" * 200, "c" * 100, "d", "e" * 1000, "f", "g" * 399, "h"]
    vectors = await thread.aencode(texts)
    await thread.aclose()
    assert vectors[:, 0].tolist() == [len(text) for text in texts]
    assert jobs == [3, 1, 1, 2, 1]


async def test_a_cancelled_batch_stops_after_the_text_in_hand() -> None:
    """What was not begun is never encoded, and the thread serves the next caller."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    batch = asyncio.create_task(thread.aencode(["first", "second" * SLICE_CHARS, "third"]))
    await _entered(gated)
    batch.cancel()
    gated.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await batch
    await thread.aread("next")
    assert gated.seen == ["first", "next"]
    await thread.aclose()


async def test_closing_refuses_callers_that_wait_and_callers_that_come() -> None:
    """They get a typed error, not a cancellation they did not ask for."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    running = asyncio.create_task(thread.aread("running"))
    await _entered(gated)
    waiting = asyncio.create_task(thread.aread("waiting"))
    await asyncio.sleep(0)
    closing = asyncio.create_task(thread.aclose())
    with pytest.raises(EngineClosed):
        await waiting
    gated.gate.set()
    await closing
    assert (await running).familiarity == 1.0
    with pytest.raises(EngineClosed):
        await thread.warm()
    assert gated.seen == ["running"]


async def test_closing_twice_is_closing_once() -> None:
    """Also when nothing was ever loaded."""
    loads: list[str] = []
    thread = EncoderThread(lambda: loads.append("load") or _Gated(), ALONE)
    await thread.aclose()
    await thread.aclose()
    assert loads == []


async def test_a_caller_cancelled_while_the_engine_closes_stays_cancelled() -> None:
    """Its own cancellation is not turned into an error."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    running = asyncio.create_task(thread.aread("running"))
    await _entered(gated)
    closing = asyncio.create_task(thread.aclose())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    gated.gate.set()
    await closing
    assert running.cancelled()


@pytest.mark.req("route.embed")
async def test_a_question_is_read_once_however_many_ask_for_it_and_when() -> None:
    """Two at the same moment and one afterwards share one reading; another text is another run."""
    gated = _Gated()
    gated.gate.set()
    thread = EncoderThread(lambda: gated, TOGETHER)
    first, second = await asyncio.gather(thread.aread("the same"), thread.aread("the same"))
    third = await thread.aread("the same")
    await thread.aread("another")
    await thread.aclose()
    assert first is second is third
    assert gated.seen == ["the same", "another"]


async def test_only_the_latest_readings_are_remembered() -> None:
    """The memory is bounded: what was asked longest ago is read anew."""
    gated = _Gated()
    gated.gate.set()
    thread = EncoderThread(lambda: gated, EncoderSettings(remembered=2))
    for text in ("a", "b", "a", "c", "a", "b"):
        await thread.aread(text)
    await thread.aclose()
    assert gated.seen == ["a", "b", "c", "b"]


async def test_questions_that_wait_are_read_side_by_side() -> None:
    """While a job runs others gather; the free thread takes them in one job, in order."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    first = asyncio.create_task(thread.aread("first"))
    await _entered(gated)
    others = [asyncio.create_task(thread.aread(f"question {n}")) for n in range(5)]
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, *others)
    await thread.aclose()
    assert gated.jobs == [1, 5]
    assert gated.seen == ["first", *(f"question {n}" for n in range(5))]


async def test_a_question_nobody_waits_for_any_more_is_not_read() -> None:
    """One of two who wait leaves: it is read. Both leave: it is not."""
    gated = _Gated()
    thread = EncoderThread(lambda: gated, ALONE)
    first = asyncio.create_task(thread.aread("first"))
    await _entered(gated)
    shared = [asyncio.create_task(thread.aread("shared")) for _ in range(2)]
    lost = [asyncio.create_task(thread.aread("lost")) for _ in range(2)]
    await asyncio.sleep(0)
    for task in (shared[0], *lost):
        task.cancel()
    await asyncio.sleep(0)
    gated.gate.set()
    await asyncio.gather(first, shared[1])
    await thread.aclose()
    assert gated.seen == ["first", "shared"]


async def test_a_text_without_a_vector_fails_alone() -> None:
    """Its caller gets the error, the questions of the same job their readings, and it is not remembered."""

    class _OneBad(_Gated):
        def read_all(self, texts: Sequence[str]) -> list[Reading | EmbeddingInvalid]:
            read = super().read_all(texts)
            return [EmbeddingInvalid("NaN") if t == "bad" else r for t, r in zip(texts, read, strict=True)]

    gated = _OneBad()
    thread = EncoderThread(lambda: gated, ALONE)
    first = asyncio.create_task(thread.aread("first"))
    await _entered(gated)
    both = [asyncio.create_task(thread.aread(text)) for text in ("bad", "good")]
    await asyncio.sleep(0)
    gated.gate.set()
    await first
    bad, good = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(bad, EmbeddingInvalid)
    assert isinstance(good, Reading)
    with pytest.raises(EmbeddingInvalid):
        await thread.aread("bad")
    await thread.aclose()
