"""Identical questions at the same moment, through whole engines: one call and one bill (cache.flight)."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from configs.kernel import Money
from engine.app import Engine
from engine.errors import AllRoutesUnavailable
from engine.events import Final, Token
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import ScriptedProvider

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
