"""Processes that share a breaker, and die in the middle of a probe (B1, B3, B5, B11, B13; faults 70 to 74)."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.asyncio import Redis

from engine.contract import BreakerState
from engine.resilience.wire import event_of, keys_of
from tests.support.breaker_member import RULES
from tests.support.embedded import ROOT

LOOK = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local live = 0
for _, lease in ipairs(cjson.decode(redis.call('HGET', KEYS[1], 'leases') or '[]')) do
  if tonumber(lease[2]) > now then live = live + 1 end
end
local state = redis.call('HGET', KEYS[1], 'state') or 'closed'
return {state, live, time[1] .. '.' .. string.format('%06d', time[2])}
"""
SLACK_S = 1.5
"""For a machine with fewer cores than processes."""


@dataclass(slots=True, eq=False)
class Member:
    """One process and what it has said."""

    process: asyncio.subprocess.Process
    heard: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])
    calls: int = 0
    probes: int = 0
    degraded: str = ""
    killed: bool = False
    reading: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Drill:
    """A fleet, its backend and its Redis."""

    url: str
    health: Path
    client: Redis
    subject: str = field(default_factory=lambda: f"model:p/{uuid.uuid4()}#k")
    members: list[Member] = field(default_factory=list[Member])
    to_kill: int = 0
    """So many processes die at the beginning of their next probe."""
    recoveries: list[float] = field(default_factory=list[float])
    looks: int = 0
    changes: int = 0

    async def join(self) -> None:
        """Start one more process."""
        command = ("-m", "tests.support.breaker_member", self.url, self.subject, str(self.health))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=pipe, stdout=pipe, cwd=ROOT)
        member = Member(process)
        member.reading = asyncio.create_task(self._listen(member))
        self.members.append(member)

    async def _listen(self, member: Member) -> None:
        assert member.process.stdout is not None
        while line := (await member.process.stdout.readline()).decode().split():
            match line:
                case ["calls", number]:
                    member.calls = int(number)
                case ["moved", generation, before, after]:
                    member.heard.append((int(generation), before, after))
                case ["alone", *reason]:
                    member.degraded = " ".join(reason)
                case ["probe"]:
                    member.probes += 1
                    if self.to_kill > 0:
                        self.to_kill -= 1
                        member.killed = True
                        member.process.kill()
                        await self.join()
                case _:
                    raise AssertionError(line)

    async def look(self) -> tuple[BreakerState, float]:
        """State and server time now; never more live leases than allowed (B1)."""
        state, live, now = await self.client.eval(LOOK, 1, keys_of(self.subject, None)[0])
        assert live <= RULES.half_open_probes, f"B1: {live} leases"
        self.looks += 1
        return BreakerState(state.decode()), float(now)

    def be(self, health: bytes) -> None:
        """Up or down: one byte that every process has mapped, so the file must never be empty."""
        with self.health.open("r+b") as file:
            file.write(health)

    async def until(self, wanted: Callable[[BreakerState], bool]) -> float:
        """Look until the state is wanted; the server's time then."""
        while True:
            state, now_s = await self.look()
            if wanted(state):
                return now_s

    async def outage(self, kills: int) -> None:
        """The backend fails until the breaker has opened, and recovers while probers die."""
        self.be(b"0")
        await self.until(lambda state: state is BreakerState.OPEN)
        self.to_kill = kills
        _, up_s = await self.look()
        self.be(b"1")
        closed_s = await self.until(lambda state: state is BreakerState.CLOSED)
        assert closed_s - up_s <= RULES.open_s_max + kills * RULES.lease_s + SLACK_S, "B5"
        self.recoveries.append(closed_s - up_s)
        self.to_kill = 0

    def calls(self) -> int:
        """Made so far, as far as they said so."""
        return sum(member.calls for member in self.members)

    async def end(self) -> None:
        """Let everybody finish."""
        for member in self.members:
            assert member.process.stdin is not None
            member.process.stdin.close()
        for member in self.members:
            assert member.reading is not None
            await member.reading
            assert await member.process.wait() == (-9 if member.killed else 0)

    async def check(self) -> None:
        """What every process heard is what happened (B3, B11, B13).

        A process that is killed tells nobody what it heard last; the record of events has it all the same.
        """
        kept = await self.client.lrange(keys_of(self.subject, None)[3], 0, -1)
        happened = [event_of(self.subject, entry) for entry in kept]
        for one, other in itertools.pairwise(happened):
            assert (other.generation, other.before) == (one.generation + 1, one.after), "B3"
        true = {event.generation: (event.before.value, event.after.value) for event in happened}
        for member in self.members:
            numbers = [generation for generation, _, _ in member.heard]
            assert numbers == sorted(set(numbers)), "B13: in order, once"
            assert not numbers or numbers == list(range(numbers[0], numbers[-1] + 1)), "B13: without gaps"
            assert all(true[generation] == (before, after) for generation, before, after in member.heard)
            assert not member.degraded, "Redis was there all the time"
        self.changes = len(happened)

    def totals(self) -> str:
        """Figures of the whole drill."""
        killed = sum(member.killed for member in self.members)
        slowest = max(self.recoveries)
        return (
            f"{self.calls()} calls by {len(self.members)} processes, {killed} probers killed, "
            f"{self.changes} changes of state, {len(self.recoveries)} recoveries (slowest {slowest:.2f} s), "
            f"{self.looks} looks, 0 violations"
        )


async def drill(url: str, folder: Path, processes: int, outages: int, calls: int) -> Drill:
    """Outages with and without deaths, until there were enough of them and of calls."""
    chance = random.Random(20261121)
    health = folder / "health"
    health.write_bytes(b"1")
    client = Redis.from_url(url)
    scene = Drill(url, health, client)
    try:
        for _ in range(processes):
            await scene.join()
        number = 0
        while number < outages or scene.calls() < calls:
            await scene.outage(kills=1 if number == 0 else chance.randrange(3))
            number += 1
            goal = scene.calls() + calls // outages  # well for a while
            while scene.calls() < goal:
                await scene.look()
        await scene.end()
        await scene.check()
    finally:
        for member in scene.members:
            if member.process.returncode is None:
                member.process.kill()
                await member.process.wait()
            if member.reading is not None:
                member.reading.cancel()
                await asyncio.gather(member.reading, return_exceptions=True)
        await client.aclose()
    return scene


@pytest.mark.req("brk.shared")
async def test_three_processes_survive_the_death_of_a_prober(redis_state_url: str, tmp_path: Path) -> None:
    """B1, B5, B13: one dies in its probe; the others recover when its lease ends, and all heard the same."""
    scene = await drill(redis_state_url, tmp_path, processes=3, outages=2, calls=0)
    assert sum(member.killed for member in scene.members) >= 1
    assert len(scene.recoveries) == 2


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.req("brk.shared")
async def test_eight_processes_share_a_breaker_through_many_deaths(redis_state_url: str, tmp_path: Path) -> None:
    """B1, B3, B5, B11, B13 over 100,000 calls at least, with probers that are killed all the time."""
    scene = await drill(redis_state_url, tmp_path, processes=8, outages=40, calls=100_000)
    print(scene.totals())  # noqa: T201 - totals of a long proof
    assert scene.calls() >= 100_000
