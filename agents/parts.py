"""What a model route reads piece by piece, and whether the pieces amount to an answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agents.errors import CallFailed
from agents.usage import Bound, settle
from configs.kernel import Failure, FailureKind, Usage

FILTERED = "content_filter"
"""Finish reason of an answer that the provider's own filter stopped (fault 3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One event of a streamed answer, as far as anything here needs it."""

    text: str = ""
    usage: Usage | None = None
    total_tokens: int = 0
    """As reported beside ``usage``; 0 without one."""
    finish_reason: str | None = None
    refused: bool = False
    """The model declined, in the field that OpenAI has for it."""

    @property
    def silent(self) -> bool:
        """Whether it carries nothing but the news that the model is at work: a role, or hidden reasoning."""
        return not self.text and self.usage is None and self.finish_reason is None


class Draft:
    """An answer in the making: takes parts, refuses what must not go on, and says at the end what is missing."""

    def __init__(self, bound: Bound, answer_bytes_max: int) -> None:
        self._bound = bound
        self._bytes_max = answer_bytes_max
        self._bytes = 0
        self.visible = False
        """Whether any text but white space has come."""
        self._usage: Usage | None = None
        self._total_tokens = 0
        self.parts = 0
        self.finish_reason: str | None = None

    def take(self, part: Part) -> str:
        """The text of ``part``, safe to encode. Raises ``CallFailed``: POLICY, or OVERSIZE (fault 33)."""
        self.parts += 1
        if part.usage is not None:
            self._usage, self._total_tokens = part.usage, part.total_tokens
        if part.finish_reason is not None:
            self.finish_reason = part.finish_reason
        if part.refused:
            raise self._failed(FailureKind.POLICY, "the model refused to answer", code="refusal")
        if part.finish_reason == FILTERED:
            raise self._failed(FailureKind.POLICY, "the provider's filter stopped the answer", code=FILTERED)
        text = encodable(part.text)
        self._bytes += len(text.encode())
        if self._bytes > self._bytes_max:
            raise self._failed(FailureKind.OVERSIZE, f"the answer passed the cap of {self._bytes_max} bytes")
        self.visible = self.visible or bool(text.strip())
        return text

    def conclude(self) -> None:
        """Nothing more will come. Raises ``CallFailed`` when that is too little: TRUNCATED, or EMPTY."""
        if self.finish_reason is None and self.parts:
            raise self._failed(FailureKind.TRUNCATED, "the stream ended without a finish marker")
        if not self.visible:
            cut = self.finish_reason == "length"
            reason = "the limit on tokens was reached before the first word" if cut else "the answer has no text"
            raise self._failed(FailureKind.EMPTY, reason, code=self.finish_reason)

    def forgives(self, failure: Failure) -> bool:
        """Whether ``failure`` came too late to matter: the text was complete, only the count was still to come."""
        return failure.kind is FailureKind.RESET and self.finish_reason is not None and self.visible

    @property
    def usage(self) -> Usage:
        """What to charge for as much as there is."""
        return settle(self._usage, self._total_tokens, self._bound, self._bytes)

    def _failed(self, kind: FailureKind, detail: str, code: str | None = None) -> CallFailed:
        return CallFailed(Failure(kind=kind, detail=detail, code=code, produced_text=self.visible))


def refused(detail: str, code: str) -> CallFailed:
    """A route that says no without a call; neutral for every breaker outside it (B17)."""
    return CallFailed(Failure(kind=FailureKind.REFUSED, detail=detail, code=code))


def encodable(text: str) -> str:
    """JSON may escape half a surrogate pair, which no store and no socket can encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
