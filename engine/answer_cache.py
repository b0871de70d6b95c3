"""The exact cache of one engine: its Redis, embedded or real, behind its own breaker. Opened with the engine."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial

from redis.asyncio import Redis

from configs.settings import Settings
from engine.cache.exact import RedisExactCache
from engine.cached import AnswerCache
from engine.embedded import Hold, ReattachingCache
from engine.redis_client import connect
from engine.resilience.local import LocalBreakerStore
from engine.resilience.shielded import ShieldedCache, StoreGuard
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_cache
from memory.errors import BackendUnavailable

STORES = "store:"
CACHE = f"{STORES}redis.cache"
"""Breaker key of the cache."""


async def open_cache(
    settings: Settings, breakers: LocalBreakerStore, stack: AsyncExitStack, degraded: dict[str, str]
) -> tuple[Redis | None, AnswerCache | None]:
    """The cache and its client, or nothing with the reason in ``degraded``."""
    redis = settings.redis
    if not settings.cache.enabled:
        return None, None
    hold: Hold | None = None
    if redis.cache_url is not None:
        client = connect(redis.cache_url.get_secret_value(), None, redis)
    else:
        hold = Hold(partial(attach, redis_cache(redis.cache_max_mb), settings.data_dir, settings.embedded))
        stack.push_async_callback(hold.leave)
        try:
            attachment = await hold.get()
        except BackendUnavailable as exc:
            degraded["cache"] = str(exc)
            return None, None
        client = connect(attachment.address, attachment.secret, redis)
    stack.push_async_callback(client.aclose)
    cache: AnswerCache = RedisExactCache(client, entry_bytes_max=settings.cache.entry_bytes_max)
    if hold is not None:
        cache = ReattachingCache(cache, hold)
    guard = StoreGuard(breakers)
    return client, ShieldedCache(cache, guard, subject=CACHE, timeout_s=redis.timeout_s, places=redis.pool_max)
