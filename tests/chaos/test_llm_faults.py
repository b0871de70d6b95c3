"""Rows 1 to 43 of the fault catalogue, each through a whole engine: result, breaker (B) and charge ($).

One line of the table is one request to a route with that fault, with a well one behind it. Courses of events (rows
14 to 16, 19 to 22, 40 to 43) are in ``test_llm_fault_courses.py``. Rows 37 and 38 show what is so today: without
tools a call of one is an answer without text. So do 26 to 28: a call that the shield cuts is not charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from configs.kernel import Outcome
from engine.chaos.faults import FAULTS, fault_named
from engine.contract import BreakerState
from tests.support.fault_lab import BAD, GOOD, PRICE, fault_lab, one_encoder
from tests.support.provider import ScriptedProvider

__all__ = ["one_encoder"]

pytestmark = pytest.mark.usefixtures("one_encoder")
Breaker = Literal["counted", "neutral", "parked"]
Charge = Literal["nothing", "reported", "estimated"]
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
    failed(26, "hang", "nothing", sections=QUICK),
    failed(26, "hang-after-headers", "nothing", sections=QUICK),
    failed(26, "slow-headers", "nothing", seconds=60.0, sections=QUICK),
    failed(26, "slow-first-token", "nothing", seconds=60.0, sections=QUICK),
    failed(27, "trickle", "nothing", seconds=10.0, sections={"shield": {"retries": 0, "idle_s": 0.4}}),
    failed(28, "silence", "nothing", sections={"shield": {"retries": 0, "idle_s": 0.4}}),
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


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.req("brk.classify", "brk.fallback", "brk.semantics", "cost.ledger")
@pytest.mark.parametrize("case", CASES, ids=[f"{case.row}-{case.fault}" for case in CASES])
async def test_a_fault_of_a_model_ends_as_the_catalogue_says(
    provider: ScriptedProvider, tmp_path: Path, case: Case
) -> None:
    """Typed result, breaker and charge; then the next healthy request is answered and nothing is held."""
    provider.script(fault_named(case.fault).play(case.seconds), model=BAD)
    async with fault_lab(tmp_path, provider, **case.sections) as lab:
        told = await lab.ask()
        view = await lab.view()
        assert (told.ended, told.first.outcome, told.first.called) == (case.ends, case.outcome, True)
        assert (told.first.usage.estimated, told.first.cost.micros > 0) == {
            "nothing": (False, False),
            "reported": (False, True),
            "estimated": (True, True),
        }[case.cost]
        assert told.first.cost.micros == told.first.usage.input_tokens + told.first.usage.output_tokens
        assert view.consecutive_failures == (1 if case.b == "counted" else 0)
        assert view.state is BreakerState.CLOSED or case.b != "counted"
        assert provider.calls[BAD] == 1  # nobody retries here: neither the shield, nor anybody below it
        if case.b == "parked":
            again = await lab.ask()
            assert (again.first.called, again.ended, provider.calls[BAD]) == (False, GOOD, 1)
        if case.wait_s is not None:
            assert (view.state, view.retry_after_s is not None) == (BreakerState.PARKED, True)
            assert case.wait_s[0] <= (view.retry_after_s or 0.0) <= case.wait_s[1]
        await lab.assert_clean()


@pytest.mark.req("brk.fallback")
async def test_a_trickle_that_is_never_silent_is_ended_by_the_deadline(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Row 27: a token now and then keeps the idle timeout quiet; the request's own time still ends it."""
    provider.script(fault_named("trickle").play(0.02), model=BAD)
    async with fault_lab(tmp_path, provider) as lab:
        told = await lab.ask(deadline_s=0.5)
        assert told.ended == "DeadlineExceeded"
        await provider.requests[0].wait_disconnected()
        assert (await lab.view()).consecutive_failures == 0  # our own time ran out, not theirs
        await lab.assert_clean()


def test_every_row_of_the_catalogue_is_tested() -> None:
    """Rows 1 to 43 stand in this table or among the courses; every named fault stands in the table."""
    assert {case.row for case in CASES} | COURSES == set(range(1, 44))
    assert {case.fault for case in CASES} == set(FAULTS) - {"well"}
