"""Counts of tokens: believed when they can be true, bounded from above when not (L1, L11)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.usage import Bound, read_counts, settle
from configs.kernel import Message, Usage

BOUND = Bound(input_tokens=100, output_tokens=50)


def test_the_bound_counts_bytes_and_room_for_the_template() -> None:
    """UTF-8 bytes, not characters; sixteen tokens a message for its markers."""
    bound = Bound.of((Message("system", "né"), Message("user", "東")), 7)
    assert bound == Bound(input_tokens=3 + 16 + 3 + 16, output_tokens=7)


@pytest.mark.parametrize(("written", "charged"), [(0, 0), (10, 10), (50, 50), (4_000, 50)])
def test_a_derived_count_never_exceeds_the_reservation(written: int, charged: int) -> None:
    """Bytes of the text up to max_tokens, so that the slack of the ledger stays zero (L1)."""
    assert BOUND.produced(written) == Usage(input_tokens=100, output_tokens=charged, estimated=True)


@pytest.mark.parametrize(
    ("reported", "total", "settled"),
    [
        (Usage(input_tokens=9, output_tokens=5), 14, Usage(input_tokens=9, output_tokens=5)),
        # more than max_tokens is charged as it is (fault 36)
        (Usage(input_tokens=9, output_tokens=80), 89, Usage(input_tokens=9, output_tokens=80)),
        (Usage(input_tokens=1_000, output_tokens=500), 1_500, Usage(input_tokens=1_000, output_tokens=500)),
        # reasoning that the provider counts in the total only
        (
            Usage(input_tokens=9, output_tokens=5, reasoning_tokens=30),
            44,
            Usage(input_tokens=9, output_tokens=35, reasoning_tokens=30),
        ),
        # a total below its parts is ignored
        (Usage(input_tokens=9, output_tokens=5), 3, Usage(input_tokens=9, output_tokens=5)),
        # a part larger than its whole is dropped: the whole is charged in full
        (
            Usage(input_tokens=9, output_tokens=5, cached_tokens=10, reasoning_tokens=6, cache_write_tokens=9),
            14,
            Usage(input_tokens=9, output_tokens=5, cache_write_tokens=9),
        ),
    ],
)
def test_what_can_be_true_is_charged_as_reported(reported: Usage, total: int, settled: Usage) -> None:
    """Up to ten times the bound; hidden output is output."""
    assert settle(reported, total, BOUND, output_bytes=20) == settled


@pytest.mark.parametrize(
    ("reported", "total"),
    [
        (None, 0),
        (Usage(input_tokens=0, output_tokens=5), 5),
        (Usage(input_tokens=9, output_tokens=0), 9),
        (Usage(input_tokens=1_001, output_tokens=5), 1_006),
        (Usage(input_tokens=9, output_tokens=501), 510),
        (Usage(input_tokens=9, output_tokens=5), 10**9),
    ],
)
def test_what_cannot_be_true_is_replaced_and_flagged(reported: Usage | None, total: int) -> None:
    """Missing, zero for a text, or beyond ten times the bound (fault 35)."""
    assert settle(reported, total, BOUND, output_bytes=20) == Usage(
        input_tokens=100, output_tokens=20, estimated=True
    )


def test_no_output_is_believed_when_there_was_none() -> None:
    """A refusal before the first word may honestly cost no output."""
    usage = Usage(input_tokens=9, output_tokens=0)
    assert settle(usage, 9, BOUND, output_bytes=0) == usage


@given(
    st.builds(
        Usage,
        input_tokens=st.integers(0, 10**12),
        output_tokens=st.integers(0, 10**12),
        cached_tokens=st.integers(0, 10**12),
        reasoning_tokens=st.integers(0, 10**12),
    ),
    st.integers(0, 10**13),
    st.integers(0, 10**9),
)
def test_no_report_can_make_a_count_impossible(reported: Usage, total: int, written: int) -> None:
    """Parts never exceed their whole, and nothing exceeds ten times the bound."""
    usage = settle(reported, total, BOUND, written)
    assert 0 <= usage.cached_tokens <= usage.input_tokens <= 1_000
    assert 0 <= usage.reasoning_tokens <= usage.output_tokens <= 500


def test_counts_are_read_with_their_parts() -> None:
    """The shape of OpenAI; unknown fields are left out."""
    raw = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1, "audio_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "queue_time": 0.1,
    }
    assert read_counts(raw) == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }


@pytest.mark.parametrize("total", [None, "14", -1, 0])
def test_a_bad_total_or_part_does_not_lose_the_counts(total: object) -> None:
    """The sum stands in for the total; a part that is no count is left out."""
    raw = {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": "4"},
        "completion_tokens_details": [1],
    }
    assert read_counts(raw) == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {},
        "completion_tokens_details": {},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
FIELDS = (
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "prompt_tokens_details",
    "completion_tokens_details",
)
COUNTS = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS, JSON))


@given(JSON | COUNTS)
def test_any_json_is_read_or_refused(raw: object) -> None:
    """Nothing that a server can send raises; what is read are counts."""
    counts = read_counts(raw)
    if counts is not None:
        assert all(type(counts[name]) is int for name in FIELDS[:3])
