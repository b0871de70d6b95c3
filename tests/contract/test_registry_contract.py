"""One suite for every registry, the dict twin and a real Redis: names, versions, handlers, bounds, news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from configs.settings import RedisSettings
from engine.redis_client import connect
from engine.registry.contract import REMOVED, Changes, Full, Here, Seen, Stored, Taken
from tests.support.registries import SETTINGS, RegistryLab, in_memory, in_redis

ONE, TWO = Here(replica="one"), Here(replica="two")


@pytest.fixture(params=["memory", "redis"])
async def lab(request: pytest.FixtureRequest, redis_state_url: str) -> AsyncIterator[RegistryLab]:
    """Each implementation in turn."""
    if request.param == "memory":
        yield in_memory()
        return
    client = connect(redis_state_url, None, RedisSettings(timeout_s=5))
    lab = await in_redis(client)
    yield lab
    await lab.one.leave("one")
    await lab.two.leave("two")
    await client.aclose()


async def _put(lab: RegistryLab, name: str, body: bytes = b"a", *, replace: bool = False) -> object:
    return await lab.one.put(name, body, replica="one", replace=replace)


async def _read(lab: RegistryLab, seen: Seen | None = None) -> Changes:
    return await lab.two.changes(Seen() if seen is None else seen, TWO)


@pytest.mark.req("route.discover")
async def test_what_one_replica_stores_the_other_reads_once(lab: RegistryLab) -> None:
    """First everything, then only what changed since, then nothing."""
    assert await _put(lab, "a", b"first") == Stored()
    found = await _read(lab)
    assert (found.whole, dict(found.entries)) == (True, {"a": b"first"})
    await _put(lab, "b", b"second")
    found = await _read(lab, found.seen)
    assert (found.whole, dict(found.entries)) == (False, {"b": b"second"})
    found = await _read(lab, found.seen)
    assert (found.whole, dict(found.entries)) == (False, {})


@pytest.mark.req("route.discover")
async def test_of_two_that_register_one_name_at_once_one_wins(lab: RegistryLab) -> None:
    """The other gets what stands; the same body is no conflict, and ``replace`` wins over anything."""
    answers = await asyncio.gather(
        lab.one.put("a", b"one", replica="one", replace=False),
        lab.two.put("a", b"two", replica="two", replace=False),
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Stored", "Taken"]
    won = (await _read(lab)).entries["a"]
    assert won is not None
    assert Taken(body=won) in answers
    assert await _put(lab, "a", won) == Stored()
    assert await _put(lab, "a", b"three", replace=True) == Stored()
    assert (await _read(lab)).entries == {"a": b"three"}


async def test_storing_what_stands_is_no_change(lab: RegistryLab) -> None:
    """A call that is repeated because its reply was lost costs nobody a table (X3)."""
    await _put(lab, "a")
    found = await _read(lab)
    assert await _put(lab, "a") == Stored()
    assert await _put(lab, "a", replace=True) == Stored()
    assert (await _read(lab, found.seen)).seen == found.seen


@pytest.mark.req("route.discover")
async def test_what_is_removed_is_gone_for_those_who_knew_it(lab: RegistryLab) -> None:
    """Named with no body; who reads everything does not find it; removing it again changes nothing."""
    await _put(lab, "a")
    found = await _read(lab)
    await lab.one.remove("a", mark=False)
    await lab.one.remove("never", mark=False)
    later = await _read(lab, found.seen)
    assert dict(later.entries) == {"a": None}
    assert (await _read(lab)).entries == {}
    await lab.one.remove("a", mark=False)
    assert (await _read(lab, later.seen)).seen == later.seen


async def test_an_agent_of_the_files_is_removed_by_a_mark_that_stays(lab: RegistryLab) -> None:
    """The mark is read by those who come later, and gives way to a new registration of the name."""
    await lab.one.remove("python", mark=True)
    await lab.one.remove("python", mark=True)
    found = await _read(lab)
    assert (found.seen.version, dict(found.entries)) == (1, {"python": REMOVED})
    assert await _put(lab, "python", b"mine") == Stored()
    assert (await _read(lab)).entries == {"python": b"mine"}


async def test_the_number_of_entries_is_bounded(lab: RegistryLab) -> None:
    """Another name is refused, a known one may change, and what is removed makes room."""
    for n in range(SETTINGS.entries_max):
        assert await _put(lab, f"a{n}") == Stored()
    assert await _put(lab, "more") == Full(entries=SETTINGS.entries_max)
    assert await _put(lab, "a0", b"other", replace=True) == Stored()
    await lab.one.remove("a1", mark=False)
    assert await _put(lab, "more") == Stored()


async def test_names_that_come_and_go_leave_nothing_behind(lab: RegistryLab) -> None:
    """After a hundred of them a reader from the beginning and one from the middle find the one that stays."""
    await _put(lab, "stays")
    middle = await _read(lab)
    for n in range(100):
        await _put(lab, f"a{n}")
        await lab.one.remove(f"a{n}", mark=False)
    found = await _read(lab, middle.seen)
    assert found.whole or all(body is None for body in found.entries.values())
    assert (await _read(lab)).entries == {"stays": b"a"}
    assert (await _read(lab, found.seen)).entries == {}


@pytest.mark.req("route.discover")
async def test_handlers_are_known_elsewhere_while_their_replica_lives(lab: RegistryLab) -> None:
    """Not to their own replica; until it says otherwise, is silent for too long, or leaves."""
    here = Here(replica="one", handlers=("mine", "other"))
    assert (await lab.one.changes(Seen(), here)).elsewhere == {}
    assert (await _read(lab)).elsewhere == {"mine": "one", "other": "one"}
    await lab.one.changes(Seen(), Here(replica="one", handlers=("mine",)))
    assert (await _read(lab)).elsewhere == {"mine": "one"}
    await lab.advance(SETTINGS.handler_s * 0.9)
    await lab.one.changes(Seen(), Here(replica="one", handlers=("mine",)))
    await lab.advance(SETTINGS.handler_s * 0.9)
    assert (await _read(lab)).elsewhere == {"mine": "one"}
    await lab.advance(SETTINGS.handler_s * 0.2)
    assert (await _read(lab)).elsewhere == {}
    await lab.one.changes(Seen(), here)
    await lab.one.leave("one")
    assert (await _read(lab)).elsewhere == {}


async def test_a_name_that_handlers_have_elsewhere_is_taken(lab: RegistryLab) -> None:
    """For other replicas, unless they replace it; not for the one that runs the handler."""
    await lab.one.changes(Seen(), Here(replica="one", handlers=("a", "b")))
    assert await lab.two.put("a", b"x", replica="two", replace=False) == Taken(body=None)
    assert await lab.two.put("a", b"x", replica="two", replace=True) == Stored()
    assert await lab.one.put("b", b"x", replica="one", replace=False) == Stored()


async def test_a_store_that_lost_its_data_is_another_one(lab: RegistryLab) -> None:
    """Even when as many changes have happened since: whoever knew it reads everything."""
    await _put(lab, "a")
    seen = (await _read(lab)).seen
    await lab.lose()
    await _put(lab, "b")
    found = await _read(lab, seen)
    assert (found.whole, dict(found.entries)) == (True, {"b": b"a"})
    assert found.seen.version == seen.version
    assert found.seen.epoch != seen.epoch


@pytest.mark.req("route.discover")
async def test_a_change_is_announced_to_those_who_wait(lab: RegistryLab) -> None:
    """Entries and handlers; without a change the wait ends by itself."""
    assert await lab.two.announced(0.01) is False
    for change in (
        _put(lab, "a"),
        lab.one.remove("a", mark=False),
        lab.one.changes(Seen(), Here(replica="one", handlers=("mine",))),
        lab.one.leave("one"),
    ):
        hears = asyncio.create_task(_hears(lab))
        await asyncio.sleep(0)
        await change
        assert await hears is True


async def _hears(lab: RegistryLab) -> bool:
    async with asyncio.timeout(5):
        return await lab.two.announced(5.0)
