"""``bench breaker``: what a breaker adds to a healthy call, beside other libraries, and how many probe at once.

``over_await_us`` is the quickest round of guarded awaits minus the quickest of bare ones, in microseconds a call;
rounds of both alternate. Peers are measured when they are installed and are no dependency.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from types import ModuleType

from configs.kernel import Deadline, Outcome
from configs.settings import Settings
from engine.bench.report import Report, report
from engine.contract import BreakerState, Permit
from engine.contract import Report as CallEnd
from engine.resilience.errors import CallRefused
from engine.resilience.local import LocalBreakerStore
from engine.resilience.shield import Shield
from engine.resilience.shielded import StoreGuard

Call = Callable[[], Awaitable[int]]
ROUNDS = 15
CALLS = 20_000
CALLS_SLOW = 2_000
CALLERS = 100
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
    for name, guarded in PEERS.items():
        if find_spec(name) is not None:
            call = guarded(import_module(name))
            figures[f"peer.{name}.over_await_us"] = await _over_await_us(call, CALLS)
    missing = [name for name in PEERS if find_spec(name) is None]
    notes = (f"not installed, not measured: {', '.join(missing)}",) if missing else ()
    return report("breaker", figures, notes=notes)


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


async def _broken() -> int:
    raise OSError


def _pybreaker(library: ModuleType) -> Call:
    breaker = library.CircuitBreaker()

    async def guarded() -> int:
        with breaker.calling():
            return await _bare()

    return guarded


def _aiobreaker(library: ModuleType) -> Call:
    breaker = library.CircuitBreaker()
    return partial(breaker.call_async, _bare)


def _circuitbreaker(library: ModuleType) -> Call:
    return library.CircuitBreaker()(_bare)


def _purgatory(library: ModuleType) -> Call:
    factory = library.AsyncCircuitBreakerFactory()

    async def guarded() -> int:
        async with await factory.get_breaker("bench"):
            return await _bare()

    return guarded


PEERS: dict[str, Callable[[ModuleType], Call]] = {
    "pybreaker": _pybreaker,
    "aiobreaker": _aiobreaker,
    "circuitbreaker": _circuitbreaker,
    "purgatory": _purgatory,
}
"""Module name of each library, and a call guarded by it as its documentation shows."""
