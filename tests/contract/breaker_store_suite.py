"""What every ``BreakerStore`` does, wherever it keeps its records: one suite for the local and the shared one.

A test module that wants the suite defines the fixture ``subject`` over the rules ``RULES`` and takes over the
``test_*`` functions: ``globals().update(suite_tests())``. Times are those of the store's own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerStore, BreakerView, Permit, Refusal, Report
from engine.errors import InvalidInput

RULES = BreakerSettings(
    consecutive_failures=3,
    failure_rate=0.5,
    rate_min_calls=10,
    window_s=60.0,
    open_s=60.0,
    open_s_max=300.0,
    jitter=0.0,
    probe_deadline_s=30.0,
    lease_s=35.0,
)
A = "model:p/a#k"
B = "model:p/ключ {b}#k"  # any text may stand in a subject


class Subject(Protocol):
    """A store under test, its clock and what its listeners have heard."""

    store: BreakerStore
    events: list[BreakerMoved]

    async def pass_time(self, seconds: float) -> None:
        """Let the store's clock move on."""
        ...


def suite_tests() -> dict[str, Callable[..., Any]]:
    """Every test of this module, by name."""
    return {name: test for name, test in globals().items() if name.startswith("test_")}


async def ask(subject: Subject, call_id: str, key: str = A) -> Permit:
    """Leave for one call, which must be given."""
    permit = await subject.store.acquire(key, call_id)
    assert isinstance(permit, Permit), permit
    return permit


async def end(subject: Subject, permit: Permit, outcome: Outcome, **details: Any) -> BreakerView:
    """Report a call."""
    return await subject.store.report(permit, Report(outcome=outcome, **details))


async def trip(subject: Subject, key: str = A, prefix: str = "t") -> BreakerView:
    """Open the breaker of ``key`` by failures in a row."""
    for number in range(RULES.consecutive_failures):
        permit = await ask(subject, f"{prefix}{number}", key)
        view = await end(subject, permit, Outcome.FAIL, reason=f"boom {number}")
        if view.state is BreakerState.OPEN:
            return view
    raise AssertionError(f"still {view}")


async def state(subject: Subject, key: str = A) -> BreakerState:
    """The state of one breaker."""
    return (await subject.store.view((key,)))[key].state


async def test_a_subject_nobody_called_is_closed_and_fresh(subject: Subject) -> None:
    """``view`` answers for every name it is given, in one call, and changes nothing."""
    views = await subject.store.view((A, B))
    assert set(views) == {A, B}
    assert (views[B].subject, views[B].state, views[B].ema_success) == (B, BreakerState.CLOSED, RULES.ema_start)
    assert (views[B].consecutive_failures, views[B].retry_after_s) == (0, None)
    assert await subject.store.view((A, B)) == views
    assert subject.events == []


@pytest.mark.req("brk.semantics")
async def test_the_whole_round_closed_open_half_open_closed(subject: Subject) -> None:
    """Failures in a row open; refused until its time; one probe; its success closes; one event for each change."""
    opened = await trip(subject)
    assert (opened.state, opened.retry_after_s) == (BreakerState.OPEN, 60.0)
    refusal = await subject.store.acquire(A, "early")
    assert isinstance(refusal, Refusal)
    assert (refusal.subject, refusal.state, refusal.generation) == (A, BreakerState.OPEN, opened.generation)
    await subject.pass_time(60.0)
    probe = await ask(subject, "probe")
    assert (probe.probe, probe.state) == (True, BreakerState.HALF_OPEN)
    closed = await end(subject, probe, Outcome.OK)
    assert (closed.state, closed.consecutive_failures) == (BreakerState.CLOSED, 0)
    moves = [(event.before.value, event.after.value) for event in subject.events]
    assert moves == [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]
    first = opened.generation
    assert [event.generation for event in subject.events] == [first, first + 1, first + 2]
    assert subject.events[0].last_errors == ("boom 0", "boom 1", "boom 2")
    assert subject.events[0].subject == A


async def test_subjects_do_not_share_anything(subject: Subject) -> None:
    """One opens, the other is untouched, whatever characters their names have."""
    await trip(subject, B)
    assert (await state(subject, B), await state(subject, A)) == (BreakerState.OPEN, BreakerState.CLOSED)
    assert not (await ask(subject, "a")).probe


async def test_the_rate_rule_counts_what_no_row_of_failures_shows(subject: Subject) -> None:
    """Every second call fails: open at the tenth."""
    for number in range(RULES.rate_min_calls):
        assert await state(subject) is BreakerState.CLOSED
        permit = await ask(subject, f"c{number}")
        await end(subject, permit, Outcome.FAIL if number % 2 else Outcome.OK)
    assert await state(subject) is BreakerState.OPEN


async def test_one_of_many_concurrent_callers_probes(subject: Subject) -> None:
    """B1: of 100 at once, one permit; the refused learn when the lease ends at the latest."""
    await trip(subject)
    await subject.pass_time(60.0)
    answers = await asyncio.gather(*[subject.store.acquire(A, f"p{number}") for number in range(100)])
    permits = [answer for answer in answers if isinstance(answer, Permit)]
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert (len(permits), len(refused)) == (1, 99)
    assert {answer.retry_after_s for answer in refused} == {RULES.lease_s}


async def test_a_thousand_concurrent_failures_open_once(subject: Subject) -> None:
    """B11: all had leave, all fail, one event, one ``until``."""
    permits = [await ask(subject, f"c{number}") for number in range(1_000)]
    await asyncio.gather(*[end(subject, permit, Outcome.FAIL) for permit in permits])
    assert [event.after for event in subject.events] == [BreakerState.OPEN]
    assert (await subject.store.view((A,)))[A].retry_after_s == 60.0


async def test_a_bad_probe_doubles_the_open_time_up_to_the_cap(subject: Subject) -> None:
    """60, 120, 240, then 300 s for ever (fault 41)."""
    waits = [(await trip(subject)).retry_after_s]
    for number in range(4):
        await subject.pass_time(waits[-1] or 0.0)
        view = await end(subject, await ask(subject, f"p{number}"), Outcome.FAIL)
        waits.append(view.retry_after_s)
    assert waits == [60.0, 120.0, 240.0, 300.0, 300.0]


async def test_a_dead_probe_makes_way_when_its_lease_ends(subject: Subject) -> None:
    """B5, B10: nobody is stuck behind it, and its late success changes nothing."""
    await trip(subject)
    await subject.pass_time(60.0)
    dead = await ask(subject, "dead")
    await subject.pass_time(RULES.lease_s)
    alive = await ask(subject, "alive")
    assert (await end(subject, dead, Outcome.OK)).state is BreakerState.HALF_OPEN
    assert (await end(subject, alive, Outcome.OK)).state is BreakerState.CLOSED


@pytest.mark.parametrize("outcome", [Outcome.CANCEL, Outcome.CALLER, Outcome.DEADLINE, Outcome.REFUSED])
async def test_a_neutral_end_frees_the_permit_and_counts_nothing(subject: Subject, outcome: Outcome) -> None:
    """B7, B8: the next caller probes at once."""
    await trip(subject)
    await subject.pass_time(60.0)
    view = await end(subject, await ask(subject, "p0"), outcome)
    assert view.state is BreakerState.HALF_OPEN
    assert (await ask(subject, "p1")).probe


async def test_late_and_repeated_reports_change_nothing(subject: Subject) -> None:
    """B4, B6: a failure counts once, and not at all after the generation has changed."""
    slow = await ask(subject, "slow")
    once = await ask(subject, "once")
    for _ in range(5):
        assert (await end(subject, once, Outcome.FAIL)).consecutive_failures == 1
    opened = await trip(subject)
    assert await end(subject, slow, Outcome.OK) == opened
    assert len(subject.events) == 1


async def test_a_replayed_request_for_a_probe_gets_the_same_permit(subject: Subject) -> None:
    """X3: the reply was lost, the same call asks again."""
    await trip(subject)
    await subject.pass_time(60.0)
    assert await ask(subject, "probe") == await ask(subject, "probe")


@pytest.mark.req("brk.classify")
async def test_a_throttle_parks_and_comes_back_by_a_probe(subject: Subject) -> None:
    """Fault 12: refused for as long as was asked, without counting a failure."""
    view = await end(subject, await ask(subject, "c"), Outcome.THROTTLE, reason="slow down", retry_after_s=7.0)
    assert (view.state, view.retry_after_s, view.consecutive_failures) == (BreakerState.PARKED, 7.0, 0)
    assert isinstance(await subject.store.acquire(A, "early"), Refusal)
    await subject.pass_time(7.0)
    assert (await end(subject, await ask(subject, "probe"), Outcome.OK)).state is BreakerState.CLOSED


async def test_the_average_follows_outcomes(subject: Subject) -> None:
    """B14: ½ after enough of both in turn, 1 again after enough successes; neutral ones leave it alone."""
    await subject.store.force(A, BreakerState.FORCED_CLOSED, actor="ada", reason="")
    for number in range(200):
        permit = await ask(subject, f"c{number}")
        view = await end(subject, permit, Outcome.OK if number % 2 else Outcome.FAIL)
    assert abs(view.ema_success - 0.5) < RULES.ema_alpha
    assert await end(subject, await ask(subject, "n"), Outcome.CANCEL) == view


@pytest.mark.req("brk.manual")
@pytest.mark.parametrize("forced", [BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED, BreakerState.DISABLED])
async def test_people_win_over_automatic_changes_until_they_give_back(
    subject: Subject, forced: BreakerState
) -> None:
    """B16: outcomes and time move nothing; every order is an event with its actor and reason."""
    view = await subject.store.force(A, forced, actor="ada", reason="drill")
    assert (view.state, view.reason) == (forced, "drill")
    await subject.pass_time(10_000.0)
    for number in range(10):
        permit = await subject.store.acquire(A, f"c{number}")
        assert isinstance(permit, Refusal) == (forced is BreakerState.FORCED_OPEN)
        if isinstance(permit, Permit):
            await end(subject, permit, Outcome.FAIL)
    assert await state(subject) is forced
    back = await subject.store.force(A, BreakerState.CLOSED, actor="bob", reason="done")
    assert (back.state, back.consecutive_failures) == (BreakerState.CLOSED, 0)
    assert [(event.after, event.actor, event.reason) for event in subject.events] == [
        (forced, "ada", "drill"),
        (BreakerState.CLOSED, "bob", "done"),
    ]
    assert not (await ask(subject, "after")).probe


@pytest.mark.req("brk.manual")
async def test_an_impossible_order_is_refused_and_changes_nothing(subject: Subject) -> None:
    """Automatic states are not for people, and nobody is no actor."""
    with pytest.raises(InvalidInput):
        await subject.store.force(A, BreakerState.HALF_OPEN, actor="ada", reason="")
    with pytest.raises(InvalidInput):
        await subject.store.force(A, BreakerState.FORCED_OPEN, actor="", reason="")
    assert (await state(subject), subject.events) == (BreakerState.CLOSED, [])
