"""The breakers of one engine or one command: shared through ``redis.state``, or of this process where that is off.

Opened on first use. Breakers of stores are not here: one for Redis cannot live in Redis.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from configs.settings import Settings
from engine.contract import BreakerMoved, BreakerState, BreakerStore, BreakerView, Permit, Refusal, Report
from engine.errors import InvalidInput
from engine.once import Once
from engine.redis_state import StateRedis
from engine.resilience.breaker import BY_HAND
from engine.resilience.local import LocalBreakerStore
from engine.resilience.script import BreakerScript
from engine.resilience.shared import SharedBreakerStore
from engine.resilience.shielded import StoreGuard
from memory.errors import BackendUnavailable

TEXT_CHARS = 200
"""Of who and why: they stand in a table and in every error of the route."""
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
        self._once: Once[SharedBreakerStore] = Once(self._share)
        self._own = LocalBreakerStore(
            settings.breaker, clock=time.monotonic, sample=random.random, listeners=listeners
        )
        self._looking: asyncio.Task[None] | None = None
        self._look_again_s = 0.0

    @property
    def degraded(self) -> str:
        """Why breakers are not shared right now; empty when they are, or are not meant to be."""
        store = self._once.peek()
        why = self._missing if store is None else store.degraded
        return f"each process is on its own: {why}" if why else ""

    async def open(self) -> None:
        """Open the state now instead of at the first call."""
        if self._settings.breaker.shared:
            await self._look()

    async def acquire(self, subject: str, call_id: str) -> Permit | Refusal:
        """Ask leave for one call."""
        return await (await self._store()).acquire(subject, call_id)

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """Say how the call ended."""
        return await (await self._store()).report(permit, result)

    async def view(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Current state of each subject."""
        return await (await self._store()).view(subjects)

    async def force(self, subject: str, state: BreakerState | str, *, actor: str, reason: str) -> BreakerView:
        """Set a state by hand (B16).

        Raises ``BackendUnavailable`` when the shared state cannot be told, ``InvalidInput`` for what is no such
        state and for texts that no table could show.
        """
        try:
            state = BreakerState(state)
        except ValueError:
            hint = f"one of {', '.join(sorted(BY_HAND))}"
            raise InvalidInput(f"no such state: {state!r:.40}", hint=hint, code="invalid_breaker_state") from None
        for name, text in (("actor", actor), ("reason", reason)):
            if len(text) > TEXT_CHARS or not text.isprintable():
                raise InvalidInput(
                    f"{name} must be one line of at most {TEXT_CHARS} printable characters", code=f"invalid_{name}"
                )
        return await (await self._store()).force(subject, state, actor=actor, reason=reason)

    async def subjects(self) -> tuple[str, ...]:
        """Every breaker that has been used lately, sorted."""
        return await (await self._store()).subjects()

    async def history(self, subject: str) -> tuple[BreakerMoved, ...]:
        """Its latest changes of state, oldest first."""
        return await (await self._store()).history(subject)

    async def aclose(self) -> None:
        """Send what has not been sent yet; before ``StateRedis.aclose``."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait((self._looking,))
        await self._once.settle()
        if (store := self._once.peek()) is not None:
            await store.aclose()

    async def _store(self) -> BreakerStore:
        store = self._once.peek()
        if store is not None:
            if store.degraded:
                self._state.missed()
            return store
        if not self._settings.breaker.shared:
            return self._own
        if not self._missing:
            await self._look()
        elif time.monotonic() >= self._look_again_s and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look())
        return self._once.peek() or self._own

    async def _look(self) -> None:
        """Open the shared state, or note why not and when to look again; until then this process is on its own."""
        try:
            await self._once.get()
        except BackendUnavailable as exc:
            self._missing = str(exc)
            self._look_again_s = time.monotonic() + self._settings.breaker.alone_s

    async def _share(self) -> SharedBreakerStore:
        client = await self._state.client()
        rules = self._settings.breaker
        script = BreakerScript(client, rules, self._settings.redis, StoreGuard(self._stores))
        return SharedBreakerStore(
            script, rules, clock=time.monotonic, sample=random.random, listeners=self._listeners
        )
