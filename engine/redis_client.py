"""How the engine connects to Redis: bounded in time, without retries of its own, reading nothing from disk."""

from __future__ import annotations

from pydantic import SecretStr
from redis import __version__ as redis_version
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError

from configs.errors import ConfigError
from configs.settings import RedisSettings


def connect(url: str, secret: SecretStr | None, settings: RedisSettings) -> Redis:
    """A client that never waits longer than ``settings.timeout_s`` and never retries by itself (X3, X7).

    Connects at the first command. ``url`` is what redis-py takes: ``redis://``, ``rediss://`` or ``unix://``.
    Raises ``ConfigError`` for one it does not take, without any part of it.
    """
    try:
        pool = _pool(url, secret, settings)
        pool.make_connection()  # connects to nobody, but refuses options in the URL that it does not know
    except (ValueError, TypeError, RedisError):
        # Their messages quote the URL, and so would the traceback's "direct cause".
        raise ConfigError(
            "a Redis URL cannot be used: its options or its form are not what redis-py takes",
            hint="check redis.cache_url and redis.state_url; schemes are redis://, rediss:// and unix://",
        ) from None
    return Redis.from_pool(pool)  # unlike Redis(connection_pool=…), closing the client closes the pool


def _pool(url: str, secret: SecretStr | None, settings: RedisSettings) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=settings.pool_max,
        timeout=settings.timeout_s,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=settings.timeout_s,
        retry=Retry(NoBackoff(), 0),
        # Left to itself, redis-py looks its version up in the file system for every new connection.
        driver_info=DriverInfo(name="redis-py", lib_version=redis_version),
        **({} if secret is None else {"password": secret.get_secret_value()}),
    )
