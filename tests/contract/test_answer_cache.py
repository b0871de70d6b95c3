"""One suite for every ``AnswerCache``: the dict twin and a real Redis."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from redis.asyncio import Redis

from configs.caching import CacheSettings
from configs.settings import RedisSettings
from engine.cache import entry as entries_module
from engine.cache.entry import encode
from engine.cache.inmemory import InMemoryAnswerCache
from engine.cache.question import Question, pack
from engine.cache.store import PREFIX, RedisAnswerCache
from engine.cached import AnswerCache, CachedAnswer, Entry, Lookup, Observation, Place
from engine.redis_client import connect
from memory.errors import BackendUnavailable
from tests.support.answer_caches import ANSWER, answer, at_angle, digits, entry, lookup, packed, place
from tests.support.clock import FakeClock

LIMIT = 20_000
CAP = 20
QUOTA = 50
SETTINGS = CacheSettings(entry_bytes_max=LIMIT, entries_max=CAP, writes_per_minute=QUOTA)
Plant = Callable[[Place, bytes], Awaitable[object]]


@dataclass
class Subject:
    """A cache, and ways to do things behind its back."""

    cache: AnswerCache
    plant: Plant
    """Replace the bytes of the answer at a place."""
    replant: Callable[[Place, Place], Awaitable[object]]
    """Let the question of one place be found where the one of another is."""


@pytest.fixture(params=["memory", "redis"])
async def subject(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Subject]:
    """Each implementation in turn, empty."""
    if request.param == "memory":
        yield _twin(InMemoryAnswerCache(SETTINGS, now_s=FakeClock()))
        return
    client = connect(redis_url, None, RedisSettings())
    await _emptied(client)
    yield _real(client)
    await client.aclose()


async def _emptied(client: Redis) -> None:
    keys = [key async for key in client.scan_iter(match=f"{PREFIX}*", count=1_000)]
    if keys:
        await client.unlink(*keys)


def _twin(twin: InMemoryAnswerCache) -> Subject:
    async def plant(at: Place, data: bytes) -> None:
        await twin.put(entry(at))
        twin._owners[at.owner].kept[at.key].data = data

    async def replant(from_: Place, to: Place) -> None:
        foreign = twin._owners[from_.owner].kept[from_.key]
        own = twin._owners[to.owner].kept[to.key]
        own.data, own.question = foreign.data, foreign.question

    return Subject(twin, plant, replant)


def _real(client: Redis) -> Subject:
    async def plant(at: Place, data: bytes) -> None:
        await client.set(f"{PREFIX}a:{at.owner}:{at.key}", data)

    async def replant(from_: Place, to: Place) -> None:
        for kind in "aq":
            await client.copy(
                f"{PREFIX}{kind}:{from_.owner}:{from_.key}", f"{PREFIX}{kind}:{to.owner}:{to.key}", replace=True
            )

    return Subject(RedisAnswerCache(client, SETTINGS), plant, replant)


async def texts(
    cache: AnswerCache,
    question: str,
    degrees: float = 0.0,
    *,
    owner: object = "ann",
    shared: object = None,
    epoch: str = "",
) -> list[str]:
    """The texts of the answers near that angle, nearest first."""
    asked = lookup(question, owner=owner, shared=shared, epoch=epoch)
    near = await cache.nearest(asked, at_angle(degrees), count=4, similarity_min=0.5)
    read = [await cache.read(one.place, epoch=asked.epoch) for one in near]
    return [one.text for one in read if one is not None]


async def held(cache: AnswerCache, at: Place) -> CachedAnswer | None:
    """The answer at that very place."""
    return (await cache.get(Lookup(own=at, shared=None))).answer


@pytest.mark.req("cache.exact")
async def test_an_answer_comes_back_equal(subject: Subject):
    """Text of any script, the whole decision, usage and provenance survive the round trip."""
    said = answer("SELECT 1; -- ☕ \U0001f600 \u202e", by="ann", tags={"team": "a: *?[]{}\0"})
    asked = lookup("q")
    assert await subject.cache.put(entry(asked.own, said)) is True
    found = await subject.cache.get(asked)
    assert (found.answer, found.place, found.epoch) == (said, asked.own, "")
    assert await subject.cache.read(asked.own, epoch="") == said


@pytest.mark.req("cache.exact")
async def test_an_unknown_place_is_a_miss_and_a_deleted_one_too(subject: Subject):
    """Delete says how many there were, and then there is nothing, of the vector neither."""
    one, two, gone = place("1"), place("2"), place("3")
    assert await held(subject.cache, one) is None
    await subject.cache.put(entry(one, answer("1"), degrees=0.0))
    await subject.cache.put(entry(two, answer("2"), degrees=5.0))
    assert await subject.cache.delete((one, gone)) == 1
    assert await held(subject.cache, one) is None
    assert await subject.cache.read(one, epoch="") is None
    assert await texts(subject.cache, "x") == ["2"]
    assert await subject.cache.delete(()) == 0


@pytest.mark.req("cache.scope")
async def test_the_own_answer_comes_before_the_shared_one(subject: Subject):
    """The tenant's common answer is found when there is none of one's own, and only by whoever may share."""
    asked = lookup("q", shared="tenant")
    assert asked.shared is not None
    await subject.cache.put(entry(asked.shared, answer("common"), degrees=0.0))
    found = await subject.cache.get(asked)
    assert (found.answer, found.place) == (answer("common"), asked.shared)
    assert await texts(subject.cache, "other", shared="tenant") == ["common"]
    assert await held(subject.cache, asked.own) is None
    assert await texts(subject.cache, "other") == []
    await subject.cache.put(entry(asked.own, answer("own"), degrees=3.0))
    found = await subject.cache.get(asked)
    assert (found.answer, found.place) == (answer("own"), asked.own)
    assert await texts(subject.cache, "other", 1.0, shared="tenant") == ["common", "own"]


@pytest.mark.req("cache.semantic")
async def test_neighbours_come_nearest_first_with_their_exact_cosine(subject: Subject):
    """As many as asked for, none below the limit, none of another scope or another owner."""
    for degrees in (40.0, 10.0, 30.0, 20.0, 70.0):
        await subject.cache.put(entry(place(degrees), answer(f"{degrees:g}"), degrees=degrees))
    await subject.cache.put(entry(place(0, scope="another"), degrees=0.0))
    await subject.cache.put(entry(place(0, owner="bob"), degrees=0.0))
    asked = lookup("q")
    near = await subject.cache.nearest(asked, 5 * at_angle(0.0), count=3, similarity_min=0.5)
    assert [one.place for one in near] == [place(10.0), place(20.0), place(30.0)]
    assert [one.similarity for one in near] == pytest.approx(np.cos(np.radians([10, 20, 30])), abs=1e-3)
    assert near[0].question == packed(ANSWER.question, 10.0)
    every = await subject.cache.nearest(asked, at_angle(0.0), count=9, similarity_min=0.5)
    assert [one.place for one in every] == [place(10.0), place(20.0), place(30.0), place(40.0)]


@pytest.mark.req("cache.semantic")
async def test_an_answer_without_a_question_is_found_by_its_words_only(subject: Subject):
    """Replacing an entry replaces its vector, also by none."""
    at = place("q")
    await subject.cache.put(entry(at, answer("old"), degrees=0.0))
    await subject.cache.put(entry(at, answer("new"), degrees=90.0))
    assert await texts(subject.cache, "x", 0.0) == []
    assert await texts(subject.cache, "x", 90.0) == ["new"]
    await subject.cache.put(entry(at, answer("newest")))
    assert await texts(subject.cache, "x", 90.0) == []
    assert await held(subject.cache, at) == answer("newest")


@pytest.mark.req("cache.semantic")
@pytest.mark.parametrize("question", [b"", b"no question", packed()[:-1], packed()[:20] + b"\7" + packed()[21:]])
async def test_a_question_that_is_no_vector_is_not_stored(subject: Subject, question: bytes):
    """Fault 45: the whole entry is refused, and what was there stays."""
    at = place("q")
    await subject.cache.put(entry(at, answer("before"), degrees=0.0))
    assert await subject.cache.put(replace(entry(at, answer("after")), question=question)) is False
    assert await held(subject.cache, at) == answer("before")
    assert await texts(subject.cache, "x") == ["before"]


@pytest.mark.req("cache.semantic")
@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(16, np.float32),
        np.full(16, np.nan, np.float32),
        np.full(16, np.inf, np.float32),
        np.ones(7, np.float32),
        np.ones(0, np.float32),
        np.ones((2, 8), np.float32),
    ],
)
async def test_a_vector_without_a_direction_finds_nothing(subject: Subject, vector: np.ndarray):
    """Fault 45: nor does one of another encoder; a good one does."""
    await subject.cache.put(entry(place("q"), answer("yes"), degrees=0.0))
    assert await subject.cache.nearest(lookup("x"), vector, count=4, similarity_min=0.0) == ()
    assert await texts(subject.cache, "x") == ["yes"]


@pytest.mark.req("cache.semantic")
async def test_a_new_encoder_starts_afresh(subject: Subject):
    """Vectors of another length cannot be compared with the old ones, and they are found."""
    await subject.cache.put(entry(place("old"), answer("old"), degrees=0.0))
    other = np.eye(9, dtype=np.float32)[0]
    question = pack(Question(text="?", vector=other))
    assert await subject.cache.put(replace(entry(place("new"), answer("new")), question=question)) is True
    [near] = await subject.cache.nearest(lookup("x"), other, count=4, similarity_min=0.5)
    assert near.place == place("new")
    assert await held(subject.cache, place("old")) == answer("old")


@pytest.mark.req("cache.scope")
async def test_a_memory_write_changes_what_the_next_lookup_may_hit(subject: Subject):
    """The own answers of before are gone for both tiers; what the tenant shares is not."""
    asked = lookup("q", shared="tenant", remembers=True)
    epoch = (await subject.cache.get(asked)).epoch
    assert epoch
    assert (await subject.cache.get(asked)).epoch == epoch
    asked = replace(asked, epoch=epoch)
    assert asked.shared is not None
    await subject.cache.put(entry(asked.own, answer("own", by="ann"), degrees=0.0, epoch=epoch))
    await subject.cache.put(entry(asked.shared, answer("common", by="ann"), degrees=9.0, epoch=epoch))
    assert (await subject.cache.get(asked)).answer == answer("own", by="ann")
    assert await texts(subject.cache, "x", shared="tenant", epoch=epoch) == ["own", "common"]
    newer = await subject.cache.bump(asked.own.owner)
    assert newer not in ("", epoch)
    found = await subject.cache.get(asked)
    assert (found.answer, found.place, found.epoch) == (answer("common", by="ann"), asked.shared, newer)
    assert await texts(subject.cache, "x", shared="tenant", epoch=newer) == ["common"]
    assert await subject.cache.read(asked.own, epoch=newer) is None
    other = await subject.cache.get(lookup("q", owner="bob", remembers=True))
    assert other.epoch not in ("", epoch, newer)


DAMAGE = [
    b"",
    b"{}",
    b"not json",
    b"\xff\xfe",
    b"null",
    b'{"version": "x3", "answer": {"text": 1}}',
    (encode(entry(place("k"))) or b"")[:-5],
    (encode(entry(place("k"))) or b"").replace(b'"version":"x3"', b'"version":"x2"'),
    (encode(entry(place("k"))) or b"").replace(b'"model":"m"', b'"model":"m","__reduce__":"os.system"'),
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    encode(entry(place("another"))) or b"",
    encode(entry(place("k", owner="bob"))) or b"",
    encode(entry(replace(place("k"), scope=digits("other")))) or b"",
]


@pytest.mark.req("cache.scope", "cache.write")
@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_or_foreign_record_is_deleted_and_never_served(
    subject: Subject, damage: bytes, caplog: pytest.LogCaptureFixture
):
    """Fault 46: what is not whole, of this version and of this place is a miss, an alarm, and gone."""
    at = place("k")
    await subject.plant(at, damage)
    with caplog.at_level(logging.WARNING):
        assert await held(subject.cache, at) is None
        await subject.plant(at, damage)
        assert await subject.cache.read(at, epoch="") is None
        assert await subject.cache.delete((at,)) == 0
    assert len(caplog.records) == (await subject.cache.stats()).damaged == 2
    assert "SELECT" not in caplog.text
    await subject.plant(at, encode(entry(at)) or b"")
    assert await held(subject.cache, at) == ANSWER


@pytest.mark.req("cache.write")
@pytest.mark.parametrize("damage", DAMAGE[:-1])
async def test_a_damaged_record_is_not_listed_and_gone(subject: Subject, damage: bytes):
    """Whoever lists the entries meets the damage, too."""
    await subject.plant(place("k"), damage)
    assert [one async for one in subject.cache.entries()] == []
    assert await subject.cache.delete((place("k"),)) == 0


@pytest.mark.req("cache.scope")
async def test_a_question_that_says_it_lies_elsewhere_is_not_a_neighbour(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
):
    """The second check of the partition, in both tiers: without it a mixed-up store hands out bob's answer."""
    ann, bob = place("q"), place("q", owner="bob")

    async def mix_up() -> None:
        await subject.cache.put(entry(ann, answer("ann's"), degrees=0.0))
        await subject.cache.put(entry(bob, answer("bob's"), degrees=0.0))
        await subject.replant(bob, ann)

    await mix_up()
    assert await subject.cache.nearest(lookup("x"), at_angle(0.0), count=4, similarity_min=0.5) == ()
    stats = await subject.cache.stats()
    assert (stats.vectors, stats.damaged) == (1, 1)
    await mix_up()
    assert await held(subject.cache, ann) is None
    await mix_up()
    monkeypatch.setattr(entries_module, "belongs", lambda *_: True)
    monkeypatch.setattr("engine.cache.near.belongs", lambda *_: True)
    assert await held(subject.cache, ann) == answer("bob's")
    assert await texts(subject.cache, "x") == ["bob's"]


@pytest.mark.req("cache.write")
async def test_an_entry_over_the_limit_is_not_stored(subject: Subject):
    """A huge answer never fills the cache, and its question counts; one under the limit is stored."""
    at, room = place("q"), LIMIT - len(encode(entry(place("q"), answer(""))) or b"")
    assert await subject.cache.put(entry(at, answer("x" * (room + 1)))) is False
    assert await subject.cache.put(entry(at, answer("x" * room), degrees=0.0)) is False
    assert await held(subject.cache, at) is None
    assert await subject.cache.put(entry(at, answer("x" * room))) is True
    assert await held(subject.cache, at) == answer("x" * room)


@pytest.mark.req("cache.write")
async def test_a_text_that_is_no_unicode_is_not_stored(subject: Subject):
    """A lone surrogate cannot be written down as JSON; nothing breaks."""
    assert await subject.cache.put(entry(place("q"), answer("\ud800"))) is False


@pytest.mark.req("cache.write")
async def test_the_least_recently_used_make_room(subject: Subject):
    """The cap holds; a touched entry outlives younger ones; vectors go with their answers; others keep theirs."""
    other = place("q", owner="bob")
    await subject.cache.put(entry(other, answer("bob's"), degrees=0.0))
    for number in range(CAP):
        await subject.cache.put(entry(place(number), answer(str(number)), degrees=float(number)))
    await subject.cache.touch({place(0): 3, place("unknown"): 1})
    for number in range(CAP, CAP + 3):
        await subject.cache.put(entry(place(number), answer(str(number)), degrees=float(number)))
    there = [number for number in range(CAP + 3) if await held(subject.cache, place(number)) is not None]
    assert there == [0, *range(4, CAP + 3)]
    assert await texts(subject.cache, "x", 2.1) == ["4", "0", "5", "6"]
    stats = await subject.cache.stats()
    assert (stats.entries, stats.vectors, stats.owners) == (CAP + 1, CAP + 1, 2)
    assert (stats.hits, stats.evicted) == (4, 3)
    assert stats.bytes_used > 0
    assert await held(subject.cache, other) == answer("bob's")


@pytest.mark.req("cache.write")
async def test_a_writer_over_the_quota_is_refused_and_nobody_else(subject: Subject):
    """So nobody can flood what the tenant shares."""
    flooding = [
        await subject.cache.put(entry(place(number % CAP, owner="tenant"), answer("spam", by="mallory")))
        for number in range(QUOTA + 2)
    ]
    assert flooding == [True] * QUOTA + [False] * 2
    assert await subject.cache.put(entry(place("q", owner="tenant"), answer("fine", by="ann"))) is True


@pytest.mark.req("cache.bound")
async def test_the_latest_observations_stay_with_their_entry(subject: Subject):
    """In order and exact; none for an entry without a question, none left after a new answer."""
    at, bare = place("q"), place("bare")
    await subject.cache.put(entry(at, degrees=0.0))
    await subject.cache.put(entry(bare))
    seen = [
        Observation(score=number / 97, right=number % 3 == 0)
        for number in range(SETTINGS.bound.observations_max + 6)
    ]
    for one in seen:
        await subject.cache.observe(at, one)
    await subject.cache.observe(bare, seen[0])
    await subject.cache.observe(place("gone"), seen[0])
    [near] = await subject.cache.nearest(lookup("x"), at_angle(0.0), count=4, similarity_min=0.5)
    assert near.observations == tuple(seen[6:])
    await subject.cache.put(entry(at, degrees=0.0))
    [near] = await subject.cache.nearest(lookup("x"), at_angle(0.0), count=4, similarity_min=0.5)
    assert near.observations == ()
    assert await held(subject.cache, place("gone")) is None


@pytest.mark.req("cache.write")
async def test_every_entry_is_listed(subject: Subject):
    """Once each, as it was stored, over more than one page and all owners."""
    stored = [
        entry(place(number, owner=number % 40), answer(str(number)), degrees=1.0 if number % 2 else None)
        for number in range(620)
    ]
    for one in stored:
        await subject.cache.put(one)
    listed = [one async for one in subject.cache.entries()]
    assert sorted(listed, key=_by_key) == sorted(stored, key=_by_key)


def _by_key(one: Entry) -> str:
    return one.place.key


async def test_a_redis_that_is_gone_is_a_typed_error(tmp_path):
    """Redis' own exceptions never escape the adapter, whatever is asked."""
    client = connect(f"unix://{tmp_path}/nobody.sock", None, RedisSettings())
    cache = RedisAnswerCache(client, SETTINGS)
    at = place("q")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: cache.get(lookup("q")),
        lambda: cache.nearest(lookup("q"), at_angle(0.0), count=1, similarity_min=0.5),
        lambda: cache.read(at, epoch=""),
        lambda: cache.put(entry(at)),
        lambda: cache.touch({at: 1}),
        lambda: cache.observe(at, Observation(score=0.5, right=True)),
        lambda: cache.delete((at,)),
        lambda: anext(cache.entries()),
        lambda: cache.bump(at.owner),
        cache.stats,
    ]
    for call in calls:
        with pytest.raises(BackendUnavailable):
            await call()
    await client.aclose()
