"""Queues whose time moves only when a test says so: the twin on a fake clock, Redis with all its times shifted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from configs.kernel import Message, Money, Principal, Usage
from configs.settings import QueueSettings
from engine.queue.contract import Enqueue
from engine.queue.inmemory import InMemoryQueue
from engine.queue.redis_queue import PREFIX, RedisQueue
from engine.queue.stored import QueuedRequest, digest, encode
from engine.types import Answer, Decision, Leg, Priority
from tests.support.clock import FakeClock

# Long enough that the milliseconds a real Redis takes change nothing.
SETTINGS = QueueSettings(
    length_max=4, expiry_s=10_000, keep_s=20_000, lease_s=1_000, deliveries_max=3, retry_s=100, retry_s_max=800
)
ANSWER = Answer(
    text="forty-two ☕",
    source="model",
    agent="general",
    decision=Decision(
        agent="general", strategy="single", confidence=0.5, reason="r", legs=(Leg(agent="a", model="m"),)
    ),
    attempts=(),
    usage=Usage(input_tokens=3, output_tokens=5),
    cost=Money(7),
    latency_ms=1.5,
    request_id="r",
    trace_id="t",
    model="m",
)
AGE = """
local P, by = KEYS[1], tonumber(ARGV[1])
for _, name in ipairs({'later', 'due', 'fin', 'hooks'}) do
  for _, id in ipairs(redis.call('ZRANGE', P .. name, 0, -1)) do redis.call('ZINCRBY', P .. name, -by, id) end
end
for _, p in ipairs({'high', 'normal', 'low'}) do
  local stream = P .. 's:' .. p
  if redis.call('EXISTS', stream) == 1 then
    for _, held in ipairs(redis.call('XPENDING', stream, 'workers', '-', '+', 10000)) do
      local idle = string.format('%d', held[3] + by)
      redis.call('XCLAIM', stream, 'workers', 'any', 0, held[1], 'IDLE', idle, 'JUSTID')
    end
  end
end
local cursor = '0'
repeat
  local found = redis.call('SCAN', cursor, 'MATCH', P .. '*', 'COUNT', 1000)
  cursor = found[1]
  for _, key in ipairs(found[2]) do
    if string.sub(key, #P + 1, #P + 2) == 't:' then
      for _, name in ipairs({'created', 'expires', 'not_before'}) do
        if redis.call('HGET', key, name) ~= '' then redis.call('HINCRBY', key, name, -by) end
      end
    end
    local left = redis.call('PTTL', key)
    if left >= 0 then redis.call('PEXPIRE', key, string.format('%d', left - by)) end
  end
until cursor == '0'
"""


@dataclass
class QueueLab:
    """One queue under test."""

    store: InMemoryQueue | RedisQueue
    advance: Callable[[float], Awaitable[None]]
    """Let so many seconds pass."""
    client: Redis | None = None
    _made: int = field(default=0)

    async def put(self, name: str = "", priority: Priority = "normal", **fields: Any) -> Any:
        """Queue a request called ``name``."""
        self._made += 1
        return await self.store.put(enqueue(name or f"t{self._made}", priority, **fields))


def in_memory(settings: QueueSettings = SETTINGS) -> QueueLab:
    """The twin."""
    clock = FakeClock()

    async def advance(seconds: float) -> None:
        clock.advance(seconds)

    return QueueLab(InMemoryQueue(settings, now_s=clock), advance)


async def in_redis(client: Redis, settings: QueueSettings = SETTINGS) -> QueueLab:
    """The real one, emptied."""
    await empty(client)
    age = client.register_script(AGE)

    async def advance(seconds: float) -> None:
        await age(keys=[PREFIX], args=[round(seconds * 1000)])

    return QueueLab(RedisQueue(client, settings), advance, client)


async def empty(client: Redis) -> None:
    """Forget every queue of this Redis."""
    if keys := [key async for key in client.scan_iter(match=f"{PREFIX}*", count=1000)]:
        await client.unlink(*keys)


def request(name: str = "t1", text: str = "hello", **fields: Any) -> QueuedRequest:
    """A stored request."""
    base: dict[str, Any] = {
        "id": name,
        "principal": Principal(user_id="ada"),
        "messages": (Message("user", text),),
        "deadline_s": 30.0,
        "priority": "normal",
        "ttl_s": 60,
    }
    return QueuedRequest(**(base | fields))


def enqueue(name: str, priority: Priority = "normal", **fields: Any) -> Enqueue:
    """What the store is given for it."""
    queued = request(name, priority=priority)
    base: dict[str, Any] = {
        "id": name,
        "priority": priority,
        "tenant_id": "default",
        "user_id": "ada",
        "body": encode(queued),
        "digest": digest(queued),
    }
    return Enqueue(**(base | fields))
