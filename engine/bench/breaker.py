"""``bench breaker``: what a breaker adds to a healthy call, beside other libraries, and how many probe at once.

``over_await_us`` is the quickest round of guarded awaits minus the quickest of bare ones, in microseconds a call;
rounds of both alternate. ``closed.shared`` is leave, an await and its report through the breakers that replicas
share, on an embedded Redis of its own; ``mean_ms`` includes what is sent behind the calls. Peers are measured when
they are installed and are no dependency.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

from configs.kernel import Deadline, Outcome
from configs.settings import Settings
from engine.bench.report import Report, report
from engine.breakers import Breakers
from engine.contract import BreakerState, Permit
from engine.contract import Report as CallEnd
from engine.redis_state import StateRedis
from engine.resilience.errors import CallRefused
from engine.resilience.local import LocalBreakerStore
from engine.resilience.shield import Shield
from engine.resilience.shielded import StoreGuard

Call = Callable[[], Awaitable[int]]
ROUNDS = 15
CALLS = 20_000
CALLS_SLOW = 2_000
CALLERS = 100
SHORT_S = 0.02
PEER_FAILURES = 5
"""The default of every library here."""
OK = CallEnd(outcome=Outcome.OK)


async def run(settings: Settings) -> Report:
    """What the breaker adds to an await, and the same for the longer ways through a breaker."""
    store = LocalBreakerStore(settings.breaker, clock=time.monotonic, sample=random.random)
    shield = Shield(store, settings, clock=time.monotonic, sample=random.random)
    ids = map(str, count())

    async def by_permit() -> int:
        permit = await store.acquire("permit", next(ids))
        result = await _bare()
        if isinstance(permit, Permit):
            await store.report(permit, OK)
        return result

    guard = StoreGuard(store)
    deadline = Deadline.after(settings.request.deadline_s_max, now_s=time.monotonic())
    breaker = store.of("run")
    figures = {
        "closed.local.over_await_us": await _over_await_us(partial(breaker.run, _bare), CALLS),
        "closed.local.permit.over_await_us": await _over_await_us(by_permit, CALLS_SLOW),
        "closed.local.guard.over_await_us": await _over_await_us(lambda: guard("guard", _bare, 1.0), CALLS_SLOW),
        "closed.local.shield.over_await_us": await _over_await_us(
            lambda: shield.call("shield", _bare, deadline, timeout_s=1.0), CALLS_SLOW
        ),
        "half_open.admitted_of_100": await _admitted(settings),
    }
    notes = [*await _shared(settings, figures)]
    for name, guarded in PEERS.items():
        if find_spec(name) is not None:
            library = import_module(name)
            call = guarded(library, _bare, settings.breaker.open_s)
            figures[f"peer.{name}.over_await_us"] = await _over_await_us(call, CALLS)
            figures[f"peer.{name}.half_open_admitted_of_100"] = await _admitted_by(partial(guarded, library))
    missing = [name for name in PEERS if find_spec(name) is None]
    if missing:
        notes.append(f"not installed, not measured: {', '.join(missing)} (extra `bench` brings most)")
    return report("breaker", figures, notes=tuple(notes))


async def _shared(settings: Settings, figures: dict[str, float]) -> tuple[str, ...]:
    """Figures of the shared breaker on an embedded Redis of its own, and of purgatory on the same; or why not."""
    redis = settings.redis.model_copy(update={"state_url": None})
    rules = settings.breaker.model_copy(update={"shared": True})
    # Stays behind when the process is killed; the system clears such folders.
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="sg-")
    alone = settings.model_copy(update={"data_dir": Path(folder), "redis": redis, "breaker": rules})
    state = StateRedis(alone)
    breakers = Breakers(alone, state, LocalBreakerStore(rules, clock=time.monotonic, sample=random.random))
    ids = map(str, count())

    async def call() -> None:
        permit = await breakers.acquire("shared", next(ids))
        await _bare()
        if isinstance(permit, Permit):
            await breakers.report(permit, OK)

    try:
        await breakers.open()
        if breakers.degraded:
            return (f"not shared, not measured: {breakers.degraded}",)
        began = time.perf_counter()
        times = await _times_ms(call, CALLS)
        figures["closed.shared.mean_ms"] = (time.perf_counter() - began) / CALLS * 1e3
        figures["closed.shared.p50_ms"] = statistics.median(times)
        figures["closed.shared.p95_ms"] = statistics.quantiles(times, n=20)[18]
        client = await state.client()

        async def ping() -> object:
            return await client.get("nothing")

        round_trips = await _times_ms(ping, CALLS_SLOW)
        figures["closed.shared.redis_rtt.p50_ms"] = statistics.median(round_trips)
        if find_spec("purgatory") is not None:
            async with _purgatory_on_redis(client.connection_pool.connection_kwargs) as on_redis:
                figures["peer.purgatory_redis.p50_ms"] = statistics.median(await _times_ms(on_redis, CALLS_SLOW))
        return ()
    finally:
        await breakers.aclose()
        await state.aclose()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def _purgatory_on_redis(reached: Mapping[str, str]) -> AsyncGenerator[Call]:
    """A guarded await of the one peer that can share a breaker, on the Redis behind this connection."""
    library = await asyncio.to_thread(import_module, "purgatory")
    where = reached["path"] if "path" in reached else f"{reached['host']}:{reached['port']}"
    scheme = "unix" if "path" in reached else "redis"
    unit_of_work = library.AsyncRedisUnitOfWork(f"{scheme}://:{quote(reached.get('password') or '')}@{where}")
    factory = library.AsyncCircuitBreakerFactory(uow=unit_of_work)
    await factory.initialize()

    async def guarded() -> int:
        async with await factory.get_breaker("bench"):
            return await _bare()

    try:
        yield guarded
    finally:
        await unit_of_work.contexts.redis.aclose()


async def _times_ms(call: Callable[[], Awaitable[object]], calls: int) -> list[float]:
    """Milliseconds of each call, with the loop free for what goes on behind it in between."""
    times: list[float] = []
    for _ in range(calls):
        began = time.perf_counter()
        await call()
        times.append((time.perf_counter() - began) * 1e3)
        await asyncio.sleep(0)
    return times


async def _bare() -> int:
    return 1


async def _over_await_us(guarded: Call, calls: int) -> float:
    rounds = [(await _seconds(_bare, calls), await _seconds(guarded, calls)) for _ in range(ROUNDS)]
    return (min(guarded_s for _, guarded_s in rounds) - min(bare_s for bare_s, _ in rounds)) / calls * 1e6


async def _seconds(call: Call, calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        await call()
    return time.perf_counter() - began


async def _admitted(settings: Settings) -> int:
    """How many of many concurrent callers a breaker that is due for its probe lets through."""
    now_s = 0.0
    store = LocalBreakerStore(settings.breaker, clock=lambda: now_s, sample=random.random)
    breaker = store.of("half-open")
    while breaker.view().state is BreakerState.CLOSED:
        with suppress(OSError):
            await breaker.run(_broken)
    now_s += settings.breaker.open_s_max
    entered = 0
    all_asked = asyncio.Event()

    async def probe() -> int:
        nonlocal entered
        entered += 1
        await all_asked.wait()
        return 1

    callers = [asyncio.ensure_future(breaker.run(probe)) for _ in range(CALLERS)]
    await asyncio.sleep(0)
    all_asked.set()
    for ended in asyncio.as_completed(callers):
        with suppress(CallRefused):
            await ended
    return entered


async def _admitted_by(peer: Callable[[Call, float], Call]) -> int:
    """The same of another library, with a real and very short time until it may probe."""
    entered = 0
    broken = True
    all_asked = asyncio.Event()

    async def target() -> int:
        nonlocal entered
        if broken:
            raise OSError
        entered += 1
        await all_asked.wait()
        return 1

    guarded = peer(target, SHORT_S)
    for _ in range(PEER_FAILURES):
        await asyncio.gather(guarded(), return_exceptions=True)
    broken = False
    await asyncio.sleep(2 * SHORT_S)
    callers = [asyncio.ensure_future(guarded()) for _ in range(CALLERS)]
    for _ in range(CALLERS):  # each gets as far as it can
        await asyncio.sleep(0)
    all_asked.set()
    await asyncio.gather(*callers, return_exceptions=True)
    return entered


async def _broken() -> int:
    raise OSError


def _pybreaker(library: ModuleType, call: Call, open_s: float) -> Call:
    breaker = library.CircuitBreaker(fail_max=PEER_FAILURES, reset_timeout=open_s)

    async def guarded() -> int:
        with breaker.calling():
            return await call()

    return guarded


def _aiobreaker(library: ModuleType, call: Call, open_s: float) -> Call:
    breaker = library.CircuitBreaker(fail_max=PEER_FAILURES, timeout_duration=timedelta(seconds=open_s))
    return partial(breaker.call_async, call)


def _circuitbreaker(library: ModuleType, call: Call, open_s: float) -> Call:
    return library.CircuitBreaker(failure_threshold=PEER_FAILURES, recovery_timeout=open_s)(call)


def _purgatory(library: ModuleType, call: Call, open_s: float) -> Call:
    factory = library.AsyncCircuitBreakerFactory(default_threshold=PEER_FAILURES, default_ttl=open_s)

    async def guarded() -> int:
        async with await factory.get_breaker("bench"):
            return await call()

    return guarded


PEERS: dict[str, Callable[[ModuleType, Call, float], Call]] = {
    "pybreaker": _pybreaker,
    "aiobreaker": _aiobreaker,
    "circuitbreaker": _circuitbreaker,
    "purgatory": _purgatory,
}
"""Module name of each library, and a call guarded by it as its documentation shows; open time in seconds."""
