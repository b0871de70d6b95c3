"""Rows 1 to 43 of the fault catalogue that are a single answer: what has to come of each (``tests/chaos``).

Rows 37 and 38 say what is so today: without tools a call of one is an answer without text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from configs.kernel import Outcome
from engine.types import Attempt
from tests.support.fault_lab import BAD, GOOD, PRICE

Breaker = Literal["counted", "neutral", "parked"]
Charge = Literal["nothing", "reported", "estimated", "bound"]
"""``bound``: cut by us while it was at work: all that went in and came out is charged, though nobody counted."""
QUICK = {"models": {BAD: {**PRICE, "first_token_s": 0.4}, GOOD: PRICE}}
CAPS = {"http": {"response_bytes_max": 50_000}, "request": {"answer_bytes_max": 20_000}}
COURSES = {14, 15, 16, 19, 20, 21, 40, 41, 42}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A named fault and what has to come of it. ``ends``: the model that answers, or the class of the error."""

    row: int
    fault: str
    ends: str
    outcome: Outcome
    b: Breaker
    cost: Charge
    seconds: float = 0.0
    wait_s: tuple[float, float] | None = None
    """Bounds of the time that the route stays parked."""
    sections: Mapping[str, Any] = field(default_factory=dict[str, Any])


def rejected(row: int, fault: str, outcome: Outcome, cost: Charge) -> Case:
    """The caller's own doing: typed, no fallback, not counted."""
    return Case(row=row, fault=fault, ends="RejectedByModel", outcome=outcome, b="neutral", cost=cost)


def parked(row: int, fault: str, outcome: Outcome, **more: Any) -> Case:
    """Sent away for a while without counting; the next route answers."""
    return Case(row=row, fault=fault, ends=GOOD, outcome=outcome, b="parked", cost="nothing", **more)


def failed(row: int, fault: str, cost: Charge, **more: Any) -> Case:
    """Counted; the next route answers."""
    return Case(row=row, fault=fault, ends=GOOD, outcome=Outcome.FAIL, b="counted", cost=cost, **more)


def answered(row: int, fault: str, cost: Charge) -> Case:
    """Tolerated: the route's own answer is given."""
    return Case(row=row, fault=fault, ends=BAD, outcome=Outcome.OK, b="neutral", cost=cost)


CASES = [
    rejected(1, "400", Outcome.CALLER, "nothing"),
    rejected(2, "context-length", Outcome.CALLER, "nothing"),
    rejected(3, "filter-400", Outcome.POLICY, "nothing"),
    rejected(3, "filter", Outcome.POLICY, "estimated"),
    rejected(3, "refusal", Outcome.POLICY, "estimated"),
    parked(4, "401", Outcome.AUTH),
    parked(5, "403", Outcome.AUTH),
    parked(6, "402", Outcome.QUOTA),
    parked(6, "quota", Outcome.QUOTA),
    parked(7, "404", Outcome.MISSING),
    failed(8, "408", "nothing"),
    Case(row=9, fault="409", ends=GOOD, outcome=Outcome.CONFLICT, b="neutral", cost="nothing"),
    Case(row=9, fault="425", ends=GOOD, outcome=Outcome.CONFLICT, b="neutral", cost="nothing"),
    rejected(10, "413", Outcome.CALLER, "nothing"),
    rejected(11, "422", Outcome.CALLER, "nothing"),
    parked(12, "429", Outcome.THROTTLE, seconds=40.0, wait_s=(38.0, 60.0)),
    parked(13, "429-date", Outcome.THROTTLE, wait_s=(85.0, 120.0)),
    Case(row=13, fault="429-past", ends=GOOD, outcome=Outcome.THROTTLE, b="neutral", cost="nothing"),
    parked(13, "429-for-ever", Outcome.THROTTLE, wait_s=(295.0, 300.0)),
    parked(13, "429-garbage", Outcome.THROTTLE, wait_s=(1.0, 300.0)),
    failed(15, "500", "nothing"),
    failed(17, "502", "nothing"),
    failed(17, "503", "nothing"),
    failed(17, "504", "nothing"),
    failed(18, "529", "nothing"),
    failed(22, "reset", "nothing"),
    failed(23, "reset-mid-stream", "estimated"),
    failed(23, "close-mid-stream", "estimated"),
    failed(24, "no-finish", "estimated"),
    failed(24, "no-done", "estimated"),
    failed(25, "error-event", "estimated"),
    failed(26, "hang", "bound", sections=QUICK),
    failed(26, "hang-after-headers", "bound", sections=QUICK),
    failed(26, "slow-headers", "bound", seconds=60.0, sections=QUICK),
    failed(26, "slow-first-token", "bound", seconds=60.0, sections=QUICK),
    failed(27, "trickle", "bound", seconds=10.0, sections={"shield": {"retries": 0, "idle_s": 0.6}}),
    failed(28, "silence", "bound", sections={"shield": {"retries": 0, "idle_s": 0.6}}),
    failed(29, "bad-line", "estimated"),
    failed(30, "not-json", "nothing"),
    failed(30, "cut-json", "nothing"),
    failed(30, "html", "nothing"),
    failed(31, "no-choices", "estimated"),
    failed(31, "null-content", "estimated"),
    failed(31, "empty", "estimated"),
    answered(32, "unknown-fields", "estimated"),
    failed(33, "huge", "estimated", sections=CAPS),
    failed(33, "huge-line", "nothing", sections=CAPS),
    failed(34, "gzip-bomb", "nothing", sections=CAPS),
    answered(35, "usage-missing", "estimated"),
    answered(35, "usage-negative", "estimated"),
    answered(35, "usage-text", "estimated"),
    answered(35, "usage-absurd", "estimated"),
    answered(36, "usage-over-limit", "reported"),
    failed(37, "tool-bad-arguments", "estimated"),
    failed(37, "tool-500-calls", "estimated"),
    failed(38, "tool-loop", "estimated"),
    failed(39, "redirect", "nothing"),
    answered(43, "replay", "reported"),
]


def is_charged_as(cost: Charge, attempt: Attempt) -> bool:
    """Whether an attempt that was made is charged the way its case says, at a micro-dollar a token."""
    counted = attempt.usage.input_tokens + attempt.usage.output_tokens
    if cost == "bound":
        return attempt.cost.micros > 0
    expected = {"nothing": (False, False), "reported": (True, False), "estimated": (True, True)}[cost]
    return attempt.cost.micros == counted and (counted > 0, attempt.usage.estimated) == expected
