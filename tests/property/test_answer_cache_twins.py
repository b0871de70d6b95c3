"""Whatever is done to them, the dict twin and the Redis store of the answer cache say the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from configs.caching import CacheSettings
from configs.settings import RedisSettings
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.store import PREFIX, RedisAnswerCache
from engine.cached import AnswerCache, Entry, Lookup, Observation
from engine.redis_client import connect
from tests.support.answer_caches import answer, at_angle, entry, place
from tests.support.clock import FakeClock

T = TypeVar("T")
SETTINGS = CacheSettings(entries_max=7, writes_per_minute=12)
QUESTIONS = st.integers(0, 4)
"""Of one scope: no more than the index hands out, so that equals cannot be cut off differently."""
OWNERS = st.sampled_from(["ann", "bob", "tenant"])
SCOPES = st.sampled_from(["one", "two"])
DEGREES = st.sampled_from([None, 0.0, 7.0, 30.0, 80.0])


class Twins(RuleBasedStateMachine):
    """Two stores that get the same calls."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = connect(self.url, None, RedisSettings())
        self.real = RedisAnswerCache(self.client, SETTINGS)
        self.twin = InMemoryAnswerCache(SETTINGS, now_s=FakeClock())
        self.epochs = {"": ""}
        self.written = 0

    @initialize()
    def empty(self) -> None:
        """Nothing is left of the last example."""

        async def emptied() -> None:
            keys = [key async for key in self.client.scan_iter(match=f"{PREFIX}*", count=1_000)]
            if keys:
                await self.client.unlink(*keys)

        self.runner.run(emptied())

    def both(self, call: Callable[[AnswerCache], Awaitable[T]]) -> tuple[T, T]:
        """What the real one says, and what its twin does."""

        async def calls() -> tuple[T, T]:
            return await call(self.real), await call(self.twin)

        return self.runner.run(calls())

    def same(self, call: Callable[[AnswerCache], Awaitable[object]]) -> None:
        """Both say the same."""
        real, twin = self.both(call)
        assert real == twin

    @rule(
        question=QUESTIONS, owner=OWNERS, scope=SCOPES, degrees=DEGREES, by=st.sampled_from([None, "ann", "bob"])
    )
    def put(self, question: int, owner: str, scope: str, degrees: float | None, by: str | None) -> None:
        """An answer that was never there before."""
        self.written += 1
        at, said = place(question, owner=owner, scope=scope), answer(str(self.written), by=by)
        self.same(lambda cache: cache.put(entry(at, said, degrees=degrees)))

    @rule(question=QUESTIONS, owner=st.sampled_from(["ann", "bob"]), scope=SCOPES, shared=st.booleans())
    def get(self, question: int, owner: str, scope: str, shared: bool) -> None:
        """With and without what the tenant shares."""
        common = place(question, owner="tenant", scope=scope) if shared else None
        asked = Lookup(own=place(question, owner=owner, scope=scope), shared=common)
        self.same(lambda cache: cache.get(asked))

    @rule(owner=st.sampled_from(["ann", "bob"]), scope=SCOPES, shared=st.booleans(), degrees=st.floats(0, 90))
    def nearest(self, owner: str, scope: str, shared: bool, degrees: float) -> None:
        """Places, cosines, questions and observations, in order; and what is read there."""
        common = place("x", owner="tenant", scope=scope) if shared else None
        asked = Lookup(own=place("x", owner=owner, scope=scope), shared=common)
        real, twin = self.both(lambda cache: cache.nearest(asked, at_angle(degrees), count=4, similarity_min=0.5))
        assert real == twin
        for one in real:
            self.same(lambda cache, at=one.place: cache.read(at, epoch=""))

    @rule(question=QUESTIONS, owner=OWNERS, scope=SCOPES, hits=st.integers(1, 5))
    def touch(self, question: int, owner: str, scope: str, hits: int) -> None:
        """Also where nothing is."""
        self.same(lambda cache: cache.touch({place(question, owner=owner, scope=scope): hits}))

    @rule(question=QUESTIONS, owner=OWNERS, scope=SCOPES, score=st.floats(0, 1), right=st.booleans())
    def observe(self, question: int, owner: str, scope: str, score: float, right: bool) -> None:
        """Also where nothing is."""
        at, observation = place(question, owner=owner, scope=scope), Observation(score=score, right=right)
        self.same(lambda cache: cache.observe(at, observation))

    @rule(questions=st.sets(QUESTIONS, max_size=3), owner=OWNERS, scope=SCOPES)
    def delete(self, questions: set[int], owner: str, scope: str) -> None:
        """Several at once."""
        places = tuple(place(question, owner=owner, scope=scope) for question in sorted(questions))
        self.same(lambda cache: cache.delete(places))

    @rule(question=QUESTIONS, owner=st.sampled_from(["ann", "bob"]), degrees=DEGREES, late=st.booleans())
    def remember(self, question: int, owner: str, degrees: float | None, late: bool) -> None:
        """An answer of an epoch, or of the one before, found by that epoch only."""

        async def story(cache: AnswerCache) -> tuple[object, ...]:
            asked = Lookup(own=place(question, owner=owner, scope="memory"), shared=None, remembers=True)
            epoch = (await cache.get(asked)).epoch
            stored = await cache.put(entry(asked.own, degrees=degrees, epoch=epoch))
            after = await cache.bump(owner) if late else epoch
            found = await cache.get(asked)
            near = await cache.nearest(replace(asked, epoch=epoch), at_angle(0.0), count=4, similarity_min=0.9)
            return stored, found.answer, found.place, len(epoch), after == epoch, len(near)

        self.same(story)

    @rule()
    def stats(self) -> None:
        """All but the bytes."""
        real, twin = self.both(lambda cache: cache.stats())
        assert replace(real, bytes_used=0, bytes_max=0) == replace(twin, bytes_used=0, bytes_max=0)

    @precondition(lambda self: self.written)
    @rule()
    def entries(self) -> None:
        """Every one, whole."""

        async def listed(cache: AnswerCache) -> list[Entry]:
            return sorted([one async for one in cache.entries()], key=lambda one: one.place.key)

        real, twin = self.both(listed)
        assert [replace(one, epoch="") for one in real] == [replace(one, epoch="") for one in twin]

    def teardown(self) -> None:
        """Close the client and its loop."""
        self.runner.run(self.client.aclose())
        self.runner.close()


@pytest.mark.req("cache.exact", "cache.semantic", "cache.write")
def test_the_twin_does_what_redis_does(redis_url: str) -> None:
    """Places, order, eviction, quotas, observations and epochs agree after any calls."""
    Twins.url = redis_url
    run_state_machine_as_test(
        Twins, settings=settings(max_examples=15, stateful_step_count=30, deadline=None, derandomize=True)
    )
