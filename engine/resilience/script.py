"""``breaker.lua`` on a Redis server: loading it, running steps, and every way in which that can fail (X1, X3, X7).

What a failure means for a breaker is decided in ``shared.py``; all of them arrive there as ``StateGone``.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import resources
from typing import TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from agents.errors import CallFailed
from configs.settings import BreakerSettings, RedisSettings
from engine.contract import BreakerMoved
from engine.resilience.errors import CallRefused
from engine.resilience.shielded import StoreGuard
from engine.resilience.wire import (
    Asked,
    BadReply,
    Stands,
    event_of,
    keys_of,
    request_json,
    rules_json,
    stands_of,
    ttl_s,
)

T = TypeVar("T")

STATE = "store:redis.state"
"""Breaker key of the Redis that keeps breakers. That breaker is a local one."""
SUBJECTS = "cb:subjects"
"""Sorted set of the subjects that have a record, by the time of their last registration."""
TRIES = 3
"""A step is sent this often within one timeout: a new server may have neither our connection nor our script."""
SERVER_CLOCK = """
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
"""
BODY = resources.files("engine.resilience").joinpath("breaker.lua").read_text(encoding="utf-8")
"""Read when this module is, since reading a file would hold up an event loop."""
ELSEWHERE = (ReadOnlyError, MovedError, AskError)
"""Somebody else is the server now: a new connection finds it."""


class StateGone(Exception):
    """The shared state could not be asked. ``sent``: it may have taken the step all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def lua_text(clock: str) -> str:
    """The whole script. Without a shebang Redis would begin a step that it cannot finish, out of memory say."""
    return f"#!lua\n{clock}\n{BODY}"


class BreakerScript:
    """Steps on one Redis, whose client must not retry by itself (X3). Local time never enters (X2)."""

    def __init__(
        self,
        client: Redis,
        rules: BreakerSettings,
        redis: RedisSettings,
        guard: StoreGuard,
        *,
        clock: str = SERVER_CLOCK,
    ) -> None:
        """``clock`` is Lua that defines ``clock()``; only tests have another than the server's."""
        self._client = client
        self._guard = guard
        # Whoever waits for a connection waits in here, where it is nobody's failure.
        self._places = asyncio.Semaphore(redis.pool_max)
        self._timeout_s = redis.timeout_s
        self._subjects_max = rules.subjects_max
        self._ttl_s = ttl_s(rules)
        self._rules = rules_json(rules)
        self._text = lua_text(clock)
        # Redis names scripts so; nothing here is secret.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, batch: Sequence[Asked]) -> list[Stands | StateGone]:
        """Take one step per element, each atomic, in one round trip.

        ``StateGone`` in place of an answer: that subject alone is damaged. Raises it when no step was taken.
        """
        return await self._guarded(partial(self._run, batch))

    async def events(self, subject: str) -> tuple[BreakerMoved, ...]:
        """The latest changes of state, oldest first. Raises ``StateGone``."""
        entries = await self._guarded(partial(self._events, keys_of(subject, None)[3]))
        try:
            return tuple(event_of(subject, entry) for entry in entries)
        except (TypeError, ValueError, KeyError) as exc:
            raise StateGone(f"{type(exc).__name__} while reading events", sent=True) from exc

    async def register(self, subjects: Sequence[str], now_s: float) -> None:
        """Let ``subjects`` know of these; of too many the ones registered longest ago go. Raises ``StateGone``."""
        await self._guarded(partial(self._register, subjects, now_s))

    async def subjects(self) -> tuple[str, ...]:
        """Registered subjects that still have a record, sorted. Raises ``StateGone``."""
        return await self._guarded(self._subjects)

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with self._places:
                return await self._guard(STATE, call, self._timeout_s)
        except CallFailed as exc:
            raise StateGone(exc.failure.detail, sent=not isinstance(exc, CallRefused)) from exc
        except (RedisError, OSError, BadReply) as exc:
            raise StateGone(f"{type(exc).__name__} while talking to the shared state", sent=True) from exc

    async def _run(self, batch: Sequence[Asked]) -> list[Stands | StateGone]:
        replies = await self._send(batch)
        for _ in range(TRIES - 1):
            wrong = [reply for reply in replies if isinstance(reply, RedisError)]
            if any(isinstance(reply, NoScriptError) for reply in wrong):
                await self._client.script_load(self._text)
            elif any(isinstance(reply, ELSEWHERE) for reply in wrong):
                await self._client.connection_pool.disconnect(inuse_connections=False)
            else:
                break
            # The whole batch again, with the same ids: whatever was done already has no second effect (X3).
            replies = await self._send(batch)
        replies = await self._healed(batch, replies)
        answers = [_answer(asked, reply) for asked, reply in zip(batch, replies, strict=True)]
        gone = [answer.__cause__ for answer in answers if isinstance(answer, StateGone)]
        if gone and len(gone) == len(answers) and gone[0] is not None:
            raise gone[0]
        return answers

    async def _healed(self, batch: Sequence[Asked], replies: list[object]) -> list[object]:
        """Lose the subjects of wrong type, like records that cannot be read, and take the steps of those again."""
        damaged = [number for number, reply in enumerate(replies) if _is_damaged(reply)]
        if damaged:
            pipeline = self._client.pipeline(transaction=False)
            for number in damaged:
                pipeline.delete(*keys_of(batch[number].subject, None))
            await pipeline.execute()
            again = await self._send([batch[number] for number in damaged])
            for number, reply in zip(damaged, again, strict=True):
                replies[number] = reply
        return replies

    async def _send(self, batch: Sequence[Asked]) -> list[object]:
        pipeline = self._client.pipeline(transaction=False)
        for asked in batch:
            keys = keys_of(asked.subject, asked.order)
            pipeline.evalsha(self._sha, len(keys), *keys, self._rules, request_json(asked))
        return cast("list[object]", await pipeline.execute(raise_on_error=False))

    async def _events(self, key: str) -> list[bytes]:
        return cast("list[bytes]", await self._client.lrange(key, 0, -1))

    async def _register(self, subjects: Sequence[str], now_s: float) -> None:
        pipeline = self._client.pipeline(transaction=False)
        names = {subject.encode("utf-8", "surrogatepass"): now_s for subject in subjects}
        pipeline.zadd(SUBJECTS, names)
        pipeline.zremrangebyrank(SUBJECTS, 0, -self._subjects_max - 1)
        pipeline.expire(SUBJECTS, self._ttl_s)
        await pipeline.execute()

    async def _subjects(self) -> tuple[str, ...]:
        entries = cast("list[tuple[bytes, float]]", await self._client.zrange(SUBJECTS, 0, -1, withscores=True))
        if not entries:
            return ()
        subjects = [name.decode("utf-8", "surrogatepass") for name, _ in entries]
        pipeline = self._client.pipeline(transaction=False)
        for subject in subjects:
            pipeline.exists(keys_of(subject, None)[0])
        there = await pipeline.execute()
        # A younger entry may be of a record that began since we looked; entries are in the order of their scores.
        old_s = entries[-1][1] - self._ttl_s
        gone = [name for (name, at_s), exists in zip(entries, there, strict=True) if not exists and at_s < old_s]
        if gone:
            await self._client.zrem(SUBJECTS, *gone)
        return tuple(sorted(subject for subject, exists in zip(subjects, there, strict=True) if exists))


def _is_damaged(reply: object) -> bool:
    """Whether a key of this subject is of another type than the script wants."""
    return isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply)


def _answer(asked: Asked, reply: object) -> Stands | StateGone:
    try:
        if isinstance(reply, RedisError):
            raise reply
        return stands_of(asked.subject, reply)
    except (RedisError, BadReply) as exc:
        gone = StateGone(f"{type(exc).__name__} while talking to the shared state", sent=True)
        gone.__cause__ = exc
        return gone
