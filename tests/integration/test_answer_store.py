"""What only the Redis store of the answer cache can get wrong: expiry, eviction, round trips, growth."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from configs.caching import CacheSettings
from configs.settings import RedisSettings
from engine.cache import store
from engine.cache.fingerprint import SCHEMA
from engine.cache.store import PREFIX, RedisAnswerCache
from engine.cached import Observation
from engine.redis_client import connect
from tests.support.answer_caches import answer, at_angle, entry, lookup, place

SETTINGS = CacheSettings(entries_max=50, ttl_s=3_600, ttl_s_max=7_200)


@dataclass
class Lab:
    """A store, its client, and what was sent."""

    client: Redis
    cache: RedisAnswerCache
    sent: Counter[str] = field(default_factory=Counter[str])

    async def keys(self, prefix: str = PREFIX) -> list[str]:
        """Every key of the store."""
        return sorted([key.decode() async for key in self.client.scan_iter(match=f"{prefix}*", count=1_000)])

    async def dump(self) -> dict[str, bytes]:
        """Every key of the store with its value."""
        return {key: await self.client.dump(key) for key in await self.keys()}

    async def near(self, degrees: float, *, owner: object = "ann", epoch: str = "") -> list[str]:
        """Answers near that angle."""
        asked = lookup("x", owner=owner, epoch=epoch)
        found = await self.cache.nearest(asked, at_angle(degrees), count=4, similarity_min=0.5)
        return [one.text for near in found if (one := await self.cache.read(near.place, epoch=asked.epoch))]


@pytest.fixture
async def lab(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lab]:
    """An empty store."""
    client = connect(redis_url, None, RedisSettings())
    lab = Lab(client, RedisAnswerCache(client, SETTINGS))
    if keys := await lab.keys():
        await client.unlink(*keys)
    await lab.cache.put(entry(place("first"), degrees=0.0))  # the script is loaded with the first step
    await lab.cache.delete((place("first"),))
    send = client.execute_command

    async def noted(*words: object, **options: object) -> object:
        lab.sent[str(words[0])] += 1
        return await send(*words, **options)

    monkeypatch.setattr(client, "execute_command", noted)
    yield lab
    await client.aclose()


@pytest.mark.req("cache.exact", "cache.semantic")
async def test_every_call_is_one_round_trip(lab: Lab) -> None:
    """Also with two places and an epoch, with vectors, and for many at once."""
    asked = lookup("q", shared="tenant", remembers=True)
    epoch = (await lab.cache.get(asked)).epoch
    lab.sent.clear()
    await lab.cache.get(asked)
    assert lab.sent == {"MGET": 1}
    lab.sent.clear()
    await lab.cache.put(entry(asked.own, answer("yes", by="ann"), degrees=0.0, epoch=epoch))
    await lab.cache.nearest(lookup("q", shared="tenant", epoch=epoch), at_angle(0.0), count=4, similarity_min=0.5)
    await lab.cache.touch({place(number): 1 for number in range(400)})
    await lab.cache.observe(asked.own, Observation(score=0.5, right=True))
    await lab.cache.delete(tuple(place(number) for number in range(400)))
    assert lab.sent == {"EVALSHA": 5}
    await lab.cache.read(asked.own, epoch=epoch)
    assert lab.sent == {"EVALSHA": 5, "GET": 1}


@pytest.mark.req("cache.fresh", "cache.write")
async def test_nothing_stays_for_ever(lab: Lab) -> None:
    """Every key ends with the longest-lived entry it serves, a short-lived one shortens nothing."""
    asked = lookup("q", remembers=True)
    epoch = (await lab.cache.get(asked)).epoch
    await lab.cache.bump("0" * 32)
    for question, ttl_s in (("long", 3_600), ("short", 60)):
        said = answer(question, by="ann")
        await lab.cache.put(entry(place(question), said, degrees=0.0, ttl_s=ttl_s, epoch=epoch))
    await lab.cache.observe(place("long"), Observation(score=0.5, right=True))
    await lab.cache.touch({place("long"): 1})
    ends = {key: await lab.client.ttl(key) for key in await lab.keys()}
    assert ends.pop(f"{PREFIX}counts") == -1
    long, short = place("long"), place("short")
    assert 3_590 < ends.pop(f"{PREFIX}a:{long.owner}:{long.key}") <= 3_600
    assert 3_590 < ends.pop(f"{PREFIX}q:{long.owner}:{long.key}") <= 3_600
    assert 50 < ends.pop(f"{PREFIX}a:{short.owner}:{short.key}") <= 60
    assert 50 < ends.pop(f"{PREFIX}q:{short.owner}:{short.key}") <= 60
    assert 50 < ends.pop(next(key for key in ends if key.startswith(f"{PREFIX}n:"))) <= 60
    epochs = [ends.pop(key) for key in list(ends) if key.startswith(f"{PREFIX}e:")]
    assert all(7_190 < end <= 7_200 for end in epochs)
    assert len(epochs) == 2
    assert {key.split(":")[2] for key in ends} == {"l", "v", "owners", "sets"}
    assert all(3_590 < end <= 3_600 for end in ends.values()), ends


@pytest.mark.req("cache.semantic")
async def test_expired_answers_are_looked_past_and_removed(lab: Lab) -> None:
    """Ten dead neighbours nearer than the living one neither hide it nor stay."""
    for number in range(10):
        await lab.cache.put(entry(place(number), answer(str(number)), degrees=number / 10))
    await lab.cache.put(entry(place("alive"), answer("alive"), degrees=20.0))
    keys = [f"{PREFIX}a:{at.owner}:{at.key}" for at in map(place, range(10))]
    await lab.client.unlink(*keys)
    assert await lab.near(0.0) == ["alive"]
    stats = await lab.cache.stats()
    assert stats.vectors == 1
    assert [key.split(":")[2] for key in await lab.keys()].count("q") == 1


@pytest.mark.req("cache.write")
async def test_what_expired_is_swept_out_by_later_writes(lab: Lab) -> None:
    """Nobody asks near the dead vectors, and still they go; so do their places in the order of use."""
    for number in range(40):
        await lab.cache.put(entry(place(number), degrees=0.0))
    await lab.client.unlink(*[f"{PREFIX}a:{at.owner}:{at.key}" for at in map(place, range(40))])
    for number in range(60):
        await lab.cache.put(entry(place("same"), answer(str(number)), degrees=80.0))
    stats = await lab.cache.stats()
    assert (stats.entries, stats.vectors) == (1, 1)
    assert stats.evicted == 0


@pytest.mark.req("cache.write")
@pytest.mark.parametrize("kind", ["a", "q", "v", "l", "e", "n", "owners", "sets", "counts"])
async def test_an_evicted_key_of_any_kind_costs_no_more_than_what_it_held(lab: Lab, kind: str) -> None:
    """``allkeys-lru`` may take any of them; whatever comes next works, and new entries are whole again."""
    asked = lookup("q", remembers=True)
    epoch = (await lab.cache.get(asked)).epoch
    said = answer("old", by="ann")
    await lab.cache.put(entry(asked.own, said, degrees=0.0, epoch=epoch))
    await lab.cache.touch({asked.own: 1})
    taken = [key for key in await lab.keys() if key == f"{PREFIX}{kind}" or key.startswith(f"{PREFIX}{kind}:")]
    assert taken
    await lab.client.unlink(*taken)
    found = await lab.cache.get(asked)
    assert found.answer == (None if kind in "ae" else said)
    assert await lab.near(0.0, epoch=epoch) == ([] if kind in "aqv" else ["old"])
    await lab.cache.observe(asked.own, Observation(score=0.5, right=True))
    await lab.cache.touch({asked.own: 1})
    await lab.cache.stats()
    renewed = entry(asked.own, answer("new", by="ann"), degrees=0.0, epoch=found.epoch)
    assert await lab.cache.put(renewed) is True
    assert (await lab.cache.get(asked)).answer == answer("new", by="ann")
    assert await lab.near(0.0, epoch=found.epoch) == ["new"]
    assert await lab.cache.delete((asked.own,)) == 1
    assert await lab.near(0.0, epoch=found.epoch) == []


@pytest.mark.req("cache.write")
async def test_random_evictions_break_nothing(lab: Lab) -> None:
    """Any mix of writes, deletions and lost keys leaves exactly the answers that are there to be found."""
    chance = random.Random(7)
    for step in range(150):
        at = place(chance.randrange(20), scope=chance.randrange(2))
        act = chance.random()
        if act < 0.6:
            await lab.cache.put(entry(at, answer(str(step)), degrees=chance.uniform(0, 90)))
        elif act < 0.7:
            await lab.cache.delete((at,))
        elif keys := await lab.keys():
            await lab.client.unlink(*chance.sample(keys, k=min(2, len(keys))))
    for scope in range(2):
        near = await lab.cache.nearest(lookup("x", scope=scope), at_angle(45.0), count=20, similarity_min=0.0)
        assert len({one.place.key for one in near}) == len(near)
        for one in near:
            assert await lab.cache.read(one.place, epoch="") is not None


@pytest.mark.req("cache.scope")
async def test_a_thousand_tenants_with_the_same_question_never_meet(lab: Lab) -> None:
    """0 foreign hits, and every own repeat hits; by vector, too, as every tenth of them shows."""
    for tenant in range(1_000):
        await lab.cache.put(entry(place("q", owner=tenant), answer(str(tenant)), degrees=0.0))
    exact, close = Counter[bool](), Counter[bool]()
    for tenant in range(1_000):
        found = await lab.cache.get(lookup("q", owner=tenant))
        exact[found.answer == answer(str(tenant))] += 1
    for tenant in range(0, 1_000, 10):
        close[await lab.near(0.0, owner=tenant) == [str(tenant)]] += 1
    assert (exact, close) == ({True: 1_000}, {True: 100})


@pytest.mark.req("cache.exact", "cache.semantic")
async def test_a_new_schema_changes_every_key(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each call of the store nothing is where an older release would read it, and it finds its own."""
    assert f"sg:{SCHEMA}:" == PREFIX
    before = await lab.dump()
    monkeypatch.setattr(store, "PREFIX", "sg:next:")
    cache, asked = RedisAnswerCache(lab.client, SETTINGS), lookup("q", remembers=True)
    try:
        epoch = (await cache.get(asked)).epoch
        for number in range(SETTINGS.entries_max + 2):
            await cache.put(entry(place(number), answer("old", by="ann"), degrees=float(number), epoch=epoch))
        await cache.put(entry(asked.own, answer("yes", by="ann"), degrees=0.0, epoch=epoch))
        await cache.touch({asked.own: 1})
        await cache.observe(asked.own, Observation(score=0.5, right=True))
        now = lookup("q", epoch=epoch)
        near = await cache.nearest(now, at_angle(0.0), count=1, similarity_min=0.9)
        assert near[0].observations == (Observation(score=0.5, right=True),)
        found = await cache.stats()
        assert (found.entries, found.hits, found.evicted) == (SETTINGS.entries_max, 1, 3)
        assert len([one async for one in cache.entries()]) == SETTINGS.entries_max
        assert await cache.delete((asked.own,)) == 1
        kinds = {key.split(":")[2] for key in await lab.keys("sg:next:")}
        assert kinds == {"a", "q", "v", "l", "e", "n", "owners", "sets", "counts"}
        assert await lab.dump() == before
    finally:
        await lab.client.unlink(*await lab.keys("sg:next:"))
