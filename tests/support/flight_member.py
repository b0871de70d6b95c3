"""One process of a fleet whose identical misses at once are to make one call.

Run as ``python -m tests.support.flight_member URL WAITERS LEASE_S``. Lines on standard input: ``fly KEY`` lets so
many waiters ask at once, ``answer TEXT`` ends the call that this process makes. Lines on standard output:
``ready``, ``aboard KEY`` (all of them wait), ``calling KEY`` (here and now), and at the end ``landed KEY TEXT ROLE
COUNT …`` with what they got, after ``alone REASON`` should Redis not have answered. Ends when its input does.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from functools import partial

from redis.asyncio import Redis

from configs.caching import FlightSettings
from configs.settings import RedisSettings
from engine.cache.flight import Boarding, Flights
from engine.cache.redis_leases import RedisLeases
from engine.events import Emit
from engine.redis_client import connect
from tests.support.flights import nothing, passes

CALLS, STORED = "calls:", "stored:"
"""Before a key: where upstream counts its calls, and where answers are kept. In Redis."""


def say(*words: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Member:
    """Waiters of one process; the upstream is a counter in Redis and somebody who answers."""

    def __init__(self, client: Redis, rules: FlightSettings, waiters: int) -> None:
        self._client = client
        self._flights = Flights[str](RedisLeases(client), rules, sample=random.random)
        self._waiters = waiters
        self._answer = asyncio.Queue[str]()
        self._text = ""

    async def fly(self, key: str) -> None:
        """Ask so many times at once, and say what came of it."""
        boarding = Boarding(
            sought=nothing,
            call=partial(self._call, key),
            arrived=partial(self._look, key),
            kept=partial(self._store, key),
        )
        waiting = [asyncio.create_task(self._flights.fly(key, boarding)) for _ in range(self._waiters)]
        await passes()
        say("aboard", key)
        landed = await asyncio.gather(*waiting)
        await self._flights.settle()
        for reason in {one.degraded for one in landed} - {""}:
            say("alone", reason)
        roles = Counter(one.role for one in landed)
        (text,) = {one.answer for one in landed}
        say("landed", key, text, *(f"{role} {count}" for role, count in sorted(roles.items())))

    def answer(self, text: str) -> None:
        """Let the call under way end."""
        self._answer.put_nowait(text)

    async def _call(self, key: str, emit: Emit | None) -> str:
        del emit
        await self._client.incr(CALLS + key)
        say("calling", key)
        self._text = await self._answer.get()
        return self._text

    async def _look(self, key: str) -> str | None:
        stored = await self._client.get(STORED + key)
        return stored.decode() if isinstance(stored, bytes) else None

    async def _store(self, key: str) -> None:
        await self._client.set(STORED + key, self._text)


async def main(url: str, waiters: int, lease_s: float) -> None:
    """Do as told until standard input ends."""
    client = connect(url, None, RedisSettings(timeout_s=10))
    member = Member(client, FlightSettings(lease_s=lease_s), waiters)
    await client.execute_command("PING")
    say("ready")
    flying: set[asyncio.Task[None]] = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["fly", key]:
                flying.add(asyncio.create_task(member.fly(key)))
            case ["answer", text]:
                member.answer(text)
            case other:
                raise ValueError(other)
    await asyncio.gather(*flying)
    await client.aclose()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
