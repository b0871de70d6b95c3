"""The exact tier in a dict: the twin of ``RedisExactCache``, for tests and engines without Redis."""

from __future__ import annotations

from collections.abc import Callable

from engine.cache.entry import decode, encode
from engine.cached import CachedAnswer


class InMemoryExactCache:
    """``AnswerCache`` of one process. ``now_s`` is a monotonic clock."""

    def __init__(self, *, now_s: Callable[[], float], entry_bytes_max: int) -> None:
        self._now_s = now_s
        self._entry_bytes_max = entry_bytes_max
        self._entries: dict[str, tuple[float, bytes]] = {}

    async def get(self, key: str) -> CachedAnswer | None:
        """The stored answer, or ``None``; an expired or damaged entry is deleted."""
        held = self._entries.get(key)
        if held is None:
            return None
        expires_s, data = held
        answer = decode(key, data) if self._now_s() < expires_s else None
        if answer is None:
            del self._entries[key]
        return answer

    async def put(self, key: str, answer: CachedAnswer, *, ttl_s: int) -> None:
        """Store for ``ttl_s`` seconds; an entry over the size limit is not stored."""
        data = encode(key, answer)
        if len(data) <= self._entry_bytes_max:
            self._entries[key] = (self._now_s() + ttl_s, data)

    async def delete(self, key: str) -> bool:
        """Forget one entry; whether there was one."""
        return self._entries.pop(key, None) is not None
