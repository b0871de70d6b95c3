"""An embedded backend that has gone is attached to again: once, however many notice, and nothing is left over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from engine.cached import AnswerCache, Found, Lookup
from engine.embedded import Hold, ReattachingCache
from memory.embedded.attach import Attachment
from memory.errors import BackendUnavailable
from tests.support.answer_caches import lookup

GONE = BackendUnavailable("redis.cache", "refused")


@dataclass(eq=False)
class Attached:
    """One attachment; how often it was left."""

    left: int = 0

    def abandon(self) -> None:
        """Left without waiting."""
        self.left += 1

    async def leave(self) -> None:
        """Left."""
        self.left += 1


@dataclass
class Backend:
    """Attaching to it takes until ``may`` is set; the next attempts fail as often as ``fails`` says."""

    made: list[Attached] = field(default_factory=list[Attached])
    may: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    starts: int = 0
    fails: int = 0
    left_at_start: list[int] = field(default_factory=list[int])

    async def start(self) -> Attachment:
        """Attach."""
        self.starts += 1
        self.started.set()
        await self.may.wait()
        if self.fails:
            self.fails -= 1
            raise GONE
        self.left_at_start = [one.left for one in self.made]
        self.made.append(Attached())
        return cast("Attachment", self.made[-1])


class Store:
    """A cache that answers once it has been attached to for the second time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get(self, lookup: Lookup) -> Found:
        """What a client of a dead server says, or nothing found."""
        if len(self._backend.made) < 2:
            raise GONE
        return Found(answer=None)


async def attached() -> tuple[Backend, Hold]:
    """A backend, attached to; the next attempt has to be let through."""
    backend = Backend()
    backend.may.set()
    hold = Hold(backend.start)
    await hold.get()
    backend.may.clear()
    backend.started.clear()
    return backend, hold


@pytest.mark.req("serve.embedded")
async def test_calls_that_fail_while_a_renewal_runs_wait_for_it_and_start_none():
    """Twelve calls, some of which came later and some of which gave up: one attach, everything left once."""
    backend, hold = await attached()
    cache = ReattachingCache(cast("AnswerCache", Store(backend)), hold)
    early = [asyncio.create_task(cache.get(lookup("q"))) for _ in range(4)]
    await backend.started.wait()
    late = [asyncio.create_task(cache.get(lookup("q"))) for _ in range(8)]
    await asyncio.sleep(0)
    for task in (early[0], late[0]):
        task.cancel()
    await asyncio.sleep(0)
    backend.may.set()
    found = await asyncio.gather(*early, *late, return_exceptions=True)
    assert sum(isinstance(one, Found) for one in found) == 10
    assert (backend.starts, [one.left for one in backend.made]) == (2, [1, 0])
    await hold.leave()
    assert [one.left for one in backend.made] == [1, 1]


@pytest.mark.req("serve.embedded")
async def test_the_old_attachment_is_left_after_the_new_one_is_there():
    """Until then it keeps a server alive that may be living after all; who noticed late gets the new one."""
    backend, hold = await attached()
    old = hold.peek()
    renewal = asyncio.create_task(hold.renew(old))
    await backend.started.wait()
    assert backend.made[0].left == 0
    backend.may.set()
    new = await renewal
    assert (backend.left_at_start, backend.made[0].left) == ([0], 1)
    assert new is not old
    assert await hold.renew(old) is await hold.renew(None) is hold.peek() is new
    assert backend.starts == 2


@pytest.mark.req("serve.embedded")
async def test_a_renewal_that_fails_is_tried_again_by_the_next_caller():
    """Everybody who waits hears why; the old attachment is kept until it is replaced."""
    backend, hold = await attached()
    backend.fails = 1
    old = hold.peek()
    backend.may.set()
    heard = await asyncio.gather(hold.renew(old), hold.renew(old), hold.renew(None), return_exceptions=True)
    assert heard == [GONE, GONE, GONE]
    assert (backend.starts, backend.made[0].left) == (2, 0)
    again = await asyncio.gather(hold.renew(old), hold.renew(hold.peek()))
    assert again[0] is again[1] is hold.peek()
    assert (backend.starts, [one.left for one in backend.made]) == (3, [1, 0])


@pytest.mark.req("serve.embedded")
@pytest.mark.parametrize("failed", [True, False])
async def test_leaving_during_or_after_a_lost_renewal_leaves_the_old_attachment(failed: bool):
    """Whether the attempt failed or is still under way, nothing keeps the server running."""
    backend, hold = await attached()
    backend.fails = int(failed)
    renewal = asyncio.create_task(hold.renew(hold.peek()))
    await backend.started.wait()
    if failed:
        backend.may.set()
        await asyncio.wait([renewal])
    await hold.leave()
    await asyncio.wait([renewal])
    assert renewal.cancelled() or renewal.exception() is GONE
    assert [one.left for one in backend.made] == [1]
