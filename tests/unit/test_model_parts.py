"""Whether the pieces of a stream amount to an answer."""

from __future__ import annotations

import pytest

from agents.errors import CallFailed
from agents.parts import Draft, Part
from agents.usage import Bound
from configs.kernel import Failure, FailureKind, Usage

BOUND = Bound(input_tokens=10, output_tokens=50)


def draft(*parts: Part, cap: int = 100) -> Draft:
    """A draft that has taken these parts."""
    made = Draft(BOUND, cap)
    for part in parts:
        made.take(part)
    return made


def verdict(made: Draft) -> Failure:
    """What is missing at its end."""
    with pytest.raises(CallFailed) as caught:
        made.conclude()
    return caught.value.failure


def test_text_with_a_finish_reason_is_an_answer() -> None:
    """In this order or with the reason on the same part; usage may come before or after."""
    usage = Usage(input_tokens=3, output_tokens=2)
    end = Part(finish_reason="stop")
    made = draft(Part(text="a"), Part(text="b", usage=usage, total_tokens=5), end)
    made.conclude()
    assert (made.finish_reason, made.usage) == ("stop", usage)


def test_the_last_usage_counts() -> None:
    """Servers that report as they go repeat the sum so far."""
    first, last = Usage(input_tokens=3, output_tokens=1), Usage(input_tokens=3, output_tokens=2)
    made = draft(Part(text="a", usage=first, total_tokens=4), Part(text="b", usage=last, total_tokens=5))
    assert made.usage == last


@pytest.mark.parametrize(
    ("parts", "kind", "words"),
    [
        ([Part(text="a")], FailureKind.TRUNCATED, "without a finish marker"),
        ([Part(finish_reason="stop")], FailureKind.EMPTY, "no text"),
        ([Part(text=" \n", finish_reason="stop")], FailureKind.EMPTY, "no text"),
        ([Part(finish_reason="length")], FailureKind.EMPTY, "limit on tokens"),
        ([], FailureKind.EMPTY, "no text"),
    ],
)
def test_what_is_missing_is_said(parts: list[Part], kind: FailureKind, words: str) -> None:
    """No end, no text, or all of the limit spent on hidden reasoning."""
    failure = verdict(draft(*parts))
    assert failure.kind is kind
    assert words in failure.detail


def test_the_cap_is_in_bytes_and_may_be_reached() -> None:
    """Exactly the cap passes, one byte more does not; a character may have several (fault 33)."""
    assert draft(Part(text="é" * 50), cap=100).visible
    with pytest.raises(CallFailed) as caught:
        draft(Part(text="é" * 50), Part(text="x"), cap=100)
    assert (caught.value.failure.kind, caught.value.failure.produced_text) == (FailureKind.OVERSIZE, True)


@pytest.mark.parametrize(
    ("parts", "kind", "forgiven"),
    [
        ([Part(text="a", finish_reason="stop")], FailureKind.RESET, True),
        ([Part(text="a")], FailureKind.RESET, False),
        ([Part(finish_reason="stop")], FailureKind.RESET, False),
        ([Part(text="a", finish_reason="stop")], FailureKind.STREAM_ERROR, False),
        ([Part(text="a", finish_reason="stop")], FailureKind.OVERSIZE, False),
    ],
)
def test_only_a_break_after_the_whole_text_is_forgiven(
    parts: list[Part], kind: FailureKind, forgiven: bool
) -> None:
    """The connection may go once text and finish reason are there; nothing else is overlooked."""
    assert draft(*parts).forgives(Failure(kind=kind, detail="")) is forgiven


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("plain", "plain"), ("😀 é", "😀 é"), ("a\ud800b", "a\ufffdb"), ("\udc00", "\ufffd"), ("\ud83d\ude00", "😀")],
)
def test_text_can_always_be_encoded(sent: str, shown: str) -> None:
    """Half a surrogate pair becomes the replacement character; a pair that JSON split is joined."""
    assert Draft(BOUND, 100).take(Part(text=sent)) == shown


@pytest.mark.parametrize(
    ("part", "silent"),
    [
        (Part(), True),
        (Part(text="a"), False),
        (Part(usage=Usage(input_tokens=1)), False),
        (Part(finish_reason="stop"), False),
    ],
)
def test_a_part_without_anything_is_a_sign_of_life(part: Part, silent: bool) -> None:
    """Text, usage and an end are more than that."""
    assert part.silent is silent
