"""What users of one tenant share through a whole engine, and what stays with one of them (cache.scope)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from configs.catalogue import AgentCapability
from engine.app import Engine
from engine.ask import ask
from engine.cache.question import pack
from engine.errors import RejectedByModel
from engine.types import Answer, Request
from tests.support.engines import engine_settings
from tests.support.provider import Play, ScriptedProvider

FAQ = AgentCapability(
    name="faq",
    description="Answers frequent questions of customers about the shop.",
    instructions="You answer from the shop's own pages.",
    context_free=True,
)
PATIENT = {"timeout_s": 5}
ASKED = "Who is the head of our Berlin office?"
AGAIN = "Please, who is the head of our Berlin office?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An engine with a context-free agent."""

    engine: Engine
    provider: ScriptedProvider

    async def ask(self, prompt: str, user: str = "ada", **options: Any) -> Answer:
        """Asked of the shop's agent."""
        return await self.engine.execute(prompt, user_id=user, tenant_id="acme", agent="faq", **options)

    async def at_once(self, prompt: str, *users: str) -> list[Answer]:
        """Several users at the same moment."""
        return list(await asyncio.gather(*(self.ask(prompt, user) for user in users)))


@asynccontextmanager
async def shop(folder: Path, *plays: Play, models: str = "m", **sections: Any) -> AsyncIterator[Shop]:
    """``plays`` first, then numbered answers. Nobody stands by unless a test says so."""
    options = {"routing": {"fallback_agents": []}, "cache": {"bound": {"shadow_share": 0.0}}} | sections
    async with ScriptedProvider() as provider:
        provider.script(*plays, *(Play(reply=f"answer {at}") for at in range(20)))
        settings = await engine_settings(folder, dict.fromkeys(models, provider.url), redis=PATIENT, **options)
        async with Engine.open(settings=settings) as engine:
            engine.register_agent(FAQ)
            yield Shop(engine=engine, provider=provider)


@pytest.mark.req("cache.flight", "cache.scope")
async def test_users_of_a_tenant_fly_together_where_only_a_context_free_agent_can_answer(tmp_path: Path):
    """Three users, one call, one pays; where somebody else stands by who is not, each has a call of their own."""
    async with shop(tmp_path / "alone") as s:
        together = await s.at_once(ASKED, "ada", "carl", "dora")
        assert len(s.provider.requests) == 1
    assert Counter(answer.source for answer in together) == {"model": 1, "flight": 2}
    async with shop(tmp_path / "standby", routing={"fallback_agents": ["general"]}) as s:
        apart = await s.at_once(ASKED, "ada", "carl", "dora")
        assert len(s.provider.requests) == 3
    assert {answer.source for answer in apart} == {"model"}


@pytest.mark.req("cache.flight", "cache.scope")
async def test_nobody_is_handed_what_lies_with_the_one_who_asked_first(tmp_path: Path):
    """Ada's own entry is near: she is served from it, and those who ask with her share a fresh answer."""
    async with shop(tmp_path) as s:
        await s.ask(ASKED, "ada")
        await _move_to_its_user(s)
        answers = await s.at_once(AGAIN, "ada", "carl", "dora")
    assert answers[0].source == "semantic_cache"
    assert answers[0].text == "answer 0"
    assert {answer.text for answer in answers[1:]} == {"answer 1"}
    assert all(answer.verdict is None for answer in answers[1:])


async def _move_to_its_user(s: Shop) -> None:
    """As if it had been made from something of the user's own."""
    store = s.engine.cache.store
    assert store is not None
    (entry,) = [one async for one in store.entries()]
    lookup = s.engine.cache.lookup_of(await _request(s, ASKED))
    assert entry.place == lookup.shared
    question = await s.engine.cache.read(ASKED)
    assert question is not None
    await store.delete((entry.place,))
    assert await store.put(replace(entry, place=lookup.own, question=pack(question)))


async def _request(s: Shop, text: str) -> Request:
    names = [agent.name for agent in s.engine.agents]
    return await ask(text, {"user_id": "ada", "tenant_id": "acme", "agent": "faq"}, s.engine.settings, names)


@pytest.mark.req("cache.scope", "cache.verify")
async def test_what_somebody_else_has_asked_is_not_quoted(tmp_path: Path):
    """Bob hears the rule and the cosine of a shared candidate, hit or not; of his own entry he hears the words."""
    async with shop(tmp_path) as s:
        await s.ask("How long is the warranty on the red kettle?", "ada")
        refused = await s.ask("How long is the warranty on the blue kettle?", "bob")
        own = await s.ask("How long is the warranty on the green kettle?", "bob", cache="default")
        served = await s.ask("How long is the warranty for the red kettle?", "bob")
    for answer, accepted in ((refused, False), (served, True)):
        assert answer.verdict is not None
        assert (answer.verdict.accepted, answer.verdict.question, answer.verdict.detail) == (accepted, "", "")
        assert answer.verdict.similarity > 0.7
    assert own.verdict is not None


@pytest.mark.req("cache.fresh")
async def test_a_question_about_now_is_not_answered_by_one_that_is_not(tmp_path: Path):
    """The entry without «currently» lives for a day; the twin without it hits."""
    async with shop(tmp_path) as s:
        await s.ask("Is the Hamburg warehouse closed?", "ada")
        now = await s.ask("Is the Hamburg warehouse currently closed?", "ada")
        twin = await s.ask("is the Hamburg warehouse closed", "ada")
    assert (now.source, twin.source) == ("model", "semantic_cache")


@pytest.mark.req("cache.write")
async def test_what_only_a_fallback_refused_is_asked_again(tmp_path: Path):
    """The model that was meant was down, another one refused: once it is back, it answers."""
    down = [Play(status=503, body="{}")] * 3
    async with shop(tmp_path, *down, Play(status=400, body="{}"), Play(reply="here I am"), models="mn") as s:
        with pytest.raises(RejectedByModel):
            await s.ask(ASKED)
        answer = await s.ask(ASKED, cache="default")
    assert (answer.source, answer.text) == ("model", "here I am")
