"""Chains of a whole engine: keys, the declared last resort, requests within requests."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agents.contract import Task
from configs.catalogue import AgentCapability
from configs.errors import ConfigError
from configs.kernel import Outcome
from configs.load import load_settings
from engine.app import Engine
from engine.contract import BreakerState
from engine.errors import AllRoutesUnavailable, InvalidInput
from tests.support.engines import ROLES, closed_port, engine_settings
from tests.support.provider import ScriptedProvider

ECHO = AgentCapability(name="echo", description="Asks the engine the same question again.")


@pytest.mark.req("brk.everywhere", "brk.fallback")
async def test_one_bad_key_takes_out_all_its_models_with_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Fault 4: after the first 401 the second model of that key is not asked; the third answers."""
    monkeypatch.setenv("SPOILT_KEY", "sk-wrong")
    async with ScriptedProvider() as provider:
        provider.script(status=401, body='{"error": {"code": "invalid_api_key"}}', model="a")
        settings = await engine_settings(
            tmp_path,
            {"a": provider.url, "b": provider.url, "c": provider.url},
            providers={"p-a": {"api_key_env": "SPOILT_KEY"}},
            models={"b": {"provider": "p-a"}},
        )
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute("What is tea?", agent="general", cache="off")
            views = await engine.breakers(("credential:p-a#SPOILT_KEY", "model:p-a/a#SPOILT_KEY"))
        assert [request.model for request in provider.requests] == ["a", "c"]
    assert [(a.model, a.outcome, a.called) for a in answer.attempts] == [
        ("a", Outcome.AUTH, True),
        ("b", Outcome.REFUSED, False),
        ("c", Outcome.OK, True),
    ]
    assert [view.state for view in views.values()] == [BreakerState.PARKED, BreakerState.CLOSED]


@pytest.mark.req("brk.fallback")
async def test_the_declared_last_resort_answers_when_every_route_is_out(tmp_path: Path):
    """It is in no role's chain and is asked only after all of them."""
    async with ScriptedProvider() as provider:
        urls = {"dead": closed_port(), "spare": provider.url}
        roles = {role: ["dead"] for role in ROLES}
        settings = await engine_settings(tmp_path, urls, roles=roles, chain={"last_resort": "spare"})
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute("What is tea?")
            decision = await engine.route("What is tea?")
        without = await engine_settings(tmp_path, urls, roles=roles)
        async with Engine.open(settings=without) as engine:
            with pytest.raises(AllRoutesUnavailable):
                await engine.execute("What is tea?", cache="off")
    assert (answer.model, answer.degraded) == ("spare", ("fallback",))
    assert decision.legs[-1].model == "spare"


def test_an_unknown_last_resort_is_refused_at_the_start():
    """Fault 84: the message names the key and the nearest model."""
    with pytest.raises(ConfigError, match=r"last_resort"):
        load_settings("local", environ={}, overrides={"chain": {"last_resort": "smolm2"}})


@pytest.mark.req("brk.fallback")
async def test_an_agent_that_asks_itself_in_a_circle_is_stopped(tmp_path: Path):
    """F9: three requests deep and no further, then the chain goes on; nobody is blamed for it."""
    depths: list[int] = []
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as engine:

            async def again(prompt: str) -> str:
                depths.append(len(depths) + 1)
                return (await engine.execute(prompt, agent="echo", cache="off")).text

            engine.register_agent(ECHO, again)
            answer = await engine.execute("What is tea?", agent="echo", cache="off")
            view = await engine.breakers(("agent:echo",))
            after = await engine.execute("What is tea?", agent="general", cache="off")
    assert depths == [1, 2, 3]
    assert answer.text == "ok"  # the innermost request fell back to the general agent, as any other would
    assert view["agent:echo"].consecutive_failures == 0
    assert after.text == "ok"


@pytest.mark.req("brk.fallback")
async def test_a_request_within_a_request_has_no_more_time_than_its_parent(tmp_path: Path):
    """F9: the handler asks for an hour and gets what is left of two seconds."""
    left: list[float] = []
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as engine:

            async def inner(task: Task) -> str:
                left.append(task.deadline.at_s - time.monotonic())
                return "done"

            async def outer(prompt: str) -> str:
                return (await engine.execute(prompt, agent="inner", deadline_s=3_600.0, cache="off")).text

            engine.register_agent(ECHO, outer)
            engine.register_agent(ECHO.model_copy(update={"name": "inner"}), inner)
            await engine.execute("What is tea?", agent="echo", deadline_s=20.0, cache="off")
    assert 0.0 < left[0] <= 20.0


@pytest.mark.req("run.queue")
async def test_a_queue_that_is_switched_off_refuses_every_way_into_it(tmp_path: Path):
    """``enqueue`` as well as ``on_unavailable``; and a ticket id that is no text is the caller's error."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url}, queue={"enabled": False})
        async with Engine.open(settings=settings) as engine:
            with pytest.raises(InvalidInput, match="switched off"):
                await engine.enqueue("What is tea?")
            with pytest.raises(InvalidInput, match="switched off"):
                await engine.execute("What is tea?", on_unavailable="queue")
            with pytest.raises(InvalidInput, match="ticket id"):
                await engine.ticket(None)
