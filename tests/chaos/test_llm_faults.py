"""Rows 1 to 43 of the fault catalogue, each through a whole engine: result, breaker (B) and charge ($).

One line of the table (``tests/support/llm_cases.py``) is one request to a route with that fault, with a well one
behind it. Courses of events (rows 14 to 16, 19 to 22, 40 to 43) are in ``test_llm_fault_courses.py``. Prices are a
micro-dollar a token.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.chaos.faults import FAULTS, fault_named
from engine.contract import BreakerState
from tests.support.fault_lab import BAD, GOOD, fault_lab, one_encoder
from tests.support.llm_cases import CASES, COURSES, Case, is_charged_as
from tests.support.provider import ScriptedProvider

__all__ = ["one_encoder"]

pytestmark = pytest.mark.usefixtures("one_encoder")


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
        assert is_charged_as(case.cost, told.first), told.first
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
