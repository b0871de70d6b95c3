"""Paraphrases through a whole engine: served within their scope, refused by name, answered afresh elsewhere.

Encoder, guard, verifier, Redis and the models' transport are real.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.catalogue import AgentCapability
from configs.kernel import Principal
from engine import compose
from engine.app import Engine
from engine.cache import verifier_file
from engine.cache.dictionary import dictionary
from engine.cache.fingerprint import user_of
from engine.cache.question import unpack
from engine.cache.selection import Selection
from engine.cache.store import RedisAnswerCache
from engine.cache.verifier_file import load_verifier
from engine.cached import Entry, Lookup, Observation
from engine.errors import RejectedByModel
from engine.events import Final, Routed, Token
from engine.types import Answer
from memory.errors import BackendUnavailable
from tests.support.engines import engine_settings
from tests.support.paraphrases import believe, doubt, one_encoder
from tests.support.provider import Play, ScriptedProvider
from tests.support.waiting import until_async

ASKED = "Write a Python function that sorts people by age"
AGAIN = "Please write a Python function which sorts people by age"
THIRD = "Please write a function in Python that sorts people by age"
FLOUR = "How many grams are in 5 kg of flour?"
ENABLE = "How do I enable two-factor authentication on my account?"
LIVE = "What is the latest stable version of Python?"
FAQ = AgentCapability(
    name="faq",
    description="Answers frequent questions of customers about the shop.",
    instructions="You answer from the shop's own pages.",
    context_free=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An engine with one scripted model that says something else each time."""

    engine: Engine
    provider: ScriptedProvider

    async def ask(self, prompt: Any, user: str = "ada", tenant: str = "acme", **options: Any) -> Answer:
        """One answer."""
        return await self.engine.execute(prompt, user_id=user, tenant_id=tenant, **options)


@asynccontextmanager
async def world(folder: Path, **sections: Any) -> AsyncIterator[World]:
    """No check in the background unless asked for."""
    cache = {"bound": {"shadow_share": 0.0}} | sections.pop("cache", {})
    async with ScriptedProvider() as provider:
        provider.script(*(Play(reply=f"answer number {at}") for at in range(30)))
        settings = await engine_settings(folder, {"m": provider.url, "n": provider.url}, cache=cache, **sections)
        async with Engine.open(settings=settings) as engine:
            yield World(engine=engine, provider=provider)


@pytest.fixture(autouse=True)
def _no_fitted_verifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose, "load_encoder", one_encoder)
    monkeypatch.setattr(verifier_file, "load_verifier", believe)


@pytest.mark.req("cache.semantic", "cache.verify")
async def test_a_paraphrase_is_served_and_an_edited_question_is_not(tmp_path: Path):
    """Free, with the stored question and its cosine; another number or an antonym is answered afresh, by name."""
    dictionary.cache_clear()  # loaded by this engine, and not on its loop
    async with world(tmp_path) as w:
        first = await w.ask(ASKED)
        hit = await w.ask(AGAIN)
        assert (hit.source, hit.text, hit.agent, hit.model) == ("semantic_cache", first.text, first.agent, "m")
        assert (hit.attempts, hit.cost.micros, hit.usage.output_tokens) == ((), 0, 0)
        assert hit.decision == first.decision
        assert hit.request_id != first.request_id
        assert hit.verdict is not None
        assert (hit.verdict.accepted, hit.verdict.question) == (True, ASKED)
        assert 0.8 < hit.verdict.similarity < 1.0
        assert first.verdict is None
        for stored, edited, rule in (
            (FLOUR, FLOUR.replace("5", "50"), "number"),
            (ENABLE, ENABLE.replace("enable", "disable"), "antonym"),
        ):
            await w.ask(stored)
            fresh = await w.ask(edited)
            assert fresh.verdict is not None
            assert (fresh.source, fresh.verdict.accepted, fresh.verdict.rule) == ("model", False, rule)
            assert fresh.verdict.question == stored
        assert len(w.provider.requests) == 5
        exact = await w.ask(ASKED)
        assert (exact.source, exact.verdict) == ("exact_cache", None)


@pytest.mark.req("cache.semantic", "cache.verify", "cache.bound")
async def test_with_what_is_shipped_an_easy_rewording_is_served_and_other_questions_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The fitted verifier and the bound as they come: sure enough for the one, a rule or doubt for the others."""
    monkeypatch.setattr(verifier_file, "load_verifier", load_verifier)
    async with world(tmp_path) as w:
        for stored, asked, served in (
            ("What is the capital of France?", "What's the capital of France?", True),
            ("How do I sort a list in Python?", "How can I sort a list in Python?", True),
            (ENABLE, ENABLE.replace("enable", "disable"), False),
            ("How do I get from Rome to Milan by train?", "How do I get from Milan to Rome by train?", False),
            ("Who discovered penicillin?", "When was penicillin discovered?", False),
        ):
            await w.ask(stored, agent="general")
            answer = await w.ask(asked, agent="general")
            assert answer.verdict is not None, asked
            assert (answer.verdict.question, answer.source == "semantic_cache") == (stored, served), answer.verdict


@pytest.mark.req("cache.verify", "cache.bound")
async def test_a_model_is_asked_where_the_verifier_is_nearly_sure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its yes serves and its no does not; of personal data and of what a rule refused it hears nothing."""
    monkeypatch.setattr(verifier_file, "load_verifier", doubt)
    judge = {"cache": {"semantic": {"grey_role": "judge"}}, "roles": {"judge": ["n"]}}
    async with world(tmp_path, **judge) as w:
        await w.ask(ASKED)
        w.provider.script(reply="YES", model="n")
        yes = await w.ask(AGAIN)
        w.provider.script(reply="NO", model="n")
        no = await w.ask(THIRD)
        asked = len(w.provider.requests_for("n"))
        await w.ask(FLOUR)
        await w.ask(FLOUR.replace("5", "50"))
        await w.ask(ASKED, data_class="pii")
        assert (asked, len(w.provider.requests_for("n"))) == (2, 2)
    assert yes.verdict is not None
    assert no.verdict is not None
    assert (yes.source, yes.verdict.accepted, yes.verdict.detail) == ("semantic_cache", True, "a model was asked")
    assert (no.source, no.verdict.accepted, no.verdict.rule) == ("model", False, "model")


@pytest.mark.req("cache.scope", "cache.semantic")
async def test_nobody_is_served_from_anothers_answers_while_their_own_repeat_hits(tmp_path: Path):
    """Another user, another tenant, and ids that would spell the same pair: afresh, for both tiers."""
    async with world(tmp_path) as w:
        await w.ask(ASKED, "ada", "acme")
        for user, tenant in (("bob", "acme"), ("ada", "other"), ("acme", "ada"), ("ad", "aacme")):
            for text in (AGAIN, ASKED):
                other = await w.ask(text, user, tenant)
                source = "model" if text == AGAIN else "semantic_cache"  # of what they asked a moment ago
                assert other.source == source
                assert other.text != "answer number 0"
        assert (await w.ask(AGAIN, "ada", "acme")).text == "answer number 0"
        own = await w.ask(THIRD, "ada", "acme")
        assert (own.source, own.text) == ("semantic_cache", "answer number 0")


@pytest.mark.req("cache.scope")
async def test_a_context_free_agent_shares_with_its_tenant_and_nobody_else(tmp_path: Path):
    """Word for word and in other words; not its twin without the declaration, and nothing about now."""
    async with world(tmp_path) as w:
        w.engine.register_agent(FAQ)
        w.engine.register_agent(FAQ.model_copy(update={"name": "desk", "context_free": False}))
        await w.ask(ASKED, "ada", agent="faq")
        exact, near = await w.ask(ASKED, "bob", agent="faq"), await w.ask(AGAIN, "eve", agent="faq")
        assert (exact.source, near.source) == ("exact_cache", "semantic_cache")
        assert {exact.text, near.text} == {"answer number 0"}
        foreign = [
            await w.ask(ASKED, "ada", "other", agent="faq"),
            await w.ask(ASKED, "bob", agent="desk"),
            await w.ask(AGAIN, "eve", agent="desk"),
        ]
        assert [answer.source for answer in foreign] == ["model"] * 3
        await w.ask(LIVE, "ada", agent="faq")
        live = [await w.ask(LIVE, user, agent="faq") for user in ("bob", "ada")]
        assert [answer.source for answer in live] == ["model", "exact_cache"]
        kept = [e.answer.provenance async for e in w.engine.cache.entries(Selection(text="latest"))]
        assert [one.live for one in kept if one is not None] == [True, True]


@pytest.mark.req("cache.scope", "cache.semantic")
async def test_whatever_could_change_the_answer_is_another_scope(tmp_path: Path):
    """System prompt, history, agent, model, temperature, length: afresh for each; the plain paraphrase hits."""
    async with world(tmp_path) as w:
        await w.ask(ASKED)
        turn = {"role": "user", "content": AGAIN}
        others = [
            await w.ask([{"role": "system", "content": "Answer in French."}, turn]),
            await w.ask([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, turn]),
            await w.ask(AGAIN, agent="python"),
            await w.ask(AGAIN, models=["n"]),
            await w.ask(AGAIN, temperature=0.9),
            await w.ask(AGAIN, max_tokens=9),
            await w.ask(AGAIN, cache="off"),
            await w.ask(AGAIN, cache="refresh"),
        ]
        assert [(one.source, one.verdict) for one in others] == [("model", None)] * len(others)
        plain = await w.ask(THIRD)
    assert plain.source == "semantic_cache"


@pytest.mark.req("cache.fresh")
async def test_lifetime_is_the_agents_and_the_tasks_and_live_answers_are_short_and_private(tmp_path: Path):
    """Of the caller's wish, the agent's own limit and the one for what is about now, the shortest counts."""
    async with world(tmp_path, cache={"live_ttl_s": 200}) as w:
        w.engine.register_agent(FAQ.model_copy(update={"cache_ttl_s": 500}))
        w.engine.register_agent(FAQ.model_copy(update={"name": "ticker", "live": True}))
        w.engine.register_agent(FAQ.model_copy(update={"name": "never", "cacheable": False}))
        for prompt, options in (
            (ASKED, {"ttl_s": 1_000}),
            (ENABLE, {"agent": "faq"}),
            (FLOUR, {"agent": "faq", "ttl_s": 100}),
            (LIVE, {}),
            (THIRD, {"agent": "ticker"}),
            (AGAIN, {"agent": "never"}),
        ):
            await w.ask(prompt, **options)
        kept = {one.answer.question: one async for one in w.engine.cache.entries(Selection(everything=True))}
        assert (await w.ask(AGAIN, agent="never")).source == "model"
        assert (await w.ask(THIRD, "bob", agent="ticker")).source == "model"
        assert (await w.ask(THIRD, "ada", agent="ticker")).source == "exact_cache"
    assert {text: entry.ttl_s for text, entry in kept.items()} == {
        ASKED: 1_000,
        ENABLE: 500,
        FLOUR: 100,
        LIVE: 200,
        THIRD: 200,
    }


@pytest.mark.req("cache.stream", "cache.semantic")
async def test_a_semantic_hit_streams_like_a_fresh_answer(tmp_path: Path):
    """Who it was routed to, its text in pieces, the end: the same kinds of events in the same order."""
    async with world(tmp_path) as w:
        fresh = [event async for event in w.engine.stream(ASKED, user_id="ada")]
        hit = [event async for event in w.engine.stream(AGAIN, user_id="ada")]
        assert len(w.provider.requests) == 1
    for events, source in ((fresh, "model"), (hit, "semantic_cache")):
        assert isinstance(events[0], Routed)
        assert isinstance(events[-1], Final)
        pieces = [event.text for event in events if isinstance(event, Token)]
        assert (len(pieces) > 1, "".join(pieces)) == (True, "answer number 0")
        assert (events[-1].answer.source, events[-1].answer.text) == (source, "answer number 0")
    kinds = [type(event) for event in hit]
    assert set(kinds) == {Routed, Token, Final}
    assert [kind for kind in map(type, fresh) if kind in kinds] == kinds


@pytest.mark.req("cache.write", "cache.semantic")
async def test_personal_data_is_neither_looked_up_nor_stored(tmp_path: Path):
    """Said or found: asked twice, answered twice, nothing of it in the cache; the same without it is kept."""
    secret = "Write a letter to jane.doe@example.org about her late invoice"
    async with world(tmp_path) as w:
        await w.ask(ASKED)
        said = [await w.ask(text, data_class="pii") for text in (ASKED, AGAIN)]
        found = [await w.ask(secret) for _ in range(2)]
        entries = [entry.answer.question async for entry in w.engine.cache.entries(Selection(everything=True))]
    assert [(one.source, one.verdict) for one in said + found] == [("model", None)] * 4
    assert entries == [ASKED]


@pytest.mark.req("cache.write", "cache.semantic")
async def test_a_cache_that_goes_down_half_way_is_a_miss_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The answer comes all the same, says what could not be asked, and the next paraphrase is served."""

    async def gone(*_: object, **__: object) -> object:
        raise BackendUnavailable("redis.cache", "gone")

    async with world(tmp_path) as w:
        for call, source in (("nearest", "model"), ("put", "semantic_cache"), ("read", "model")):
            await w.ask(ASKED, call)
            with monkeypatch.context() as down:
                down.setattr(RedisAnswerCache, call, gone)
                assert (await w.ask(AGAIN, call)).source == source
                unkept = await w.ask(FLOUR, call)
            assert (unkept.source, unkept.degraded) == ("model", ("cache",) if call == "nearest" else ())
            assert (await w.ask(THIRD, call)).source == "semantic_cache"
            # A store that has failed in a request is left alone by it, so only the last one's answer was kept.
            assert (await w.ask(FLOUR, call)).source == ("exact_cache" if call == "read" else "model")


@pytest.mark.req("cache.scope", "cache.write")
async def test_an_agent_that_is_registered_anew_forgets(tmp_path: Path):
    """Another prompt or version is another agent; the same registration again is the same one."""
    async with world(tmp_path) as w:
        w.engine.register_agent(FAQ)
        await w.ask(ASKED, agent="faq")
        w.engine.register_agent(FAQ, replace=True)
        same = await w.ask(AGAIN, agent="faq")
        w.engine.register_agent(FAQ.model_copy(update={"instructions": "You are brief."}), replace=True)
        changed = [await w.ask(text, agent="faq") for text in (AGAIN, ASKED)]
        versions = {
            entry.answer.provenance.agent_version
            async for entry in w.engine.cache.entries(Selection(agent="faq"))
            if entry.answer.provenance is not None
        }
    assert same.source == "semantic_cache"
    assert [one.source for one in changed] == ["model", "semantic_cache"]
    assert changed[1].text == changed[0].text
    assert len(versions) == 2


@pytest.mark.req("cache.write")
async def test_a_users_stored_refusals_are_forgotten_with_the_user(tmp_path: Path):
    """They hold a question, too: found by user and tenant, not by another one's, and never by meaning."""
    async with world(tmp_path) as w:
        w.provider.script(Play(status=400, body="{}"), Play(reply="after all"))
        with pytest.raises(RejectedByModel):
            await w.ask(ASKED, tags={"team": "red"})
        assert (await w.ask(AGAIN)).source == "model"
        mine = Selection(by=user_of(Principal(user_id="ada", tenant_id="acme")), tags={"team": "red"})
        other = Selection(by=user_of(Principal(user_id="ada", tenant_id="other")))
        desk = w.engine.cache
        counts = [(await desk.invalidate(one, dry_run=False, examples=0)).count for one in (other, mine)]
        assert counts == [0, 1]
        assert (await w.ask(ASKED)).source == "semantic_cache"  # of the other words, which were answered


@pytest.mark.req("cache.bound")
async def test_hits_are_checked_in_the_background_and_the_entry_learns(tmp_path: Path):
    """Every hit is answered afresh at a share of 1: the caller has its answer, the entry what the check found."""
    async with world(tmp_path, cache={"bound": {"shadow_share": 1.0}}) as w:
        w.provider.script(Play(reply="Use sorted with a key."))
        await w.ask(ASKED, tags={"team": "red"})
        hit = await w.ask(AGAIN)
        assert hit.source == "semantic_cache"
        await until_async(lambda: _learned(w))
        (entry,) = [one async for one in w.engine.cache.entries(Selection(everything=True))]
        (observation,) = await _observations(w, entry)
        asked = [request.json["messages"][-1]["content"] for request in w.provider.requests]
    assert asked == [ASKED, AGAIN]
    assert hit.verdict is not None
    assert observation == Observation(score=pytest.approx(hit.verdict.probability, abs=1e-3), right=True)
    assert hit.cost.micros == 0


async def _learned(w: World) -> bool:
    return any([await _observations(w, one) async for one in w.engine.cache.entries(Selection(everything=True))])


async def _observations(w: World, entry: Entry) -> tuple[Observation, ...]:
    """What an entry has learned."""
    store, packed = w.engine.cache.store, entry.question
    assert store is not None
    assert packed is not None
    question = unpack(packed)
    assert question is not None
    at = Lookup(own=entry.place, shared=None, epoch=entry.epoch)
    (found,) = await store.nearest(at, question.vector, count=1, similarity_min=0.9)
    return found.observations
