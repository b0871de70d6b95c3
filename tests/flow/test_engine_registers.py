"""Agents registered while engines run: on one of them, for all of them (route.discover)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from configs.catalogue import AgentCapability
from engine.app import Engine
from engine.errors import HandlerElsewhere, NoAgentFits, UnknownName
from tests.support.engines import engine_settings
from tests.support.provider import ScriptedProvider

GUARD_S = 20.0
TIDES = AgentCapability(
    name="tides",
    description="Tells tides, currents and moons of any harbour.",
    cues=("tide",),
    keywords=("ebb", "harbour"),
    instructions="You know the sea.",
)


async def _until(engine: Engine, *, tides: bool) -> None:
    """Ask until the agent for tides answers, or until it no longer does."""
    async with asyncio.timeout(GUARD_S):
        while (await _agent(engine) == "tides") is not tides:
            pass


async def _agent(engine: Engine) -> str:
    return (await engine.execute("When is the next tide?", cache="off")).agent


@pytest.mark.req("route.discover", "route.scale")
async def test_an_agent_registered_on_one_engine_answers_on_the_other_and_goes_from_both(tmp_path: Path):
    """Routed to by its cue, asked for by name, and unknown once it is taken out."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as first, Engine.open(settings=settings) as second:
            assert await _agent(second) != "tides"
            first.register_agent(TIDES)
            await _until(second, tides=True)
            assert (await second.execute("ebb?", agent="tides", cache="off")).agent == "tides"
            second.unregister_agent("tides")
            await _until(first, tides=False)
            with pytest.raises(UnknownName):
                await first.execute("ebb?", agent="tides", cache="off")


@pytest.mark.req("route.discover")
async def test_a_handler_of_one_engine_is_refused_by_name_on_the_other(tmp_path: Path):
    """And never routed to there."""

    async def tides(prompt: str) -> str:
        return f"ebb: {prompt}"

    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as first, Engine.open(settings=settings) as second:
            first.register_agent(TIDES, tides)
            assert await _agent(first) == "tides"
            assert await _agent(second) != "tides"
            with pytest.raises(HandlerElsewhere) as refused:
                await second.execute("ebb?", agent="tides", cache="off")
    assert refused.value.code == "handler_elsewhere"


@pytest.mark.req("route.score")
async def test_health_data_stays_with_local_agents_or_is_refused(tmp_path: Path):
    """No model of the chain is local: every agent is named with its reason, and nothing is sent."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url}, providers={"p-m": {"local": False}})
        async with Engine.open(settings=settings) as engine:
            with pytest.raises(NoAgentFits) as refused:
                await engine.execute("What does this finding mean?", data_class="phi", cache="off")
        assert provider.requests_for("m") == []
    assert "general" in refused.value.reasons
    assert set(refused.value.reasons.values()) == {
        "no model of its chain fits: not local, and phi data stays here",
    }
