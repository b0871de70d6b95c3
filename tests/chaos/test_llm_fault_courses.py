"""Rows of the fault catalogue that are no single answer but a course of events: 4-6, 14-16, 19-21, 40-42."""

from __future__ import annotations

import asyncio
import random
import socket
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine import breakers
from engine.chaos.faults import fault_named
from engine.chaos.play import Play, now_and_then
from engine.chaos.provider import ScriptedProvider
from engine.contract import BreakerMoved, BreakerState
from engine.errors import AllRoutesUnavailable
from engine.resilience.local import LocalBreakerStore
from tests.support.clock import FakeClock
from tests.support.engines import closed_port
from tests.support.fault_lab import BAD, GOOD, PRICE, Lab, fault_lab, one_encoder
from tests.support.throwaway_tls import self_signed

__all__ = ["one_encoder"]

pytestmark = [pytest.mark.usefixtures("one_encoder"), pytest.mark.req("brk.semantics", "brk.fallback")]
SUBJECT = f"model:p-{BAD}/{BAD}#none"
RETRY = {"retries": 1, "backoff_s": 0.001, "backoff_s_max": 0.002}


async def moves(lab: Lab) -> tuple[BreakerMoved, ...]:
    """Every change of the broken route's breaker."""
    return await lab.engine._parts.breakers.history(SUBJECT)


@pytest.fixture
def breaker_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of every breaker of the engines that are opened, and no jitter in their open times."""
    clock = FakeClock()

    def store(rules: BreakerSettings, **parts: Any) -> LocalBreakerStore:
        return LocalBreakerStore(rules, **{**parts, "clock": clock, "sample": lambda: 0.5})

    monkeypatch.setattr(breakers, "LocalBreakerStore", store)
    return clock


async def test_429_from_every_route_is_one_error_with_the_smallest_wait(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Row 14: each route is asked once, nobody again before its time."""
    async with fault_lab(tmp_path, provider) as lab:
        for model, seconds in ((BAD, 50.0), (GOOD, 20.0)):
            provider.script(fault_named("429").play(seconds), model=model)
        told, again = await lab.ask(), await lab.ask()
    for one in (told, again):
        assert isinstance(one.error, AllRoutesUnavailable)
        assert 15.0 <= (one.error.retry_after_s or 0.0) <= 30.0
    assert [a.called for a in (*told.attempts, *again.attempts)] == [True, True, False, False]
    assert provider.calls == {BAD: 1, GOOD: 1}


@pytest.mark.req("brk.everywhere")
@pytest.mark.parametrize("fault", ["401", "403", "402", "quota"])
async def test_a_bad_key_parks_the_key_and_none_of_its_models_is_asked_again(
    provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Rows 4 to 6: one call finds out; the key's other model is passed without one, and no model is to blame."""
    monkeypatch.setenv("SPOILT_API_KEY", "sk-spoilt")
    provider.script(fault_named(fault).play())
    provider.script(reply="all well", model=GOOD)
    sections: dict[str, Any] = {
        "providers": {f"p-{BAD}": {"api_key_env": "SPOILT_API_KEY"}},
        "models": {BAD: PRICE, GOOD: PRICE, "sister": {**PRICE, "provider": f"p-{BAD}", "model": "sister"}},
    }
    async with fault_lab(tmp_path, provider, **sections) as lab:
        told, again = [await lab.ask(BAD, "sister", GOOD) for _ in range(2)]
        key = f"credential:p-{BAD}#SPOILT_API_KEY"
        models = tuple(f"model:p-{BAD}/{name}#SPOILT_API_KEY" for name in (BAD, "sister"))
        views = await lab.engine.breakers((key, *models))
        await lab.assert_clean()
    assert (told.ended, again.ended, provider.calls[BAD], provider.calls["sister"]) == (GOOD, GOOD, 1, 0)
    assert [a.called for a in (*told.attempts, *again.attempts)] == [True, False, True, False, False, True]
    assert told.first.outcome is (Outcome.AUTH if fault in {"401", "403"} else Outcome.QUOTA)
    assert told.first.cost.micros == 0
    assert [views[name].state for name in (key, *models)] == [
        BreakerState.PARKED,
        BreakerState.CLOSED,
        BreakerState.CLOSED,
    ]
    assert {views[name].consecutive_failures for name in models} == {0}


@pytest.mark.parametrize(("fault", "counted"), [("500", 1), ("reset", 1), ("409", 0)])
async def test_one_failure_is_one_retry_on_the_same_route(
    provider: ScriptedProvider, tmp_path: Path, fault: str, counted: int
) -> None:
    """Rows 9, 15 and 22: what may pass is tried once more, within the budget, before anyone else is asked."""
    provider.script(fault_named(fault).play(), Play(reply="second try"), model=BAD)
    async with fault_lab(tmp_path, provider, shield=RETRY) as lab:
        told = await lab.ask()
        view = await lab.view()
        await lab.assert_clean()
    assert (told.ended, told.first.tries, provider.calls[BAD]) == (BAD, 2, 2)
    assert (view.consecutive_failures, view.ema_success < 1.0) == (0, counted == 1)


async def test_five_failures_open_the_breaker_once_and_the_sixth_call_makes_no_connection(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Row 16: forty requests at once on a dead route are one OPEN, and after it nobody goes there."""
    provider.script(fault_named("500").play(), model=BAD)
    async with fault_lab(tmp_path, provider) as lab:
        answers = await asyncio.gather(*(lab.ask() for _ in range(40)))
        before = provider.connections
        later = await lab.ask()
        opened = await moves(lab)
        await lab.assert_clean()
    assert {told.ended for told in (*answers, later)} == {GOOD}
    assert [move.after for move in opened] == [BreakerState.OPEN]
    assert later.first.called is False
    assert provider.connections == before + 2  # the well route, now and in `assert_clean`


async def test_a_refused_connection_is_counted_and_the_next_route_answers(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Row 19."""
    async with fault_lab(tmp_path, provider, urls={BAD: closed_port(), GOOD: provider.url}) as lab:
        told = await lab.ask()
        assert (told.ended, told.first.outcome, told.first.cost.micros) == (GOOD, Outcome.FAIL, 0)
        assert "refused" in (told.first.error or "")
        assert (await lab.view()).consecutive_failures == 1
        await lab.assert_clean()


async def test_a_name_that_nobody_knows_is_counted_and_the_next_route_answers(
    provider: ScriptedProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 20: NXDOMAIN, as the resolver says it."""
    real = socket.getaddrinfo

    def unknown(host: str | bytes | None, *rest: object, **more: object) -> object:
        if host in {"nowhere.invalid", b"nowhere.invalid"}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *rest, **more)  # pyright: ignore[reportArgumentType] - passed on as it came

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    urls = {BAD: "http://nowhere.invalid/v1", GOOD: provider.url}
    async with fault_lab(tmp_path, provider, urls=urls) as lab:
        told = await lab.ask()
        assert (told.ended, told.first.outcome, told.first.cost.micros) == (GOOD, Outcome.FAIL, 0)
        assert "cannot be resolved" in (told.first.error or "")
        assert (await lab.view()).consecutive_failures == 1
        await lab.assert_clean()


async def test_a_certificate_that_nobody_vouches_for_is_counted_and_never_accepted(
    provider: ScriptedProvider, tmp_path: Path
) -> None:
    """Row 21: no request reaches the server, also not at a second try without verification."""
    async with (
        ScriptedProvider(await asyncio.to_thread(self_signed, tmp_path)) as impostor,
        fault_lab(tmp_path, provider, urls={BAD: impostor.url, GOOD: provider.url}, shield=RETRY) as lab,
    ):
        told = await lab.ask()
        assert (told.ended, told.first.outcome, told.first.cost.micros) == (GOOD, Outcome.FAIL, 0)
        assert "certificate" in (told.first.error or "")
        assert impostor.requests == []
        assert (await lab.view()).consecutive_failures == told.first.tries
        await lab.assert_clean()


async def test_a_third_of_failures_opens_by_rate_and_does_not_flap(
    provider: ScriptedProvider, tmp_path: Path, breaker_clock: FakeClock
) -> None:
    """Row 40: ten minutes of 30 % 5xx, a call every five seconds; at most one OPEN per open time."""
    sample = random.Random(40).random
    provider.choose_by(now_and_then(0.3, fault_named("500").play(), Play(), sample), model=BAD)
    rules = {"failure_rate": 0.25, "rate_min_calls": 10, "consecutive_failures": 50, "open_s": 60.0}
    async with fault_lab(tmp_path, provider, breaker=rules) as lab:
        for _ in range(120):
            breaker_clock.advance(5.0)
            assert (await lab.ask()).ended in {BAD, GOOD}
        opened = [move for move in await moves(lab) if move.after is BreakerState.OPEN]
    pauses = [late.at_s - early.at_s for early, late in pairwise(opened)]
    assert 2 <= len(opened) <= 10
    assert min(pauses) >= 48.0  # the open time, less its jitter


async def test_an_hour_of_failed_probes_lengthens_the_open_time_up_to_its_cap_and_recovery_takes_one_call(
    provider: ScriptedProvider, tmp_path: Path, breaker_clock: FakeClock
) -> None:
    """Rows 41 and 42: few probes in an hour; once the provider is well, the first probe closes the breaker."""
    provider.script(fault_named("503").play(), model=BAD)
    async with fault_lab(tmp_path, provider, breaker={"open_s": 60.0, "open_s_max": 300.0}) as lab:
        for _ in range(72):
            breaker_clock.advance(50.0)
            assert (await lab.ask()).ended == GOOD
        calls = provider.calls[BAD]
        opened = [move.at_s for move in await moves(lab) if move.after is BreakerState.OPEN]
        provider.script(Play(reply="back"), model=BAD)
        breaker_clock.advance(360.0)
        answers = [(await lab.ask()).ended for _ in range(3)]
        assert (await lab.view()).state is BreakerState.CLOSED
    pauses = [late - early for early, late in pairwise(opened)]
    assert calls == 5 + len(pauses)  # one probe per open time
    assert pauses == sorted(pauses)
    assert (pauses[0] <= 120.0, 240.0 <= pauses[-1] <= 330.0) == (True, True)
    assert answers == [BAD, BAD, BAD]


async def test_a_crowd_waits_for_the_one_probe(
    provider: ScriptedProvider, tmp_path: Path, breaker_clock: FakeClock
) -> None:
    """Row 42: when the open time is over, fifty callers are one call to the provider; the others fall back."""
    provider.script(fault_named("503").play(), model=BAD)
    async with fault_lab(tmp_path, provider) as lab:
        for _ in range(5):
            await lab.ask()
        assert (await lab.view()).state is BreakerState.OPEN
        gate = asyncio.Event()
        provider.script(Play(reply="back", gate=gate), model=BAD)
        breaker_clock.advance(100.0)
        provider.calls.clear()
        crowd = [asyncio.create_task(lab.ask()) for _ in range(50)]
        done, probing = await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        while len(probing) > 1:
            more, probing = await asyncio.wait(probing, return_when=asyncio.FIRST_COMPLETED)
            done |= more
        assert provider.calls[BAD] == 1
        gate.set()
        assert (await probing.pop()).ended == BAD
        assert {task.result().ended for task in done} == {GOOD}
        assert (await lab.view()).state is BreakerState.CLOSED
