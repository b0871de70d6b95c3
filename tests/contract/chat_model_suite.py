"""What every ``ChatModel`` does, whatever is behind it: one suite for the adapter, its twin, and wrappers of both.

A test module that wants the suite defines the fixture ``subject`` and takes over the ``test_*`` functions:
``globals().update(suite_tests())``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from agents.contract import ChatModel, Chunk
from agents.errors import CallFailed
from agents.scripted import Reply
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling, Usage

GUARD_S = 5.0
QUESTION = (Message("system", "be brief"), Message("user", "two words"))
SAMPLING = Sampling(max_tokens=64)
LATER = Deadline(float("inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What reached the other end."""

    messages: tuple[tuple[str, str], ...]
    max_tokens: int
    temperature: float | None


class Subject(Protocol):
    """A model under test, and the other end of it."""

    model: ChatModel

    def script(self, *replies: Reply) -> None:
        """Answer with these, in order; the last one stays."""
        ...

    def sent(self) -> list[Sent]:
        """Requests so far."""
        ...

    async def reached(self, calls: int) -> None:
        """Return when that many requests have arrived."""
        ...

    async def left(self) -> None:
        """Return when the other end knows that the reader of the last request has gone."""
        ...


def suite_tests() -> dict[str, Callable[..., Any]]:
    """Every test of this module, by name."""
    return {name: test for name, test in globals().items() if name.startswith("test_")}


async def collect(subject: Subject, sampling: Sampling = SAMPLING) -> list[Chunk]:
    """All chunks of one answer."""
    async with asyncio.timeout(GUARD_S), aclosing(subject.model.stream(QUESTION, sampling, LATER)) as chunks:
        return [chunk async for chunk in chunks]


async def fail(subject: Subject) -> tuple[list[Chunk], Failure]:
    """The chunks before a failure, and the failure."""
    seen: list[Chunk] = []
    with pytest.raises(CallFailed) as caught:
        await _drain(subject.model, seen.append)
    return seen, caught.value.failure


async def _drain(model: ChatModel, see: Callable[[Chunk], None]) -> None:
    async with asyncio.timeout(GUARD_S), aclosing(model.stream(QUESTION, SAMPLING, LATER)) as chunks:
        async for chunk in chunks:
            see(chunk)


def text_of(chunks: list[Chunk]) -> str:
    """The answer so far."""
    return "".join(chunk.text for chunk in chunks)


async def test_pieces_join_to_the_text_and_the_last_chunk_carries_the_rest(subject: Subject) -> None:
    """More than one piece; usage and finish reason stand on the last chunk and on no other."""
    usage = Usage(input_tokens=7, output_tokens=3, cached_tokens=2, reasoning_tokens=1)
    subject.script(Reply(text="one two three", usage=usage))
    chunks = await collect(subject)
    assert text_of(chunks) == "one two three"
    assert len([chunk for chunk in chunks if chunk.text]) > 1
    assert (chunks[-1].usage, chunks[-1].finish_reason) == (usage, "stop")
    assert {(chunk.usage, chunk.finish_reason) for chunk in chunks[:-1]} == {(None, None)}


async def test_the_question_arrives_with_its_limit(subject: Subject) -> None:
    """Roles, order and texts; max_tokens always, temperature only when asked for."""
    await collect(subject)
    await collect(subject, Sampling(max_tokens=9, temperature=0.5))
    said = (("system", "be brief"), ("user", "two words"))
    assert subject.sent() == [
        Sent(messages=said, max_tokens=64, temperature=None),
        Sent(messages=said, max_tokens=9, temperature=0.5),
    ]


async def test_missing_usage_is_derived_and_flagged(subject: Subject) -> None:
    """Never zero, never above the bound of the reservation (L11)."""
    subject.script(Reply(text="one two", usage=None))
    usage = (await collect(subject))[-1].usage
    assert usage == Usage(input_tokens=17 + 32, output_tokens=7, estimated=True)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(kind=FailureKind.STATUS, detail="", status=429, code="rate_limit_exceeded", retry_after_s=7.0),
        Failure(kind=FailureKind.STATUS, detail="", status=401, code="invalid_api_key"),
        Failure(kind=FailureKind.STATUS, detail="", status=503),
    ],
)
async def test_a_refusal_by_status_carries_what_the_provider_said(subject: Subject, failure: Failure) -> None:
    """Status, code and retry-after; no text, and nothing to pay for."""
    subject.script(Reply(text="", failure=failure))
    chunks, seen = await fail(subject)
    assert (seen.kind, seen.status, seen.code) == (failure.kind, failure.status, failure.code)
    assert (seen.retry_after_s, seen.produced_text) == (failure.retry_after_s, False)
    assert chunks == []


@pytest.mark.req("run.stream")
async def test_a_break_in_the_middle_says_so_and_leaves_a_bill(subject: Subject) -> None:
    """The pieces so far, then their usage, then the failure with ``produced_text`` (fault 23)."""
    subject.script(Reply(text="one two", failure=Failure(kind=FailureKind.RESET, detail="")))
    chunks, failure = await fail(subject)
    assert text_of(chunks) == "one two"
    assert chunks[-1].usage == Usage(input_tokens=17 + 32, output_tokens=7, estimated=True)
    assert (failure.kind, failure.produced_text) == (FailureKind.RESET, True)


@pytest.mark.parametrize(
    ("reply", "kind", "produced"),
    [
        (Reply(text="one two", finish_reason=None), FailureKind.TRUNCATED, True),
        (Reply(text=""), FailureKind.EMPTY, False),
        (Reply(text="", finish_reason="length"), FailureKind.EMPTY, False),
        (Reply(text="one", finish_reason="content_filter"), FailureKind.POLICY, True),
    ],
)
async def test_what_is_not_an_answer_is_a_failure(
    subject: Subject, reply: Reply, kind: FailureKind, produced: bool
) -> None:
    """No finish marker (fault 24), no text (fault 31), stopped by the filter (fault 3)."""
    subject.script(reply)
    chunks, failure = await fail(subject)
    assert (failure.kind, failure.produced_text) == (kind, produced)
    assert chunks[-1].usage is not None
    assert chunks[-1].finish_reason is None


@pytest.mark.parametrize("reason", ["length", "tool_calls", "something_new"])
async def test_any_other_finish_reason_is_an_answer(subject: Subject, reason: str) -> None:
    """Cut by its limit, or ended for a reason nobody here knows yet (fault 32)."""
    subject.script(Reply(text="one", finish_reason=reason))
    assert (await collect(subject))[-1].finish_reason == reason


async def test_closing_the_iterator_ends_the_call_at_the_other_end(subject: Subject) -> None:
    """The other end notices within a second (fault 77), although the answer is not complete."""
    subject.script(Reply(text="one two", hold=asyncio.Event()))
    chunks = subject.model.stream(QUESTION, SAMPLING, LATER)
    assert (await anext(chunks)).text == "one "
    await chunks.aclose()
    async with asyncio.timeout(1):
        await subject.left()
    assert len(subject.sent()) == 1


@pytest.mark.parametrize("begun", [False, True])
async def test_cancellation_passes_through_and_ends_the_call(subject: Subject, begun: bool) -> None:
    """Before the first piece and after it: ``CancelledError`` stays what it is, and the other end notices."""
    hold = asyncio.Event()
    subject.script(Reply(text="one two", hold=hold) if begun else Reply(gate=hold))
    task = asyncio.create_task(collect(subject))
    await subject.reached(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await subject.left()


async def test_streams_do_not_disturb_each_other(subject: Subject) -> None:
    """One is held in the middle, another one is answered, then the first one ends well."""
    hold = asyncio.Event()
    subject.script(Reply(text="slow answer", hold=hold), Reply(text="fast"))
    slow = asyncio.create_task(collect(subject))
    await subject.reached(1)
    assert text_of(await collect(subject)) == "fast"
    hold.set()
    assert text_of(await slow) == "slow answer"


async def test_a_failure_does_not_spoil_the_next_call(subject: Subject) -> None:
    """Broken in the middle, then well."""
    subject.script(Reply(text="one", failure=Failure(kind=FailureKind.RESET, detail="")), Reply(text="well"))
    await fail(subject)
    assert text_of(await collect(subject)) == "well"


async def test_a_closed_route_refuses(subject: Subject) -> None:
    """Closing twice is fine; a call after it is refused without reaching anyone."""
    await subject.model.aclose()
    await subject.model.aclose()
    _, failure = await fail(subject)
    assert (failure.kind, failure.code) == (FailureKind.REFUSED, "route_closed")
    assert subject.sent() == []
