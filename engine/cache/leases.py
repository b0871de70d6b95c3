"""Leases: who of several replicas makes a call (cache.flight). The Protocol, its twin in memory, and its guard.

A lease is advice, not a lock: losing one costs a second call and never a wrong answer, so nothing here has to
survive a failover. ``redis_leases.py`` is what replicas share.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

U = TypeVar("U")


class Leases(Protocol):
    """At most one holder per key until the lease ends. Raises ``BackendUnavailable`` or ``CallFailed``."""

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """A token that nobody can guess, or ``None`` while somebody else holds the lease."""
        ...

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Let it last ``lease_s`` from now; ``False``: it has ended, and perhaps somebody else holds it."""
        ...

    async def release(self, key: str, token: str) -> None:
        """End it, if it is still the one of ``token``."""
        ...


class InMemoryLeases:
    """``Leases`` of one process, for tests of several replicas in it. ``now_s`` is a monotonic clock."""

    def __init__(self, *, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._held: dict[str, tuple[str, float]] = {}

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """A token, or ``None`` while somebody else holds the lease."""
        if self._token(key) is not None:
            return None
        token = uuid.uuid4().hex
        self._held[key] = (token, self._now_s() + lease_s)
        return token

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Whether it was still there to be renewed."""
        if self._token(key) != token:
            return False
        self._held[key] = (token, self._now_s() + lease_s)
        return True

    async def release(self, key: str, token: str) -> None:
        """End it, if it is still the one of ``token``."""
        if self._token(key) == token:
            del self._held[key]

    def _token(self, key: str) -> str | None:
        token, ends_s = self._held.get(key, ("", 0.0))
        return token if self._now_s() < ends_s else None


class Guard(Protocol):
    """``engine.resilience.shielded.StoreGuard``: breaker and timeout in front of a store."""

    async def __call__(self, subject: str, call: Callable[[], Awaitable[U]], timeout_s: float) -> U:
        """Make the call, or raise ``CallFailed`` or what the call raises."""
        ...


class GuardedLeases:
    """``Leases`` behind a guard. At most ``places`` calls are with the store; the others wait in here."""

    def __init__(self, leases: Leases, guard: Guard, *, subject: str, timeout_s: float, places: int) -> None:
        self._places = asyncio.Semaphore(places)
        self._leases = leases
        self._guard = guard
        self._subject = subject
        self._timeout_s = timeout_s

    async def take(self, key: str, *, lease_s: float) -> str | None:
        """A token, or ``None`` while somebody else holds the lease."""
        return await self._call(partial(self._leases.take, key, lease_s=lease_s))

    async def renew(self, key: str, token: str, *, lease_s: float) -> bool:
        """Whether it was still there to be renewed."""
        return await self._call(partial(self._leases.renew, key, token, lease_s=lease_s))

    async def release(self, key: str, token: str) -> None:
        """End it, if it is still the one of ``token``."""
        await self._call(partial(self._leases.release, key, token))

    async def _call(self, call: Callable[[], Awaitable[U]]) -> U:
        async with self._places:
            return await self._guard(self._subject, call, self._timeout_s)
