"""Leases that replicas share, in ``redis.cache``: one key each, set if absent, changed by who knows its token.

Redis' own exceptions end here, as ``memory.errors.BackendUnavailable``. ``leases.InMemoryLeases`` is the twin.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from memory.errors import BackendUnavailable
from memory.translate import failure_of

PREFIX = "sg:flight:"
# A key without an end is no lease of ours: left alone, it would hold everybody up for good.
TAKE = """#!lua
if redis.call('PTTL', KEYS[1]) == -1 then redis.call('DEL', KEYS[1]) end
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) and 1 or 0
"""
RENEW = """#!lua
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = """#!lua
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisLeases:
    """``Leases`` over one client, whose own retries must be off (X3)."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """A token, or ``None`` while somebody else holds the lease."""
        token = uuid.uuid4().hex
        return token if await self._run(TAKE, key, token, _ms(lease_s)) else None

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Whether it was still there to be renewed."""
        return bool(await self._run(RENEW, key, token, _ms(lease_s)))

    async def release(self, key: str, token: str) -> None:
        """End it, if it is still the one of ``token``."""
        await self._run(RELEASE, key, token)

    async def _run(self, script: str, key: str, *arguments: str) -> int:
        try:
            return await cast("Awaitable[int]", self._client.eval(script, 1, _name(key), *arguments))
        except (RedisError, OSError) as exc:
            failure = failure_of(exc)
            said = f"{type(exc).__name__} while asking for a lease" + (f": {failure.detail}" if failure else "")
            raise BackendUnavailable("redis.cache", said, failure=failure) from exc


def _name(key: str) -> bytes:
    return (PREFIX + key).encode("utf-8", "surrogatepass")


def _ms(seconds: float) -> str:
    """Redis refuses an end at once, and its unit is the millisecond."""
    return str(max(1, round(seconds * 1e3)))
