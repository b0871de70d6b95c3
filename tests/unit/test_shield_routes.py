"""What the shield does about routes besides one call: gates, credentials, slow and late routes, full chains."""

from __future__ import annotations

import asyncio

import pytest

from configs.kernel import FailureKind, Outcome
from configs.settings import BreakerSettings, LimiterSettings, Settings
from engine.contract import BreakerState, BreakerView, Permit, Report
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.local import LocalBreakerStore
from engine.resilience.routes import Route, Routes
from engine.resilience.shield import Shield
from tests.support.shield_lab import FINISH, HANG, SUBJECT, Lab, failure, pause
from tests.support.virtual_time import on_virtual_time

KEY = "credential:p#KEY"
OPEN, CLOSED, PARKED, HALF_OPEN = (
    BreakerState.OPEN,
    BreakerState.CLOSED,
    BreakerState.PARKED,
    BreakerState.HALF_OPEN,
)
FEW = Settings(limiter=LimiterSettings(start=2, most=2, restart=1, queue_max=3))


async def say(lab: Lab, subject: str = SUBJECT, deadline_s: float = 120.0) -> str:
    """One call with a credential."""
    route = Route(subject=subject, credential=KEY)
    stream = lab.shield.stream(route, lab.upstream.open, lab.deadline(deadline_s), report=lab.report)
    return "".join([chunk.text async for chunk in stream])


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_more_calls_than_places_wait_and_then_are_refused() -> None:
    """Two run, three wait, five are sent away without a second's delay; the others are answered."""
    lab = Lab(FEW)
    lab.upstream.play(1.0, "yes", FINISH)
    calls = [asyncio.create_task(lab.text()) for _ in range(10)]
    await pause(0.5)
    refused = [call for call in calls if call.done()]
    assert (len(refused), lab.upstream.opened) == (5, 2)
    assert all(isinstance(call.exception(), CallRefused) for call in refused)
    waited = [await call for call in calls if call not in refused]
    assert (waited, lab.upstream.opened, lab.elapsed_s) == (["yes"] * 5, 5, 3.0)
    assert lab.view().ema_success == 1.0  # being full is nobody's failure


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_a_breaker_that_opens_clears_the_line() -> None:
    """Two hang and three wait: the three learn at once that the route is out, and none of them connects."""
    lab = Lab(FEW, retries=0)
    lab.upstream.play(HANG)
    calls = [asyncio.create_task(lab.text()) for _ in range(5)]
    await pause(1.0)
    assert lab.upstream.opened == 2
    await lab.store.force(SUBJECT, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
    await pause(0.01)
    refused = [call.exception() for call in calls if call.done()]
    assert [str(error) for error in refused] == ["breaker is forced_open: drill"] * 3
    assert lab.upstream.opened == 2
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_parked_key_clears_the_lines_of_all_its_models() -> None:
    """Who waits for a place behind a key that has just been refused goes on at once."""
    lab = Lab(FEW)
    lab.upstream.play(HANG)
    calls = [asyncio.create_task(say(lab)) for _ in range(4)]
    await pause(1.0)
    lab.store.of(KEY).report(await lab.permit(KEY), Report(outcome=Outcome.AUTH))
    await pause(0.01)
    assert [call.done() for call in calls] == [False, False, True, True]
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


class SlowStore(LocalBreakerStore):
    """Every report is a round trip of a second."""

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """A second later."""
        await pause(1.0)
        return await super().report(permit, result)


def over_slow_store(lab: Lab, **changes: object) -> tuple[Shield, SlowStore]:
    """A shield whose breakers answer reports slowly."""
    loop = asyncio.get_running_loop()
    store = SlowStore(lab.settings.breaker, clock=loop.time, sample=lambda: 0.5, listeners=(lab.routes.moved,))
    return Shield(store, lab.settings, clock=loop.time, sample=lambda: 0.5, routes=lab.routes), store


@on_virtual_time
@pytest.mark.req("brk.overload")
async def test_a_place_that_comes_free_while_a_permit_goes_back_is_taken() -> None:
    """The gate is looked at again: a caller that queued at an empty one would wait for ever, and all after it."""
    lab = Lab(Settings(limiter=LimiterSettings(start=1, most=1, restart=1)))
    shield, store = over_slow_store(lab)
    await store.force(SUBJECT, BreakerState.DISABLED, actor="ada", reason="")
    lab.upstream.play(0.5, "yes", FINISH)

    async def text() -> str:
        stream = shield.stream(Route(subject=SUBJECT), lab.upstream.open, lab.deadline(60.0))
        return "".join([chunk.text async for chunk in stream])

    assert await asyncio.gather(*(text() for _ in range(3))) == ["yes"] * 3


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_client_that_leaves_during_the_report_leaves_no_call_behind() -> None:
    """Fault 78: the hanging upstream was cut before the breaker is told, so a cancellation cannot spare it."""
    lab = Lab(first_token_s=2.0, retries=0)
    shield, _ = over_slow_store(lab)
    lab.upstream.play(HANG)
    call = asyncio.create_task(anext(shield.stream(Route(subject=SUBJECT), lab.upstream.open, lab.deadline(60.0))))
    await pause(2.5)
    assert (lab.upstream.opened, lab.upstream.closed) == (1, 1)
    call.cancel()
    await asyncio.wait((call,))
    assert lab.routes.gate(Route(subject=SUBJECT)).running == 0


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_key_is_told_although_the_caller_leaves_while_the_route_is() -> None:
    """B8: the probe of the credential is free again, and its verdict is not lost."""
    lab = Lab(retries=0)
    shield, store = over_slow_store(lab)
    lab.upstream.play(failure(FailureKind.STATUS, status=401))
    route = Route(subject=SUBJECT, credential=KEY)
    call = asyncio.create_task(anext(shield.stream(route, lab.upstream.open, lab.deadline(60.0))))
    await pause(0.5)
    call.cancel()
    await asyncio.wait((call,))
    assert store.of(KEY).view().state is PARKED


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_bad_key_parks_the_key_and_not_the_route() -> None:
    """401: every model of that key is out at once, while the route's own breaker has nothing to say (B17)."""
    lab = Lab()
    lab.upstream.play(failure(FailureKind.STATUS, status=401))
    with pytest.raises(LeafCallFailed):
        await say(lab)
    assert (lab.view(KEY).state, lab.view().state) == (PARKED, CLOSED)
    assert (lab.view().ema_success, lab.view().consecutive_failures) == (1.0, 0)
    with pytest.raises(CallRefused):
        await say(lab, "model:p/other#KEY")
    assert lab.upstream.opened == 1


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_parked_key_is_tried_again_by_one_call_and_closes_when_it_works() -> None:
    """After the slow re-probe one call goes through; any answer that needs a valid key closes it, a 400 too."""
    lab = Lab()
    lab.upstream.play(failure(FailureKind.STATUS, status=403))
    lab.upstream.play(failure(FailureKind.CONNECT))
    lab.upstream.play(failure(FailureKind.STATUS, status=400))
    with pytest.raises(LeafCallFailed):
        await say(lab)
    await pause(lab.view(KEY).retry_after_s or 0.0)
    assert lab.view(KEY).state is HALF_OPEN
    with pytest.raises(LeafCallFailed):  # refused connections say nothing about a key: its permit is free again
        await say(lab, deadline_s=0.01)
    assert (lab.view(KEY).state, lab.leases(KEY)) == (HALF_OPEN, 0)
    with pytest.raises(LeafCallFailed):
        await say(lab)
    assert lab.view(KEY).state is CLOSED


@on_virtual_time
@pytest.mark.req("brk.everywhere")
async def test_a_server_without_keys_parks_its_route() -> None:
    """Without a credential a 401 is the route's."""
    lab = Lab()
    lab.upstream.play(failure(FailureKind.STATUS, status=401))
    with pytest.raises(LeafCallFailed):
        await lab.text()
    assert lab.view().state is PARKED


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_refused_route_gives_the_probe_of_its_key_back() -> None:
    """The key may be tried, its route may not: the permit for the key is free at once (B8)."""
    lab = Lab()
    lab.upstream.play("yes", FINISH)
    await lab.store.force(SUBJECT, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
    cell = lab.store.of(KEY)
    cell.report(await lab.permit(KEY), Report(outcome=Outcome.AUTH))
    await pause(cell.view().retry_after_s or 0.0)
    with pytest.raises(CallRefused):
        await say(lab)
    assert (lab.view(KEY).state, lab.leases(KEY)) == (HALF_OPEN, 0)


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_slow_answers_open_a_breaker() -> None:
    """First tokens after 25 of 30 s, twenty times within the window: open, though every answer was right."""
    lab = Lab(Settings(breaker=BreakerSettings(window_s=600.0)))
    lab.upstream.play(25.0, "late", FINISH)
    for _ in range(19):
        await lab.text()
    assert lab.view().state is CLOSED
    await lab.text()
    assert (lab.view().state, "slow" in lab.view().reason) == (OPEN, True)


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_answers_within_the_share_are_not_slow() -> None:
    """The twin: 20 of 30 s is in order, however often."""
    lab = Lab(Settings(breaker=BreakerSettings(window_s=600.0)))
    lab.upstream.play(20.0, "fine", FINISH)
    for _ in range(30):
        await lab.text()
    assert lab.view().state is CLOSED


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_route_that_hangs_opens_although_every_deadline_is_short() -> None:
    """The first-token rule: given up on after its own p95, five times, is open (a deadline alone is neutral)."""
    lab = Lab()
    lab.upstream.play("quick", FINISH)
    for _ in range(25):
        await lab.text()
    lab.upstream.replay(HANG)
    for _ in range(5):
        with pytest.raises(LeafCallFailed) as caught:
            await lab.text(deadline_s=1.0)
        assert caught.value.outcome is Outcome.DEADLINE
    assert lab.view().state is OPEN


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_deadline_shorter_than_usual_is_the_callers() -> None:
    """B7: cut before its p95 a route has done nothing wrong; unknown routes have not either."""
    lab = Lab()
    lab.upstream.play(HANG)
    for _ in range(10):
        with pytest.raises(LeafCallFailed):
            await lab.text(deadline_s=1.0)
    assert lab.view().consecutive_failures == 0


@on_virtual_time
@pytest.mark.req("brk.fallback")
async def test_a_route_that_takes_longer_than_is_left_is_passed_over() -> None:
    """F3: 2 s are usual here and 1 s is left: no call; with time enough it is asked."""
    lab = Lab()
    lab.upstream.play(2.0, "yes", FINISH)
    for _ in range(20):
        await lab.text()
    with pytest.raises(LeafCallFailed) as caught:
        await lab.text(deadline_s=1.0)
    assert (caught.value.outcome, lab.upstream.opened) == (Outcome.DEADLINE, 20)
    assert await lab.text(deadline_s=3.0) == "yes"


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_the_last_routes_of_a_chain_are_not_ejected() -> None:
    """Of three at most two may open (0.67): the third is asked on, however badly it does."""
    loop = asyncio.get_running_loop()
    settings = Settings(breaker=BreakerSettings(ejection_max=0.67))
    lab = Lab(settings, retries=0)
    pool = ("model:a", "model:b", "model:c")
    routes = Routes(lab.settings, dict.fromkeys(pool, pool))
    shield = Shield(lab.store, lab.settings, clock=loop.time, sample=lambda: 0.5, routes=routes)
    lab.upstream.play(failure(FailureKind.CONNECT))
    for subject in pool:
        for _ in range(8):
            stream = shield.stream(Route(subject=subject), lab.upstream.open, lab.deadline(9.0))
            with pytest.raises((LeafCallFailed, CallRefused)):
                await anext(stream)
    assert [lab.view(subject).state for subject in pool] == [OPEN, OPEN, CLOSED]
    assert lab.upstream.opened == 5 + 5 + 8


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_route_that_is_back_is_not_overrun() -> None:
    """Ramp-up: after the probe three calls at once, then six, then twelve, although fifty are waiting."""
    lab = Lab(Settings(limiter=LimiterSettings(start=50)), retries=0)
    await lab.until_half_open()
    lab.upstream.play(1.0, "yes", FINISH)
    await lab.text()
    calls = [asyncio.create_task(lab.text()) for _ in range(50)]
    seen: list[int] = []
    for _ in range(3):
        await pause(0.5)
        seen.append(lab.upstream.opened - lab.upstream.closed)
        await pause(0.5)
    assert seen == [3, 6, 12]
    assert await asyncio.gather(*calls) == ["yes"] * 50


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_slow_probe_opens_again_also_while_it_still_speaks() -> None:
    """First text after 25 of 30 s and no end: at the probe's deadline that is what it has shown."""
    lab = Lab(retries=0)
    await lab.until_half_open()
    lab.upstream.play(25.0, "late", 10.0, "on", FINISH)
    assert await lab.text() == "lateon"
    assert lab.view().state is OPEN


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_a_slow_reader_does_not_keep_the_probe() -> None:
    """B1b: it has the first text and reads no more; the permit is back before its lease ends."""
    lab = Lab(retries=0)
    await lab.until_half_open()
    lab.upstream.play("first", *["more"] * 100, FINISH)
    stream = lab.stream()
    await anext(stream)
    await pause(31.0)
    assert (lab.view().state, lab.leases()) == (CLOSED, 0)
    await stream.aclose()


@on_virtual_time
@pytest.mark.req("brk.semantics")
async def test_slow_routes_are_not_all_ejected_either() -> None:
    """Max ejection holds for the slow rule, and a route that is half open still counts as out."""
    loop = asyncio.get_running_loop()
    lab = Lab(Settings(breaker=BreakerSettings(ejection_max=0.5, window_s=600.0)), retries=0)
    pool = ("model:a", "model:b")
    routes = Routes(lab.settings, dict.fromkeys(pool, pool))
    shield = Shield(lab.store, lab.settings, clock=loop.time, sample=lambda: 0.5, routes=routes)
    lab.upstream.play(25.0, "late", FINISH)
    for subject in pool:
        for _ in range(20):
            stream = shield.stream(Route(subject=subject), lab.upstream.open, lab.deadline(90.0))
            async for _ in stream:
                pass
    assert lab.view("model:a").state is not CLOSED
    assert lab.view("model:b").state is CLOSED
