"""A model that is silent for longer than usual: the next one is asked as well, and one of them answers (F6)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from configs.kernel import Outcome
from configs.settings import Settings
from engine.app import Engine
from engine.contract import BreakerState
from engine.errors import AllRoutesUnavailable
from engine.events import Final, Token
from tests.support.engines import engine_settings
from tests.support.provider import Play, ScriptedProvider

HEDGING = {"hedge": True, "hedge_s": 0.02, "retries": 0}
NO_BUDGET = {"hedge_share": 0.0, "retry_floor": 0}
SLOW = "model:p-slow/slow#none"


async def settings(tmp_path: Path, provider: ScriptedProvider, **shield: object) -> Settings:
    """A slow model first, a quick one after it, both with a price."""
    priced = {"price": {"input": 1.0, "output": 1.0}}
    return await engine_settings(
        tmp_path,
        {"slow": provider.url, "quick": provider.url},
        shield={**HEDGING, **shield},
        models={"slow": priced, "quick": priced},
    )


async def connected(engine: Engine) -> None:
    """One answer of the slow model while it is well: making the first client takes longer than a hedge waits."""
    await engine.execute("What is tea?", agent="general", models=["slow"], cache="off")


@pytest.mark.req("brk.fallback")
async def test_a_silent_model_is_overtaken_and_left_at_once(tmp_path: Path):
    """One answer, the loser's connection is closed and it is paid for what went in."""
    never = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(), Play(gate=never), model="slow")
        provider.script(reply="quick answer", model="quick")
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            await connected(engine)
            answer = await engine.execute("What is tea?", agent="general", cache="off")
        _, lost = provider.requests_for("slow")
        await lost.wait_disconnected()
    assert (answer.text, answer.model, answer.degraded) == ("quick answer", "quick", ("fallback",))
    assert [(a.model, a.outcome) for a in answer.attempts] == [("slow", Outcome.CANCEL), ("quick", Outcome.OK)]
    assert answer.attempts[0].cost.micros > 0
    assert answer.cost == answer.attempts[0].cost + answer.attempts[1].cost


@pytest.mark.req("brk.fallback")
async def test_the_first_model_wins_when_it_speaks_first_after_all(tmp_path: Path):
    """Both are asked, the second never speaks: no fallback, and the answer is no worse for it."""
    first, never = asyncio.Event(), asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=first, reply="late but mine"), model="slow")
        provider.script(Play(gate=never), model="quick")
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            asking = asyncio.create_task(engine.execute("What is tea?", agent="general", cache="off"))
            await provider.wait_requests(2)
            first.set()
            answer = await asking
    assert (answer.text, answer.model, answer.degraded) == ("late but mine", "slow", ())
    assert [(a.model, a.outcome) for a in answer.attempts] == [("quick", Outcome.CANCEL), ("slow", Outcome.OK)]


@pytest.mark.req("brk.fallback", "run.stream")
async def test_a_stream_has_one_voice(tmp_path: Path):
    """F4: the tokens of one model only, whichever it is; they make up the answer."""
    never = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=never), model="slow")
        provider.script(reply="all from one", model="quick")
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            events = [e async for e in engine.stream("What is tea?", agent="general", cache="off")]
    shown = "".join(event.text for event in events if isinstance(event, Token))
    assert isinstance(events[-1], Final)
    assert shown == events[-1].answer.text == "all from one"


@pytest.mark.req("brk.fallback")
async def test_when_both_fail_the_error_names_both(tmp_path: Path):
    """F5: the hedge's failure hides nothing."""
    failing = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=failing, status=503, body="{}"), model="slow")
        provider.script(status=500, body="{}", model="quick")
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            asking = asyncio.create_task(engine.execute("What is tea?", agent="general", cache="off"))
            await provider.wait_requests(2)
            failing.set()
            with pytest.raises(AllRoutesUnavailable) as caught:
                await asking
    assert [(r.model, r.outcome) for r in caught.value.reasons] == [
        ("slow", Outcome.FAIL),
        ("quick", Outcome.FAIL),
    ]


@pytest.mark.req("brk.semantics")
async def test_a_model_that_is_overtaken_again_and_again_is_not_asked_any_more(tmp_path: Path):
    """The first-token rule: five lost races without a word open its breaker; the sixth request goes past it."""
    never = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(*[Play()] * 20, Play(gate=never), model="slow")
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            for _ in range(20):  # what is unknown cannot be late
                await connected(engine)
            for _ in range(6):
                await engine.execute("What is tea?", agent="general", cache="off")
            view = await engine.breakers((SLOW,))
        assert len(provider.requests_for("slow")) == 20 + 5
    assert view[SLOW].state is BreakerState.OPEN


@pytest.mark.req("brk.fallback")
@pytest.mark.parametrize(
    "off", [{"hedge": False}, {"hedge_share": 0.0, "retry_floor": 0}], ids=["off", "no budget"]
)
async def test_without_leave_to_hedge_the_second_model_is_left_alone(tmp_path: Path, off: dict[str, object]):
    """The twin: the same silence, and only the first is asked until it answers."""
    later = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=later, reply="at last"), model="slow")
        async with Engine.open(settings=await settings(tmp_path, provider, **off)) as engine:
            asking = asyncio.create_task(engine.execute("What is tea?", agent="general", cache="off"))
            await provider.wait_requests(1)
            done, _ = await asyncio.wait((asking,), timeout=0.1)
            assert not done
            later.set()
            answer = await asking
        assert len(provider.requests_for("quick")) == 0
    assert (answer.text, len(answer.attempts)) == ("at last", 1)


@pytest.mark.req("brk.fallback")
async def test_cancelling_a_race_ends_both(tmp_path: Path):
    """B7, fault 78: both connections close, and neither breaker has counted anything."""
    never = asyncio.Event()
    async with ScriptedProvider() as provider:
        provider.script(Play(gate=never))
        async with Engine.open(settings=await settings(tmp_path, provider)) as engine:
            asking = asyncio.create_task(engine.execute("What is tea?", agent="general", cache="off"))
            await provider.wait_requests(2)
            asking.cancel()
            await asyncio.wait((asking,))
            for request in provider.requests:
                await request.wait_disconnected()
            views = await engine.breakers((SLOW, "model:p-quick/quick#none"))
    assert asking.cancelled()
    assert [view.consecutive_failures for view in views.values()] == [0, 0]
