"""What operators do with the cache: look, explain, forget. Over the dict twin."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from configs.caching import CacheSettings
from configs.kernel import Principal
from configs.settings import Settings
from engine import cache_desk
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.paraphrase import Judge
from engine.cache.question import Question
from engine.cache.selection import Selection
from engine.cache_desk import CacheDesk
from engine.cached import Entry, Lookup
from engine.errors import InvalidInput
from engine.gateway.admit import Options, build_request
from engine.types import Request
from memory.errors import BackendUnavailable
from tests.support.answer_caches import answer, entry, lookup, place
from tests.support.clock import FakeClock
from tests.support.paraphrases import load_guard, question

ASKED = "How many grams are in 5 kg of flour?"
REQUEST = build_request(ASKED, Principal(user_id="ann"), Options(), Settings(), request_id="r", now_s=0.0)
SAME, FAR = "How many grams are there in 5 kg of flour?", "Who wrote Faust?"
ANGLES = {"How do I enable 2FA?": 0.0, "How do I disable 2FA?": 10.0, "How can I enable 2FA?": 5.0, ASKED: 0.0}
ALL = Selection(everything=True)


async def read(text: str) -> Question | None:
    """Known questions have a direction, and so has a blank: the encoder would read it."""
    return question(text, ANGLES.get(text, 0.0)) if text in ANGLES or not text.strip() else None


async def judge() -> Judge:
    """The real guard."""
    return await asyncio.to_thread(load_guard)


def desk(*, store: bool = True) -> CacheDesk:
    """An empty cache's."""
    return CacheDesk(
        store=InMemoryAnswerCache(CacheSettings(), now_s=FakeClock()) if store else None,
        read=read,
        judge=judge,
        lookup_of=lambda _: lookup("asked", shared="tenant"),
        why_none="it did not start",
    )


async def filled(count: int, agent: str = "sql") -> CacheDesk:
    """With so many answers."""
    made = desk()
    assert made.store is not None
    for at in range(count):
        said = answer(f"answer {at}")
        said = replace(said, question=f"question {at}", decision=replace(said.decision, agent=agent))
        await made.store.put(entry(place(f"{agent}{at}"), said))
    return made


async def listed(made: CacheDesk, selection: Selection = ALL) -> list[Entry]:
    """What is there."""
    return [one async for one in made.entries(selection)]


@pytest.mark.req("cache.write")
async def test_a_dry_run_counts_and_deletes_nothing_and_the_same_without_deletes_exactly_that():
    """Seven of nine are meant; at most three are shown; two stay."""
    made = await filled(7)
    assert made.store is not None
    for at in range(2):
        await made.store.put(entry(place(f"other{at}"), replace(answer("keep"), question="other")))
    selection = Selection(text="question")
    dry = await made.invalidate(selection, dry_run=True, examples=3)
    assert (dry.count, dry.dry_run, len(dry.examples)) == (7, True, 3)
    assert len(await listed(made)) == 9
    done = await made.invalidate(selection, dry_run=False, examples=3)
    assert (done.count, done.dry_run, len(done.examples)) == (7, False, 3)
    assert [one.answer.question for one in await listed(made)] == ["other", "other"]
    again = await made.invalidate(selection, dry_run=False, examples=3)
    assert (again.count, again.examples) == (0, ())


@pytest.mark.req("cache.write")
async def test_more_entries_than_a_page_are_all_forgotten(monkeypatch: pytest.MonkeyPatch):
    """Whole pages and the rest."""
    monkeypatch.setattr(cache_desk, "PAGE", 4)
    for count in (4, 9):
        made = await filled(count)
        assert (await made.invalidate(ALL, dry_run=False, examples=0)).count == count
        assert await listed(made) == []


@pytest.mark.req("cache.write")
async def test_nothing_is_forgotten_without_a_choice():
    """An empty selection is an error that says what to name; to list, it means everything."""
    made = await filled(2)
    with pytest.raises(InvalidInput, match="which entries") as refused:
        await made.invalidate(Selection(), dry_run=False, examples=1)
    assert (refused.value.code, "a tag" in refused.value.hint) == ("empty_selection", True)
    assert len(await listed(made, Selection())) == 2


@pytest.mark.req("cache.verify")
async def test_a_pair_is_explained_by_the_rule_that_refuses_it_also_where_no_cache_is():
    """Enable is not disable, in those words; another way to ask is served."""
    made = desk(store=False)
    refused = await made.explain("How do I enable 2FA?", "How do I disable 2FA?")
    assert (refused.accepted, refused.rule) == (False, "antonym")
    assert {"enable", "disable"} <= set(refused.detail.split())
    same = await made.explain("How do I enable 2FA?", "How can I enable 2FA?")
    assert (same.accepted, same.question) == (True, "How can I enable 2FA?")


@pytest.mark.req("cache.verify")
async def test_a_text_that_the_encoder_cannot_read_is_not_served_and_a_blank_one_is_the_callers_error():
    """Its language is the rule, with the text's beginning; a blank is refused by name."""
    verdict = await desk().explain("How do I enable 2FA?", "zzz" * 50)
    assert (verdict.accepted, verdict.rule, verdict.question) == (False, "language", "zzz" * 50)
    assert "zzz" in verdict.detail
    assert len(verdict.detail) < 120
    with pytest.raises(InvalidInput) as refused:
        await desk().explain(" ", "How do I enable 2FA?")
    assert refused.value.code == "unreadable_question"


@pytest.mark.req("cache.semantic", "cache.scope")
async def test_neighbours_are_those_that_this_request_might_be_served_from():
    """Own and shared ones, nearest first, however far, each with its verdict; a foreign one never."""
    made = desk()
    assert made.store is not None
    for text, owner, degrees in ((FAR, "ann", 80.0), (SAME, "tenant", 10.0), ("foreign", "bob", 0.0)):
        said = replace(answer(f"to {text}"), question=text)
        await made.store.put(entry(place(text, owner=owner), said, degrees=degrees))
    found = await made.near(REQUEST, 9)
    assert [(one.question, one.verdict.rule, one.answer, one.agent) for one in found] == [
        (SAME, "accepted", f"to {SAME}", "sql"),
        (FAR, "similarity", f"to {FAR}", "sql"),
    ]
    assert len(await made.near(REQUEST, 1)) == 1


@pytest.mark.req("cache.semantic", "cache.write")
async def test_neighbours_are_of_what_the_user_knows_now():
    """What was stored before the user's memory changed is shown to nobody; what came after is."""

    def remembering(_: Request) -> Lookup:
        return lookup("asked", remembers=True)

    made = replace(desk(), lookup_of=remembering)
    assert made.store is not None
    for text in ("before", "after"):
        epoch = await made.store.bump(lookup("asked").own.owner)
        await made.store.put(entry(place(text), replace(answer(), question=text), degrees=0.0, epoch=epoch))
    assert [one.question for one in await made.near(REQUEST, 9)] == ["after"]
    await made.store.bump(lookup("asked").own.owner)
    assert await made.near(REQUEST, 9) == ()


@pytest.mark.req("cache.write")
async def test_without_a_cache_every_look_says_why():
    """The reason is the one that the engine gives as degraded."""
    made = desk(store=False)
    with pytest.raises(BackendUnavailable, match="it did not start"):
        await made.stats()
    with pytest.raises(BackendUnavailable, match="it did not start"):
        await listed(made)
    with pytest.raises(BackendUnavailable, match="it did not start"):
        await made.invalidate(ALL, dry_run=True, examples=1)
    with pytest.raises(BackendUnavailable, match="it did not start"):
        await made.near(REQUEST, 1)
