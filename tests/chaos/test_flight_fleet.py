"""Processes that miss the same answer at the same moment, and whose caller is killed (cache.flight, fault 47)."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from redis.asyncio import Redis

from engine.cache.redis_leases import PREFIX
from tests.support.embedded import ROOT
from tests.support.flight_member import CALLS

WAITERS = 250
LEASE_S = 1.2
"""Long enough to be renewed by a process that has to wait for a core."""


@dataclass(slots=True, eq=False)
class Member:
    """One process, and what it says."""

    process: asyncio.subprocess.Process
    killed: bool = False

    def tell(self, *words: str) -> None:
        """One line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write((" ".join(words) + "\n").encode())

    async def kill(self) -> None:
        """-9."""
        self.killed = True
        self.process.kill()
        await self.process.wait()


@dataclass(slots=True)
class Fleet:
    """Processes and the lines that they said, in the order in which they were heard."""

    members: list[Member] = field(default_factory=list[Member])
    said: asyncio.Queue[tuple[Member, list[str]]] = field(default_factory=asyncio.Queue[tuple[Member, list[str]]])

    async def join(self, url: str, lease_s: float) -> None:
        """Start one more process."""
        pipe = asyncio.subprocess.PIPE
        command = ("-m", "tests.support.flight_member", url, str(WAITERS), str(lease_s))
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe, cwd=ROOT)
        self.members.append(Member(process))

    async def listen(self, member: Member) -> None:
        """Hear one process until it ends."""
        assert member.process.stdout is not None
        while line := (await member.process.stdout.readline()).decode().split():
            self.said.put_nowait((member, line))

    async def hear(self, number: int, what: str) -> list[tuple[Member, list[str]]]:
        """The next ``number`` lines that begin with ``what``, which must be all that is said meanwhile."""
        heard = [await self.said.get() for _ in range(number)]
        assert [line[0] for _, line in heard] == [what] * number, heard
        return heard

    async def miss(self, key: str) -> Member:
        """Let everybody miss at once; whose call it is, when all of them wait."""
        for member in self.members:
            member.tell("fly", key)
        heard = [await self.said.get() for _ in range(len(self.members) + 1)]
        (caller,) = (member for member, line in heard if line == ["calling", key])
        assert sum(line == ["aboard", key] for _, line in heard) == len(self.members)
        return caller

    async def landed(self, key: str, text: str) -> dict[str, int]:
        """How many had the answer in which role, of all processes that live."""
        counted: dict[str, int] = {}
        for _, line in await self.hear(sum(not member.killed for member in self.members), "landed"):
            assert line[1:3] == [key, text]
            for role, count in zip(line[3::2], line[4::2], strict=True):
                counted[role] = counted.get(role, 0) + int(count)
        return counted


def roles(elsewhere: int) -> dict[str, int]:
    """What the waiters of the process that called are, and so many in other ones."""
    return {"elsewhere": elsewhere, "follower": WAITERS - 1, "leader": 1}


@asynccontextmanager
async def fleet_of(number: int, url: str, lease_s: float) -> AsyncGenerator[Fleet]:
    """So many processes, all ready; ended at the end, whatever happens."""
    fleet = Fleet()
    listening: list[asyncio.Task[None]] = []
    try:
        for _ in range(number):
            await fleet.join(url, lease_s)
        listening += [asyncio.create_task(fleet.listen(member)) for member in fleet.members]
        await fleet.hear(number, "ready")
        yield fleet
        for member in fleet.members:
            assert member.process.stdin is not None
            member.process.stdin.close()
        for member in fleet.members:
            assert await member.process.wait() == (-9 if member.killed else 0)
    finally:
        for member in fleet.members:
            if member.process.returncode is None:
                await member.kill()
        await asyncio.gather(*listening)


@pytest.mark.req("cache.flight")
async def test_four_processes_make_one_call_and_survive_the_death_of_its_maker(redis_url: str) -> None:
    """Fault 47: 1,000 identical misses, one call; after kill -9 of the caller one more, by one of the others."""
    client = Redis.from_url(redis_url)
    try:
        async with fleet_of(4, redis_url, LEASE_S) as fleet:
            calm, fatal = uuid.uuid4().hex, uuid.uuid4().hex
            caller = await fleet.miss(calm)
            caller.tell("answer", "42")
            assert await fleet.landed(calm, "42") == roles(3 * WAITERS)
            assert await client.get(CALLS + calm) == b"1"
            assert await client.exists(PREFIX + calm) == 0
            caller = await fleet.miss(fatal)
            await caller.kill()
            assert await client.pttl(PREFIX + fatal) <= LEASE_S * 1_000
            ((heir, _),) = await fleet.hear(1, "calling")
            heir.tell("answer", "43")
            assert await fleet.landed(fatal, "43") == roles(2 * WAITERS)
            assert await client.get(CALLS + fatal) == b"2"
    finally:
        await client.aclose()


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.req("cache.flight")
async def test_eight_processes_never_make_a_second_call_while_the_first_one_lives(redis_url: str) -> None:
    """504 keys, each missed 2,000 times at once, by seven fleets that end with the death of a caller."""
    client = Redis.from_url(redis_url)
    calls = deaths = 0
    try:
        while deaths < 7:
            async with fleet_of(8, redis_url, LEASE_S) as fleet:
                for number in range(72):
                    key = uuid.uuid4().hex
                    caller = await fleet.miss(key)
                    if fatal := number == 71:
                        await caller.kill()
                        ((caller, _),) = await fleet.hear(1, "calling")
                        deaths += 1
                    caller.tell("answer", "42")
                    await fleet.landed(key, "42")
                    assert await client.get(CALLS + key) == (b"2" if fatal else b"1")
                    calls += 1 + fatal
    finally:
        await client.aclose()
    print(f"{calls} calls for {7 * 72} keys, {deaths} callers killed, 0 calls too many")  # noqa: T201 - totals
    assert calls == 7 * 73
