"""Replicas that lose Redis and find it again, in random order: what must hold whoever was cut off, and when."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from configs.kernel import Outcome
from engine.contract import BreakerMoved, BreakerState, Permit, Report
from engine.resilience import script
from engine.resilience.alone import LocalPermit
from engine.resilience.script import BreakerScript, StateGone
from engine.resilience.wire import Asked, Stands, keys_of
from tests.property.breaker_world import FORCED, RULES
from tests.support.shared_breaker import Fleet, Replica, fleet_of

NEVER_S = 1e9
BY_HAND = FORCED[:3]


class Line:
    """The way to Redis of one replica: cut, or losing a question or a reply now and then."""

    def __init__(self, script: BreakerScript, chance: random.Random) -> None:
        self.cut = False
        self.sound = False
        self._script = script
        self._chance = chance

    async def run(self, batch: Sequence[Asked]) -> list[Stands | StateGone]:
        """The step, perhaps carried out, perhaps answered."""
        lot = 1.0 if self.sound else self._chance.random()
        if self.cut or lot < 0.02:
            raise StateGone("cut", sent=not self.cut)
        answers = await self._script.run(batch)
        if lot < 0.04:
            raise StateGone("reply lost", sent=True)
        return answers

    async def events(self, subject: str) -> tuple[BreakerMoved, ...]:
        """As the script says."""
        return await self._script.events(subject)

    async def register(self, subjects: Sequence[str], now_s: float) -> None:
        """Nobody lists subjects here."""


@dataclass(slots=True)
class Partition:
    """Three replicas on lines that fail, one that never does and gives the orders."""

    fleet: Fleet
    chance: random.Random
    subject: str = field(default_factory=lambda: f"model:p/{uuid.uuid4()}#k")
    lines: list[Line] = field(default_factory=list[Line])
    running: list[tuple[Replica, Permit]] = field(default_factory=list[tuple[Replica, Permit]])
    latest: dict[int, int] = field(default_factory=dict[int, int])
    ordered: BreakerState | None = None
    did: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        for member in self.fleet.replicas:
            line = Line(member.store._script, self.chance)
            member.store._script = line  # type: ignore[assignment]
            member.store._sender._every_s = NEVER_S  # rounds are taken by hand, so that a seed says it all
            self.lines.append(line)
        self.lines[0].sound = True

    async def step(self) -> None:
        """Something happens."""
        chance = self.chance
        member = chance.choice(self.fleet.replicas)
        lot = chance.random()
        if lot < 0.30:
            answer = await member.store.acquire(self.subject, uuid.uuid4().hex)
            self.did["alone"] += isinstance(answer, LocalPermit)
            if isinstance(answer, Permit):
                self.running.append((member, answer))
        elif lot < 0.65 and self.running:
            caller, permit = self.running.pop(chance.randrange(len(self.running)))
            outcome = chance.choice((*[Outcome.OK] * 4, *[Outcome.FAIL] * 5, Outcome.CANCEL, Outcome.THROTTLE))
            await caller.store.report(permit, Report(outcome=outcome, retry_after_s=5.0))
        elif lot < 0.75:
            await member.store.flush()
        elif lot < 0.87:
            await self.fleet.pass_time(chance.choice((0.05, 0.2, 1.0, 4.0, 9.0)))
        elif lot < 0.97:
            line = chance.choice(self.lines[1:])
            line.cut = not line.cut
            self.did["cut"] += line.cut
        elif chance.random() < 0.3 or self.ordered in BY_HAND:
            self.ordered = BreakerState.CLOSED if self.ordered in BY_HAND else chance.choice(FORCED)
            await self.fleet.replicas[0].store.force(self.subject, self.ordered, actor="ada", reason="drill")

    async def check(self) -> None:
        """What always holds."""
        client = self.fleet.replicas[0].client
        state, leases = await client.hmget(keys_of(self.subject, None)[0], "state", "leases")
        assert (leases or b"").count(b"[") <= 1 + RULES.half_open_probes, "B1"
        if self.ordered in BY_HAND:
            assert state.decode() == self.ordered.value, "B16: an order was undone"
        for number, member in enumerate(self.fleet.replicas):
            known = member.store._known.get(self.subject)
            generation = 0 if known is None else known.view(self.fleet.clock()).generation
            assert generation >= self.latest.get(number, 0), "B3"
            self.latest[number] = generation
            if known is not None and member.events and member.events[-1].generation == generation:
                shown = known.view(self.fleet.clock()).state
                assert shown is member.events[-1].after, "B13: one change a generation"
            heard = [event.generation for event in member.events]
            assert heard == sorted(set(heard)), "B13"

    async def heal(self) -> None:
        """Everybody has Redis again: one truth, and healthy calls close it (B5)."""
        if self.ordered in BY_HAND:
            await self.fleet.replicas[0].store.force(self.subject, BreakerState.CLOSED, actor="ada", reason="over")
        for line in self.lines:
            line.cut, line.sound = False, True
        for _ in range(2):  # the first look of one may renumber what another has seen
            await self.fleet.pass_time(RULES.open_s_max + RULES.lease_s)
            for member in self.fleet.replicas:
                await member.store.flush()
                await member.store.view((self.subject,))
        prober = self.chance.choice(self.fleet.replicas)
        permit = await prober.store.acquire(self.subject, uuid.uuid4().hex)
        assert isinstance(permit, Permit)
        await prober.store.report(permit, Report(outcome=Outcome.OK))
        await self.fleet.pass_time(1.0)
        views = [(await member.store.view((self.subject,)))[self.subject] for member in self.fleet.replicas]
        assert {(view.state, view.generation) for view in views} == {(BreakerState.CLOSED, views[0].generation)}
        self.did["changes"] += len(await self.fleet.replicas[0].store.history(self.subject))


async def drill(url: str, seed: int, steps: int) -> Counter[str]:
    """One subject, cut and healed at random."""
    async with fleet_of(url, RULES, 4) as fleet:
        partition = Partition(fleet, random.Random(seed))
        for _ in range(steps):
            await partition.step()
            await partition.check()
        await partition.heal()
        for line in partition.lines:
            line.sound = True
        return partition.did


async def drills(url: str, seeds: int) -> Counter[str]:
    """300 steps for each seed."""
    did: Counter[str] = Counter()
    for seed in range(seeds):
        did += await drill(url, seed, 300)
    return did


@pytest.mark.req("brk.shared", "brk.manual")
async def test_partitions_undo_no_order_and_turn_no_generation_back(redis_state_url: str) -> None:
    """B1, B3, B5, B13, B16 after each of 1,500 steps; at the end all replicas agree."""
    did = await drills(redis_state_url, 5)
    assert min(did["alone"], did["cut"], did["changes"]) > 30


PLANTED = {
    "hint_always": ("local hint = record.generation == seen.base and", "local hint ="),
    "no_renumbering": ("  local alone = seen.generation > seen.base\n", "  do return end\n"),
    "equal_is_fine": (
        "(record.generation == seen.generation and not alone)",
        "record.generation == seen.generation",
    ),
    "no_step_up": ("  record.generation = seen.generation + 1\nend", "  record.generation = seen.generation\nend"),
}


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("fault", PLANTED)
async def test_a_fault_planted_in_the_handing_over_is_found(
    redis_state_url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invariant that catches no planted fault is no invariant."""
    assert PLANTED[fault][0] in script.BODY
    monkeypatch.setattr(script, "BODY", script.BODY.replace(*PLANTED[fault]))
    with pytest.raises(AssertionError):
        await drills(redis_state_url, 12)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.req("brk.shared", "brk.manual")
@pytest.mark.parametrize("seed", range(4))
async def test_partitions_over_a_hundred_thousand_steps(redis_state_url: str, seed: int) -> None:
    """The long proof: 25,000 steps per seed."""
    did: Counter[str] = Counter()
    for number in range(50):
        did += await drill(redis_state_url, 1_000 * (seed + 1) + number, 500)
    print(f"seed {seed}: {dict(did)}")  # noqa: T201 - totals of a long proof
    assert did["alone"] > 100
