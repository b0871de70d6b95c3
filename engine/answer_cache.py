"""The answer cache of one engine: its Redis, embedded or real, behind its own breaker. Opened with the engine."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from redis.asyncio import Redis

from configs.settings import Settings
from engine.cache.leases import GuardedLeases, Leases
from engine.cache.redis_leases import RedisLeases
from engine.cache.store import RedisAnswerCache
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCache:
    """The cache's Redis, and what is kept in it, each behind the one breaker."""

    client: Redis
    store: AnswerCache
    leases: Leases


async def open_cache(
    settings: Settings, breakers: LocalBreakerStore, stack: AsyncExitStack, degraded: dict[str, str]
) -> OpenCache | None:
    """The cache, or nothing with the reason in ``degraded``."""
    redis = settings.redis
    if not settings.cache.enabled:
        return None
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
            return None
        client = connect(attachment.address, attachment.secret, redis)
    stack.push_async_callback(client.aclose)
    store: AnswerCache = RedisAnswerCache(client, settings.cache)
    if hold is not None:
        store = ReattachingCache(store, hold)
    guard = StoreGuard(breakers)
    # Together they have the connections of the pool: whoever waits for one inside it would count as its failure.
    flying = max(1, redis.pool_max // 4)
    asking = max(1, redis.pool_max - flying)
    return OpenCache(
        client=client,
        store=ShieldedCache(store, guard, subject=CACHE, timeout_s=redis.timeout_s, places=asking),
        leases=GuardedLeases(RedisLeases(client), guard, subject=CACHE, timeout_s=redis.timeout_s, places=flying),
    )
