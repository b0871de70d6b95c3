"""Identical questions at the same moment, through whole engines: one call and one bill (cache.flight)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from configs.catalogue import AgentCapability
from configs.kernel import Money
from engine.app import Engine
from engine.errors import AllRoutesUnavailable
from engine.events import Final, Token
from engine.history.contract import HistoryQuery
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import ScriptedProvider
from tests.support.waiting import until

QUESTION = "Write a Python function that sorts people by age"
MANY = 60
PATIENT = {"timeout_s": 10}
"""For Redis: what is shown here is not what happens when it is slow."""


@pytest.mark.req("cache.flight")
async def test_identical_questions_at_once_are_one_model_call_over_two_engines(tmp_path: Path):
    """One answer carries attempts and usage; the rest came with its flight, or from the other engine's store."""
    async with ScriptedProvider() as provider:
        provider.script(reply="people.sort(key=age)")
        settings = await engine_settings(tmp_path, {"m": provider.url}, redis=PATIENT)
        async with Engine.open(settings=settings) as here, Engine.open(settings=settings) as there:
            asked = [one.execute(QUESTION, user_id="ada") for one in (here, there) for _ in range(MANY)]
            answers = await asyncio.gather(*asked)
        assert len(provider.requests) == 1
    assert {answer.text for answer in answers} == {"people.sort(key=age)"}
    assert len({answer.request_id for answer in answers}) == 2 * MANY
    sources = Counter(answer.source for answer in answers)
    assert sources["model"] == 1
    assert sources["flight"] + sources["exact_cache"] == 2 * MANY - 1
    for answer in answers:
        paid = answer.source == "model"
        assert (len(answer.attempts), answer.usage.output_tokens > 0) == (int(paid), paid)
        assert paid or answer.cost == Money()


@pytest.mark.req("cache.flight", "cache.stream")
async def test_everybody_who_streams_is_shown_the_same_answer_whole(tmp_path: Path):
    """Each stream has the text once and its own final answer, whoever's call it was; others have their own."""

    async def watch(engine: Engine) -> tuple[str, str]:
        events = [event async for event in engine.stream(QUESTION, user_id="ada")]
        assert isinstance(events[-1], Final)
        return "".join(e.text for e in events if isinstance(e, Token)), events[-1].answer.text

    async with ScriptedProvider() as provider:
        provider.script(reply="people.sort(key=age)")
        settings = await engine_settings(tmp_path, {"m": provider.url}, redis=PATIENT)
        async with Engine.open(settings=settings) as engine:
            quiet = asyncio.create_task(engine.execute(QUESTION, user_id="ada"))
            seen = await asyncio.gather(*(watch(engine) for _ in range(20)))
            assert (await quiet).text == "people.sort(key=age)"
            assert len(provider.requests) == 1
            await asyncio.gather(*(engine.execute(QUESTION, user_id=user) for user in ("bob", "eve")))
            assert len(provider.requests) == 3
    assert seen == [("people.sort(key=age)", "people.sort(key=age)")] * 20


@pytest.mark.req("cache.flight")
async def test_a_dead_upstream_is_asked_once_for_all(tmp_path: Path):
    """Everybody is told, each with an error of their own."""
    settings = await engine_settings(tmp_path, {"m": closed_port()}, redis=PATIENT)
    async with Engine.open(settings=settings) as engine:
        asked = [engine.execute(QUESTION, user_id="ada") for _ in range(20)]
        errors = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in errors} == {AllRoutesUnavailable}
    assert len({id(error) for error in errors}) == 20


@pytest.mark.req("cache.flight")
async def test_without_a_cache_identical_questions_are_still_one_call(tmp_path: Path):
    """Fault 47 at the worst moment: Redis is gone, and so is what usually answers repeats."""
    gone = {"cache_url": f"unix://{tmp_path}/nobody.sock"}
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url}, redis=gone)
        async with Engine.open(settings=settings) as engine:
            answers = await asyncio.gather(*(engine.execute(QUESTION, user_id="ada") for _ in range(20)))
        assert len(provider.requests) == 1
    assert Counter(answer.source for answer in answers) == {"model": 1, "flight": 19}
    assert {answer.degraded for answer in answers} == {("cache",)}


@pytest.mark.req("cache.flight", "route.history")
async def test_what_a_call_came_to_is_known_even_when_its_owner_had_left(tmp_path: Path):
    """The owner goes, the call goes on for the other one and fails: what was tried is in the history, once."""
    began, gate = asyncio.Event(), asyncio.Event()

    async def slow(prompt: str) -> str:
        began.set()
        await gate.wait()
        raise RuntimeError(prompt)

    async with Engine.open(
        settings=await engine_settings(tmp_path, {"m": closed_port()}, redis=PATIENT)
    ) as engine:
        engine.register_agent(AgentCapability(name="slow", description="Takes its time.", cacheable=True), slow)
        owner = asyncio.create_task(engine.execute(QUESTION, user_id="ada", agent="slow"))
        await began.wait()
        other = asyncio.create_task(engine.execute(QUESTION, user_id="ada", agent="slow"))
        await until(lambda: _aboard(engine) == 2)
        owner.cancel()
        await asyncio.wait((owner,))
        gate.set()
        with pytest.raises(AllRoutesUnavailable):
            await other
        history = engine.history
        assert history is not None
        await history.flush()
        rows = await asyncio.to_thread(lambda: list(history.rows(HistoryQuery())))
    tried = [(row.outcome, len(json.loads(row.attempts)) > 0) for row in rows]
    assert Counter(tried) == {
        ("cancel", False): 1,
        ("all_routes_unavailable", True): 1,
        ("all_routes_unavailable", False): 1,
    }


def _aboard(engine: Engine) -> int:
    """How many wait for the one flight there is."""
    flights = engine._parts.run.flights  # pyright: ignore[reportPrivateUsage] - nobody else can see it
    assert flights is not None
    return sum(len(flight.crew) for flight in flights._flights.values())  # pyright: ignore[reportPrivateUsage]
