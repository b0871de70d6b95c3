"""Random histories of a queue: the Redis one and its twin never differ, and neither loses or doubles a ticket.

The twin is one model; the laws below, kept in a few plain sets, are another: no ticket is lost, none concluded
twice, the order holds, the bound holds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest
from redis.asyncio import Redis

from configs.settings import RedisSettings
from engine.queue.contract import Delivery
from engine.redis_client import connect
from engine.ticket import RANKS, Ticket, TicketError, TicketStatus
from tests.support.queues import ANSWER, SETTINGS, QueueLab, in_memory, in_redis

STEPS, SEEDS = 220, 6
TICK_S = 100.0  # per step, so that nothing in Redis happens at the same time unless it does so in the twin
STRIDE_S = (1 * TICK_S, 60 * TICK_S, 400 * TICK_S, 1_100 * TICK_S, 9_000 * TICK_S)
RULES = SETTINGS.model_copy(
    update={"length_max": 6, "expiry_s": 1_000_000, "keep_s": 2_000_000, "lease_s": 1_000 * TICK_S}
)


@dataclass
class World:
    """Two queues under the same history, and what must be true of it."""

    twin: QueueLab
    real: QueueLab
    chance: random.Random
    made: int = 0
    hands: list[tuple[Delivery, Delivery]] = field(default_factory=list)
    accepted: set[str] = field(default_factory=set)
    concluded: dict[str, int] = field(default_factory=dict)

    async def both(self, method: str, *args: object, **fields: object) -> tuple[object, object]:
        """The same call on both; they must agree but for times."""
        pair = [await getattr(lab.store, method)(*args, **fields) for lab in (self.twin, self.real)]
        assert plain(pair[0]) == plain(pair[1]), (method, args, fields)
        return pair[0], pair[1]

    async def put(self) -> None:
        self.made += 1
        priority = self.chance.choice(RANKS)
        options: dict[str, object] = {}
        if self.chance.random() < 0.3:
            options["idempotency"] = f"k{self.chance.randrange(8)}"
        if self.chance.random() < 0.3:
            options["delay_s"] = self.chance.choice(STRIDE_S)
        if self.chance.random() < 0.3:
            options["webhook"] = "https://example.com/"
        put = [
            await lab.put(f"t{self.made:04}", priority, digest="same", **options) for lab in (self.twin, self.real)
        ]
        assert plain(put[0]) == plain(put[1])
        if isinstance(put[0], Ticket):
            self.accepted.add(put[0].id)

    async def take(self) -> None:
        ready = [row for row in await self.twin.store.latest(100) if row.status is TicketStatus.WAITING]
        ready = [row for row in ready if row.not_before_s is None]
        pair = await self.both("take")
        if isinstance(pair[0], Delivery) and isinstance(pair[1], Delivery):
            best = min((RANKS.index(row.priority) for row in ready), default=2)
            assert RANKS.index(pair[0].ticket.priority) <= best
            self.hands.append(pair)
        else:
            assert ready == []

    async def conclude(self) -> None:
        if not self.hands:
            return
        pair = self.chance.choice(self.hands)  # it stays in hand: a worker may speak twice, and too late
        result = ANSWER if self.chance.random() < 0.7 else TicketError(code="c", message="m")
        if self.chance.random() < 0.5:
            before = await self.twin.store.get(pair[0].ticket.id)
            done = [await lab.store.finish(d, result) for lab, d in zip((self.twin, self.real), pair, strict=True)]
            if done[0] and before is not None and not before.status.final:
                self.concluded[pair[0].ticket.id] = self.concluded.get(pair[0].ticket.id, 0) + 1
        elif self.chance.random() < 0.5:
            delay_s = self.chance.choice((0.0, 0.0, 60 * TICK_S, 400 * TICK_S))
            done = [
                await lab.store.put_back(d, delay_s=delay_s)
                for lab, d in zip((self.twin, self.real), pair, strict=True)
            ]
        else:
            done = [await lab.store.renew(d) for lab, d in zip((self.twin, self.real), pair, strict=True)]
        assert done[0] == done[1]

    async def cancel(self) -> None:
        await self.both("cancel", f"t{self.chance.randrange(self.made + 2):04}")

    async def hook(self) -> None:
        await self.both("take_hook")

    async def pass_time(self) -> None:
        await self.advance(self.chance.choices(STRIDE_S, weights=(40, 30, 15, 10, 5))[0])

    async def advance(self, seconds: float) -> None:
        await self.twin.advance(seconds)
        await self.real.advance(seconds)

    async def check(self) -> None:
        twin, _ = await self.both("latest", 1_000)
        assert isinstance(twin, tuple)
        open_now = [row for row in twin if not row.status.final]
        assert len(open_now) <= RULES.length_max
        assert all(count == 1 for count in self.concluded.values())
        assert {row.id for row in twin} <= self.accepted


def plain(value: object) -> object:
    """A reply without what the two stores' clocks differ in."""
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    if isinstance(value, Ticket):
        return replace(value, created_s=0.0, expires_s=0.0, not_before_s=value.not_before_s and 1.0)
    return replace(value, ticket=plain(value.ticket)) if hasattr(value, "ticket") else value


async def history(seed: int, url: str, steps: int) -> World:
    """One random history, checked after every step."""
    async with connect(url, None, RedisSettings(timeout_s=5)) as client:
        return await _history(seed, client, steps)


async def _history(seed: int, client: Redis, steps: int) -> World:
    world = World(in_memory(RULES), await in_redis(client, RULES), random.Random(seed))
    moves = (world.put, world.take, world.conclude, world.cancel, world.hook, world.pass_time)
    for _ in range(steps):
        await world.chance.choices(moves, weights=(30, 25, 25, 3, 5, 12))[0]()
        await world.advance(TICK_S)
        await world.check()
    await drain(world)
    return world


async def drain(world: World) -> None:
    """What was accepted and is still kept ends, once: nothing is stuck in a queue that is worked on."""
    for _ in range(60):
        await world.advance(500 * TICK_S)
        while True:
            pair = await world.both("take")
            if pair[0] is None:
                break
            for lab, delivery in zip((world.twin, world.real), pair, strict=True):
                assert isinstance(delivery, Delivery)
                assert await lab.store.finish(delivery, ANSWER)
            await world.advance(TICK_S)
    rows, _ = await world.both("latest", 1_000)
    assert isinstance(rows, tuple)
    assert all(row.status.final for row in rows)


@pytest.mark.req("run.queue")
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_no_history_loses_doubles_or_disorders_a_ticket(seed: int, redis_state_url: str):
    """Seeded random operations on both stores, compared and checked after every step (X1, X3)."""
    world = await history(seed, redis_state_url, STEPS)
    assert world.concluded  # the history was one


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.req("run.queue")
async def test_long_histories_lose_double_or_disorder_nothing(
    redis_state_url: str, capsys: pytest.CaptureFixture[str]
):
    """The same over 100,000 steps; prints the total."""
    total = 0
    for seed in range(1_000, 1_100):
        await history(seed, redis_state_url, 1_000)
        total += 1_000
    with capsys.disabled():
        print(f"queue model: {total:,} steps, 0 differences")  # noqa: T201 - the figures of the proof
    assert total == 100_000
