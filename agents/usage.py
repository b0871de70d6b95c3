"""Token counts of one call: what the provider reported if that can be true, a safe bound if not (L11).

Pure. Prices and charges are ``engine/cost``'s business; this module never sees money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from configs.kernel import Message, Usage

MESSAGE_OVERHEAD_TOKENS = 16
"""Tokens that a chat template may add around one message: role markers, separators, the turn it opens."""
ABSURD_FACTOR = 10
"""L11: counts beyond this multiple of the bound are not believed."""
COUNT_MAX = 2**53
"""Beyond this a JSON number is no longer an exact integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The most that a call can have used. UTF-8 bytes bound tokens from above: no token is shorter (L1)."""

    input_tokens: int
    output_tokens: int

    @classmethod
    def of(cls, messages: Iterable[Message], max_tokens: int) -> Bound:
        """Bound of a call before it is made: what its reservation is computed from."""
        sent = sum(len(message.content.encode(errors="replace")) + MESSAGE_OVERHEAD_TOKENS for message in messages)
        return cls(input_tokens=sent, output_tokens=max_tokens)

    def produced(self, output_bytes: int) -> Usage:
        """Derived usage of a call that wrote ``output_bytes`` of text; never above the bound itself."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=min(self.output_tokens, output_bytes),
            estimated=True,
        )


def read_counts(reported: object) -> Mapping[str, object] | None:
    """The known counts of an OpenAI-shaped ``usage`` object, or ``None`` when it cannot be read as counts.

    Total and parts (cached, written to cache, reasoning) that are not counts are left out; prompt and completion
    are required.
    """
    counts = _object(reported)
    prompt = _count(counts, "prompt_tokens")
    completion = _count(counts, "completion_tokens")
    if prompt is None or completion is None:
        return None
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": _count(counts, "total_tokens") or prompt + completion,
        "prompt_tokens_details": _counts(
            counts.get("prompt_tokens_details"), "cached_tokens", "cache_write_tokens"
        ),
        "completion_tokens_details": _counts(counts.get("completion_tokens_details"), "reasoning_tokens"),
    }


def settle(reported: Usage | None, total_tokens: int, bound: Bound, output_bytes: int) -> Usage:
    """The usage to charge: ``reported`` if it can be true, else derived and flagged (fault 35).

    Some providers leave reasoning out of the completion count but not out of the total; what the total has
    beyond prompt and completion was written and is output. Counts above ``max_tokens`` are believed up to
    ``ABSURD_FACTOR`` times the bound (fault 36); parts larger than their whole are dropped, which charges the
    whole at its full price.
    """
    if reported is None:
        return bound.produced(output_bytes)
    output = max(reported.output_tokens, total_tokens - reported.input_tokens)
    nothing = reported.input_tokens == 0 or (output == 0 and output_bytes > 0)
    absurd = (
        reported.input_tokens > ABSURD_FACTOR * bound.input_tokens or output > ABSURD_FACTOR * bound.output_tokens
    )
    if nothing or absurd:
        return bound.produced(output_bytes)
    return Usage(
        input_tokens=reported.input_tokens,
        output_tokens=output,
        cached_tokens=_part(reported.cached_tokens, reported.input_tokens),
        cache_write_tokens=_part(reported.cache_write_tokens, reported.input_tokens),
        reasoning_tokens=_part(reported.reasoning_tokens, output),
    )


def _part(part: int, whole: int) -> int:
    return part if part <= whole else 0


def _object(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def _count(counts: Mapping[str, object], key: str) -> int | None:
    value = counts.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < COUNT_MAX else None


def _counts(details: object, *keys: str) -> dict[str, int]:
    found = ((key, _count(_object(details), key)) for key in keys)
    return {key: value for key, value in found if value is not None}
