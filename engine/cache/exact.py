"""The exact tier in Redis: one GET on a hit (cache.exact).

Redis' own exceptions end here, as ``memory.errors.BackendUnavailable``; what that means for the request is the
gateway's decision. ``engine/cache/inmemory.py`` is the twin.
"""

from __future__ import annotations

from redis.asyncio import Redis
from redis.exceptions import RedisError

from configs.kernel import FailureKind
from engine.cache.entry import decode, encode
from engine.cached import CachedAnswer
from memory.errors import BackendUnavailable
from memory.translate import failure_of

REFUSED_HINT = "check user and password of redis.cache_url, and what that user may do"


class RedisExactCache:
    """``AnswerCache`` over one Redis client, whose own retries must be off (X3)."""

    def __init__(self, client: Redis, *, entry_bytes_max: int) -> None:
        self._client = client
        self._entry_bytes_max = entry_bytes_max

    async def get(self, key: str) -> CachedAnswer | None:
        """The stored answer, or ``None``; a damaged entry is deleted."""
        try:
            data = await self._client.get(key)
            if data is None:
                return None
            answer = decode(key, data)
            if answer is None:
                await self._client.delete(key)
        except (RedisError, OSError) as exc:
            raise _unavailable(exc) from exc
        return answer

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        """Store for ``ttl_s`` seconds; an entry over the size limit is not stored."""
        data = encode(key, answer)
        if len(data) > self._entry_bytes_max:
            return
        try:
            await self._client.set(key, data, ex=ttl_s)
        except (RedisError, OSError) as exc:
            raise _unavailable(exc) from exc

    async def delete(self, key: str) -> bool:
        """Forget one entry; whether there was one."""
        try:
            return bool(await self._client.delete(key))
        except (RedisError, OSError) as exc:
            raise _unavailable(exc) from exc


def _unavailable(exc: Exception) -> BackendUnavailable:
    failure = failure_of(exc)
    said = f"{type(exc).__name__} while talking to the cache" + (f": {failure.detail}" if failure else "")
    hint = REFUSED_HINT if failure is not None and failure.kind is FailureKind.DENIED else ""
    return BackendUnavailable("redis.cache", said, hint=hint, failure=failure)
