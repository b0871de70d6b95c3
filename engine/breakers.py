"""The breakers of one engine or one command: shared through ``redis.state``, or of this process where that is off.

Opened on first use. Breakers of stores are not here: one for Redis cannot live in Redis.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from configs.settings import Settings
from engine.contract import BreakerMoved, BreakerState, BreakerStore, BreakerView, Permit, Refusal, Report
from engine.once import Once
from engine.redis_state import StateRedis
from engine.resilience.local import LocalBreakerStore
from engine.resilience.script import BreakerScript
from engine.resilience.shared import SharedBreakerStore
from engine.resilience.shielded import StoreGuard
from memory.errors import BackendUnavailable

Listener = Callable[[BreakerMoved], None]


class Breakers:
    """``BreakerStore``; needs ``aclose``. ``stores`` holds the breaker of ``redis.state`` itself."""

    def __init__(
        self,
        settings: Settings,
        state: StateRedis,
        stores: LocalBreakerStore,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        self._settings = settings
        self._state = state
        self._stores = stores
        self._listeners = listeners
        self._missing = ""
        self._once: Once[BreakerStore] = Once(self._make)

    @property
    def degraded(self) -> str:
        """Why breakers are not shared right now; empty when they are, or are not meant to be."""
        store = self._once.peek()
        why = store.degraded if isinstance(store, SharedBreakerStore) else self._missing
        return f"each process is on its own: {why}" if why else ""

    async def open(self) -> None:
        """Open the state now instead of at the first call."""
        await self._once.get()

    async def acquire(self, subject: str, call_id: str) -> Permit | Refusal:
        """Ask leave for one call."""
        return await (await self._store()).acquire(subject, call_id)

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """Say how the call ended."""
        return await (await self._store()).report(permit, result)

    async def view(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Current state of each subject."""
        return await (await self._store()).view(subjects)

    async def force(self, subject: str, state: BreakerState, *, actor: str, reason: str) -> BreakerView:
        """Set a state by hand (B16). Raises ``BackendUnavailable`` when the shared state cannot be told."""
        return await (await self._store()).force(subject, state, actor=actor, reason=reason)

    async def subjects(self) -> tuple[str, ...]:
        """Every breaker that has been used lately, sorted."""
        return await (await self._store()).subjects()

    async def history(self, subject: str) -> tuple[BreakerMoved, ...]:
        """Its latest changes of state, oldest first."""
        return await (await self._store()).history(subject)

    async def aclose(self) -> None:
        """Send what has not been sent yet; before ``StateRedis.aclose``."""
        await self._once.settle()
        store = self._once.peek()
        if isinstance(store, SharedBreakerStore):
            await store.aclose()

    async def _store(self) -> BreakerStore:
        store = self._once.peek()
        if store is None:
            return await self._once.get()
        if isinstance(store, SharedBreakerStore) and store.degraded:
            self._state.missed()
        return store

    async def _make(self) -> BreakerStore:
        rules = self._settings.breaker
        if rules.shared:
            try:
                client = await self._state.client()
            except BackendUnavailable as exc:
                self._missing = str(exc)
            else:
                script = BreakerScript(client, rules, self._settings.redis, StoreGuard(self._stores))
                return SharedBreakerStore(
                    script, rules, clock=time.monotonic, sample=random.random, listeners=self._listeners
                )
        return LocalBreakerStore(rules, clock=time.monotonic, sample=random.random, listeners=self._listeners)
