"""What the real clients raise over a real socket, as the adapter reads it (faults 57 to 65)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import neo4j
import pytest
from qdrant_client import AsyncQdrantClient
from redis.asyncio import Redis

from configs.caching import CacheSettings
from configs.kernel import Failure, FailureKind, Outcome
from configs.settings import BreakerSettings, RedisSettings
from engine.cache.store import RedisAnswerCache
from engine.cached import Lookup, Place
from engine.contract import BreakerState
from engine.redis_client import connect
from engine.resilience.classify import classify
from engine.resilience.local import LocalBreakerStore
from engine.resilience.translate import failure_of as failure_behind
from memory.errors import BackendUnavailable
from memory.translate import failure_of

K = FailureKind
LOOKUP = Lookup(own=Place(owner="0" * 32, scope="0" * 64, key="0" * 64), shared=None)
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    """A server on loopback; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await answer(reader, writer)
        except (asyncio.CancelledError, ConnectionResetError):
            pass  # the end of the test, or a client that has heard enough
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads for ever."""
    await reader.read(-1)


async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Closes after the first bytes."""
    await reader.read(1)


def replies(line: str) -> Answer:
    """A Redis that has one answer for every command."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4_096):
            writer.write(f"{line}\r\n".encode() * data.count(b"*"))
            await writer.drain()

    return answer


def client(port: int, settings: RedisSettings | None = None) -> Redis:
    """As the engine connects."""
    return connect(f"redis://127.0.0.1:{port}", None, settings or RedisSettings(timeout_s=0.1))


async def seen(call: Awaitable[object]) -> Failure | None:
    """How the adapter reads what ``call`` raises."""
    try:
        await call
    except Exception as exc:  # noqa: BLE001 - whatever the client raises is what is wanted
        return failure_of(exc)
    raise AssertionError("nothing was raised")


@pytest.mark.req("brk.classify")
@pytest.mark.parametrize(
    ("answer", "kind"),
    [(silent, K.IDLE_TIMEOUT), (hangs_up, K.RESET), (replies("HTTP/1.1 400 Bad Request"), K.MALFORMED)],
    ids=["silent", "hangs up", "not Redis"],
)
async def test_a_redis_that_breaks_is_named_by_how(answer: Answer, kind: FailureKind) -> None:
    """Faults 58, 59."""
    async with server(answer) as port:
        redis = client(port)
        failure = await seen(redis.get("k"))
        await redis.aclose()
    assert failure is not None
    assert failure.kind is kind
    assert classify(failure) is Outcome.FAIL


async def test_a_redis_that_is_not_there_is_no_connection(unused_tcp_port: int) -> None:
    """Fault 57; the port is not in the sentence."""
    redis = client(unused_tcp_port)
    assert await seen(redis.get("k")) == Failure(kind=K.CONNECT, detail="no connection: refused")
    await redis.aclose()


async def test_an_empty_pool_of_ours_is_nobodys_failure() -> None:
    """Waiting for a connection in vain says nothing about the server."""
    async with server(replies("+OK")) as port:
        redis = client(port, RedisSettings(timeout_s=0.1, pool_max=1))
        held = await redis.connection_pool.get_connection()
        failure = await seen(redis.get("k"))
        await redis.connection_pool.release(held)
        await redis.aclose()
    assert failure == Failure(kind=K.REFUSED, detail="all connections to it are in use")


@pytest.mark.req("brk.classify")
async def test_a_cache_that_wants_a_password_is_named_clearly_and_parked_at_once() -> None:
    """One refusal is enough: knocking on does not help, and the operator is told what to check."""
    store = LocalBreakerStore(BreakerSettings(), clock=lambda: 0.0, sample=lambda: 0.5)
    breaker = store.of("store:redis.cache")
    async with server(replies("-NOAUTH Authentication required.")) as port:
        redis = client(port)
        cache = RedisAnswerCache(redis, CacheSettings())
        with pytest.raises(BackendUnavailable) as caught:
            await breaker.run(lambda: cache.get(LOOKUP))
        await redis.aclose()
    assert "it wants a password, and there is none (NOAUTH)" in caught.value.message
    assert "redis.cache_url" in caught.value.hint
    assert str(port) not in str(caught.value)
    assert classify(failure_behind(caught.value)) is Outcome.AUTH
    assert breaker.view().state is BreakerState.PARKED


async def test_a_cache_that_is_loading_counts_as_a_failure_and_is_not_parked() -> None:
    """Fault 60: a state of the server, not of the password."""
    store = LocalBreakerStore(BreakerSettings(), clock=lambda: 0.0, sample=lambda: 0.5)
    breaker = store.of("store:redis.cache")
    async with server(replies("-LOADING Redis is loading the dataset in memory")) as port:
        redis = client(port)
        cache = RedisAnswerCache(redis, CacheSettings())
        with pytest.raises(BackendUnavailable, match="loading its data"):
            await breaker.run(lambda: cache.get(LOOKUP))
        await redis.aclose()
    assert breaker.view().consecutive_failures == 1
    assert breaker.view().state is BreakerState.CLOSED


@pytest.mark.parametrize(("answer", "kind"), [(silent, K.IDLE_TIMEOUT), (hangs_up, K.RESET)])
async def test_a_qdrant_that_breaks_is_named_by_how(answer: Answer, kind: FailureKind) -> None:
    """Fault 63."""
    async with server(answer) as port:
        qdrant = AsyncQdrantClient(url=f"http://127.0.0.1:{port}", timeout=1, check_compatibility=False)
        failure = await seen(qdrant.get_collections())
        await qdrant.close()
    assert failure is not None
    assert failure.kind is kind


async def test_a_neo4j_that_is_not_there_is_no_connection(unused_tcp_port: int) -> None:
    """Fault 65; address and port are not in the sentence."""
    async with neo4j.AsyncGraphDatabase.driver(
        f"bolt://127.0.0.1:{unused_tcp_port}", auth=("a", "b"), max_transaction_retry_time=0
    ) as driver:
        failure = await seen(driver.execute_query("RETURN 1"))
    assert failure == Failure(kind=K.CONNECT, detail="no connection: refused")
