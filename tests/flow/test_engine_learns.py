"""What follows from requests: averages that replicas share, history, agents everywhere, experiments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agents.errors import CallFailed
from configs.catalogue import AgentCapability
from configs.kernel import Failure, FailureKind
from engine.app import Engine
from engine.errors import AllRoutesUnavailable, HandlerElsewhere
from engine.history.contract import HistoryQuery, HistoryRow
from tests.support.engines import engine_settings
from tests.support.provider import Play, ScriptedProvider
from tests.support.waiting import until, until_async

QUESTION = "Write a Python function that sorts people by age"


def names(engine: Engine) -> set[str]:
    """Of the agents that can be routed to."""
    return {agent.name for agent in engine.agents}


async def _rows(engine: Engine) -> list[HistoryRow]:
    history = engine.history
    assert history is not None
    await history.flush()
    return await asyncio.to_thread(lambda: list(history.rows(HistoryQuery())))


@pytest.mark.req("route.history")
async def test_every_end_of_a_request_has_its_row(tmp_path: Path):
    """Answered, from the cache, failed: three rows that say who, how sure, at what price, and what was asked."""
    async with ScriptedProvider() as provider:
        provider.script(reply="def reverse(text): return text[::-1]")
        settings = await engine_settings(tmp_path, {"m": provider.url}, shield={"retries": 0})
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute(QUESTION, user_id="ada")
            await engine.execute(QUESTION, user_id="ada")
            provider.script(*[Play(status=500)] * 9)
            with pytest.raises(AllRoutesUnavailable):
                await engine.execute("How do I reverse a list in Rust?", user_id="ada")
            rows = await _rows(engine)
    answered, hit, failed = rows
    assert (answered.agent, answered.source, answered.model, answered.ok) == ("python", "model", "m", True)
    assert answered.question == QUESTION
    assert answered.answer == answer.text
    assert answered.confidence == answer.decision.confidence
    assert answered.propensity == 1.0
    assert answered.embedding is not None
    assert len(answered.embedding) == 768
    assert (hit.source, hit.cache, hit.cost_micros, hit.fingerprint) == (
        "exact_cache",
        "hit",
        0,
        answered.fingerprint,
    )
    assert (failed.agent, failed.outcome, failed.answer) == ("rust", "all_routes_unavailable", None)
    assert "ada" not in repr([row.user for row in rows])


@pytest.mark.req("route.history", "admit.data")
async def test_personal_data_leaves_no_text_in_history_and_no_answer_in_the_cache(tmp_path: Path):
    """The row is there, its text is not, and the same question is answered anew."""
    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        asked = "Write to ada.lovelace@analytical-engines.org that her order is on its way"
        first = await engine.execute(asked, user_id="ada")
        second = await engine.execute(asked, user_id="ada")
        rows = await _rows(engine)
    assert (first.source, second.source) == ("model", "model")
    assert {row.data_class for row in rows} == {"pii"}
    assert [(row.question, row.answer) for row in rows] == [(None, None)] * 2


@pytest.mark.req("route.discover", "route.scale")
async def test_an_agent_registered_on_one_replica_answers_on_the_other(tmp_path: Path):
    """A prompted agent arrives and leaves by itself; a handler stays where it is, and the other says so."""
    tides = AgentCapability(
        name="tides",
        description="Tells when the tide is high or low at a harbour.",
        cues=("tide",),
        instructions="Answer with times.",
        role="general",
    )

    async def handler(prompt: str) -> str:
        return prompt

    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url}, registry={"poll_s": 0.02})
        async with Engine.open(settings=settings) as one, Engine.open(settings=settings) as other:
            await one.route("Say hello to the harbour master")
            await other.route("Say hello to the harbour master")
            one.register_agent(tides)
            one.register_agent(AgentCapability(name="own", description="Runs here."), handler)
            await until(lambda: "tides" in names(other) and "own" in other.elsewhere)
            assert (await other.route("When is the next high tide?")).agent == "tides"
            with pytest.raises(HandlerElsewhere):
                await other.execute("x", agent="own")
            assert one.unregister_agent("tides")
            await until(lambda: "tides" not in names(other))


@pytest.mark.req("route.learn")
async def test_what_one_replica_learns_the_other_knows(tmp_path: Path):
    """An agent that fails on one replica is on probation on both, and its questions go to somebody else."""
    broken = {"on": True}

    async def handler(prompt: str) -> str:
        if broken["on"]:
            raise CallFailed(Failure(kind=FailureKind.SERVER, detail="down"))
        return "high water at six"

    capability = AgentCapability(name="tides", description="Tide times at a harbour.", cues=("tide",))
    async with ScriptedProvider() as provider:
        settings = await engine_settings(
            tmp_path,
            {"m": provider.url},
            learn={"refresh_s": 0.01, "send_s": 0.001},
            breaker={"consecutive_failures": 1_000, "rate_min_calls": 1_000},
        )
        async with Engine.open(settings=settings) as one, Engine.open(settings=settings) as other:
            for engine in (one, other):
                engine.register_agent(capability, handler)
            for n in range(60):
                answer = await one.execute(f"When is the tide on day {n}?", user_id="ada")
                if answer.decision.agent != "tides":
                    break
            else:
                pytest.fail("60 failures and tides is still asked")

            async def given_away() -> bool:
                return (await other.route("When is the tide tonight?", priority="high")).agent != "tides"

            await until_async(given_away)
            decision = await other.route("When is the tide tonight?", priority="high")
    assert "probation" in decision.reason
    assert next(c for c in decision.candidates if c.agent == "tides").success < 1.0


@pytest.mark.req("route.split")
async def test_an_experiment_moves_its_share_and_says_so(tmp_path: Path):
    """Half of the users get another model, always the same ones, and every decision names its arm."""
    experiment: dict[str, Any] = {
        "name": "trial",
        "arms": [{"name": "new", "share": 0.5, "models": {"old": "new"}}],
    }
    async with ScriptedProvider() as provider:
        settings = await engine_settings(
            tmp_path,
            {"old": provider.url, "new": provider.url},
            experiments=[experiment],
            splits={"refresh_s": 0.01},
        )
        settings = settings.model_copy(update={"roles": dict.fromkeys(settings.roles, ("old",))})
        async with Engine.open(settings=settings) as engine:
            await engine.route(QUESTION, user_id="nobody")

            async def begun() -> bool:
                return "trial/new" in [(await engine.route(QUESTION, user_id=f"u{n}")).arm for n in range(8)]

            await until_async(begun)
            seen = {f"u{n}": await engine.route(QUESTION, user_id=f"u{n}") for n in range(40)}
            again = {user: await engine.route(QUESTION, user_id=user) for user in seen}
    assert {d.arm for d in seen.values()} == {"trial/new", "trial/control"}
    assert all(d.legs[0].model == ("new" if d.arm == "trial/new" else "old") for d in seen.values())
    assert {user: d.arm for user, d in again.items()} == {user: d.arm for user, d in seen.items()}
