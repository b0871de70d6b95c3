"""One suite for every ``AnswerCache``: the dict twin and a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from configs.kernel import Usage
from configs.settings import RedisSettings
from engine.cache.entry import encode
from engine.cache.exact import RedisExactCache
from engine.cache.inmemory import InMemoryExactCache
from engine.cached import AnswerCache, CachedAnswer
from engine.redis_client import connect
from engine.types import Candidate, Decision, Leg
from memory.errors import BackendUnavailable

CANDIDATE = Candidate(
    agent="sql", score=0.5, similarity=0.4, keyword_hits=("join",), intent=0.5, success=1.0, cost=1.0, latency=1.0
)
DECISION = Decision(
    agent="sql",
    strategy="single",
    confidence=0.875,
    reason="nearest",
    candidates=(CANDIDATE,),
    legs=(Leg(agent="sql", model="m"), Leg(agent="general", model=None)),
)
ANSWER = CachedAnswer(
    text="SELECT 1; -- ☕ \U0001f600 \u202e",
    decision=DECISION,
    model="m",
    usage=Usage(input_tokens=3, output_tokens=5, estimated=True),
    stored_at_s=1.5,
)
LIMIT = 20_000


@dataclass
class Subject:
    """A cache, and a way to put raw bytes behind its back."""

    cache: AnswerCache
    plant: Callable[[str, bytes], object]


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Subject]:
    """Each implementation in turn."""
    if request.param == "memory":
        twin = InMemoryExactCache(now_s=lambda: 0.0, entry_bytes_max=LIMIT)

        async def plant_in_dict(key: str, data: bytes) -> None:
            twin._entries[key] = (1e9, data)

        yield Subject(twin, plant_in_dict)
        return
    client = connect(redis_url, None, RedisSettings())
    await client.delete("k")
    yield Subject(RedisExactCache(client, entry_bytes_max=LIMIT), client.set)
    await client.aclose()


@pytest.mark.req("cache.exact")
async def test_an_answer_comes_back_equal(subject: Subject):
    """Text of any script, the whole decision and the usage survive the round trip."""
    await subject.cache.put("k", ANSWER, ttl_s=60)
    assert await subject.cache.get("k") == ANSWER


@pytest.mark.req("cache.exact")
async def test_an_unknown_key_is_a_miss_and_a_deleted_one_too(subject: Subject):
    """Delete says whether there was something, and then there is nothing."""
    assert await subject.cache.get("k") is None
    assert await subject.cache.delete("k") is False
    await subject.cache.put("k", ANSWER, ttl_s=60)
    assert await subject.cache.delete("k") is True
    assert await subject.cache.get("k") is None


@pytest.mark.req("cache.scope")
@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b"null",
        b'{"key": "k", "answer": {"text": 1}}',
        encode("k", ANSWER)[:-5],
        encode("another key", ANSWER),
    ],
)
async def test_a_damaged_or_foreign_entry_is_deleted_and_never_served(subject: Subject, damage: bytes):
    """Fault 46: what is not whole, or not this key's, is a miss and is gone."""
    await subject.plant("k", damage)  # pyright: ignore[reportGeneralTypeIssues]
    assert await subject.cache.get("k") is None
    assert await subject.cache.delete("k") is False


@pytest.mark.req("cache.exact")
async def test_an_entry_over_the_limit_is_not_stored(subject: Subject):
    """A huge answer never fills the cache, while one under the limit is stored."""
    huge = CachedAnswer(text="x" * LIMIT, decision=DECISION, model=None, usage=Usage(), stored_at_s=0.0)
    await subject.cache.put("k", huge, ttl_s=60)
    assert await subject.cache.get("k") is None


@pytest.mark.req("cache.fresh")
async def test_the_twin_forgets_after_its_ttl():
    """Just before the end it is there, at the end it is not."""
    now = [0.0]
    cache = InMemoryExactCache(now_s=lambda: now[0], entry_bytes_max=LIMIT)
    await cache.put("k", ANSWER, ttl_s=60)
    now[0] = 59.999
    assert await cache.get("k") == ANSWER
    now[0] = 60.0
    assert await cache.get("k") is None


@pytest.mark.req("cache.fresh")
async def test_redis_is_given_the_ttl(redis_url: str):
    """The key expires by Redis' own clock."""
    client = connect(redis_url, None, RedisSettings())
    await RedisExactCache(client, entry_bytes_max=LIMIT).put("ttl-key", ANSWER, ttl_s=60)
    assert 0 < await client.ttl("ttl-key") <= 60
    await client.aclose()


async def test_a_redis_that_is_gone_is_a_typed_error(tmp_path):
    """Redis' own exceptions never escape the adapter."""
    client = connect(f"unix://{tmp_path}/nobody.sock", None, RedisSettings())
    cache = RedisExactCache(client, entry_bytes_max=LIMIT)
    with pytest.raises(BackendUnavailable):
        await cache.get("k")
    with pytest.raises(BackendUnavailable):
        await cache.put("k", ANSWER, ttl_s=1)
    await client.aclose()
