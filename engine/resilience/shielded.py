"""Models, agents and stores behind a shield, each with the Protocol of what it wraps (brk.everywhere).

Nothing inside knows that it is wrapped. One ``ShieldedModel`` or ``ShieldedAgent`` per leg is cheap; give it a
``CallReport`` to learn what the leg needs for its ``Attempt``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from agents.contract import Agent, ChatModel, Chunk, ModelRef, Task
from agents.errors import CallFailed
from configs.catalogue import AgentCapability
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling
from configs.settings import BreakerSettings
from engine.cached import AnswerCache, CachedAnswer, CacheStats, Entry, Found, Lookup, Near, Observation, Place
from engine.contract import BreakerView, Refusal
from engine.resilience.attempt import CallReport
from engine.resilience.errors import CallRefused
from engine.resilience.local import Listener, LocalBreakerStore
from engine.resilience.routes import Route
from engine.resilience.shield import Shield

if TYPE_CHECKING:  # a shield needs no arrays
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")


class ShieldedModel:
    """``ChatModel`` whose calls raise ``LeafCallFailed`` and ``CallRefused`` only."""

    def __init__(
        self,
        model: ChatModel,
        shield: Shield,
        *,
        first_token_s: float | None = None,
        most: int | None = None,
        report: CallReport | None = None,
    ) -> None:
        """``first_token_s`` and ``most`` as in ``Route``."""
        self._model = model
        self._shield = shield
        self._route = Route(
            subject=model.ref.subject,
            credential=model.ref.credential_subject,
            first_token_s=first_token_s,
            most=most,
        )
        self._report = report

    @property
    def ref(self) -> ModelRef:
        """The identity of the route; its ``subject`` is the breaker's."""
        return self._model.ref

    def stream(
        self, messages: tuple[Message, ...], sampling: Sampling, deadline: Deadline
    ) -> AsyncGenerator[Chunk]:
        """Generate behind breaker, limits and retries."""
        return self._shield.stream(
            self._route,
            partial(self._model.stream, messages, sampling, deadline),
            deadline,
            report=self._report,
        )

    async def aclose(self) -> None:
        """Release the connections of the model."""
        await self._model.aclose()


class ShieldedAgent:
    """``Agent`` behind the breaker ``agent:<name>``: no retry, and only failures of its own count (B17)."""

    def __init__(self, agent: Agent, shield: Shield, *, report: CallReport | None = None) -> None:
        self._agent = agent
        self._shield = shield
        self._report = report

    @property
    def capability(self) -> AgentCapability:
        """What the agent is for."""
        return self._agent.capability

    @property
    def subject(self) -> str:
        """Key of the agent's breaker."""
        return agent_subject(self._agent.capability.name)

    def run(self, task: Task, model: ChatModel | None) -> AsyncGenerator[Chunk]:
        """Answer ``task``. ``model`` should be shielded, so that its failures are told from the agent's own."""
        return self._shield.outer(
            self.subject, partial(self._agent.run, task, model), task.deadline, report=self._report
        )


def agent_subject(name: str) -> str:
    """Breaker key of an agent."""
    return f"agent:{name}"


_failed: ContextVar[set[str] | None] = ContextVar("stores_that_failed", default=None)


@contextmanager
def one_failure_per_request() -> Generator[None]:
    """Within this block a store that has failed once is not asked again, so it costs one timeout at most (X7).

    Tasks started inside share the memory of it.
    """
    token = _failed.set(set())
    try:
        yield
    finally:
        _failed.reset(token)


def had_its_chance(subject: str) -> None:
    """Say that this request has waited for a call to ``subject`` that another request made, and that failed."""
    failed = _failed.get()
    if failed is not None:
        failed.add(subject)


def store_breakers(
    rules: BreakerSettings,
    *,
    clock: Callable[[], float],
    sample: Callable[[], float],
    listeners: tuple[Listener, ...] = (),
) -> LocalBreakerStore:
    """Breakers for ``StoreGuard``: the same rules, but never OPEN for longer than ``alone_s``.

    A model in trouble is given longer and longer; asking a store again costs one request one short timeout.
    """
    often = {"open_s": min(rules.open_s, rules.alone_s), "open_s_max": min(rules.open_s_max, rules.alone_s)}
    return LocalBreakerStore(rules.model_copy(update=often), clock=clock, sample=sample, listeners=listeners)


class StoreGuard:
    """A breaker and a timeout in front of a store; always local, since a shared one would live in the store."""

    def __init__(self, breakers: LocalBreakerStore) -> None:
        self._breakers = breakers

    async def __call__(self, subject: str, call: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Make one call to the store behind ``subject``.

        Raises ``CallRefused`` without a call, ``CallFailed`` on a timeout, and otherwise what the call raises.
        Whatever it raises counts against the store, except a ``CallFailed`` whose failure is neutral.
        """
        failed = _failed.get()
        breaker = self._breakers.of(subject)
        if failed is not None and subject in failed:
            raise CallRefused(_failed_already(breaker.view()))
        answered = False
        try:
            result = await breaker.run(partial(_within, timeout_s, call))
            answered = True
        finally:
            if not answered and failed is not None:
                failed.add(subject)
        return result


async def _within(timeout_s: float, call: Callable[[], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(timeout_s):
            return await call()
    except TimeoutError as exc:
        detail = f"no reply within {timeout_s:g} s"
        raise CallFailed(Failure(kind=FailureKind.IDLE_TIMEOUT, detail=detail)) from exc


def _failed_already(view: BreakerView) -> Refusal:
    return Refusal(
        subject=view.subject,
        state=view.state,
        generation=view.generation,
        retry_after_s=view.retry_after_s,
        reason="failed once in this request already",
    )


class ShieldedCache:
    """``AnswerCache`` behind a guard: a slow or dead cache costs one timeout, then nothing until it is back.

    At most ``places`` calls are with the store; the others wait in here, where waiting is nobody's failure.
    """

    def __init__(
        self, cache: AnswerCache, guard: StoreGuard, *, subject: str, timeout_s: float, places: int
    ) -> None:
        self._places = asyncio.Semaphore(places)
        self._cache = cache
        self._guard = guard
        self._subject = subject
        self._timeout_s = timeout_s

    async def get(self, lookup: Lookup) -> Found:
        """See ``AnswerCache``."""
        return await self._guarded(partial(self._cache.get, lookup))

    async def nearest(
        self, lookup: Lookup, vector: NDArray[np.float32], *, count: int, similarity_min: float
    ) -> tuple[Near, ...]:
        """See ``AnswerCache``."""
        call = partial(self._cache.nearest, lookup, vector, count=count, similarity_min=similarity_min)
        return await self._guarded(call)

    async def read(self, place: Place, *, epoch: str) -> CachedAnswer | None:
        """See ``AnswerCache``."""
        return await self._guarded(partial(self._cache.read, place, epoch=epoch))

    async def put(self, entry: Entry) -> bool:
        """See ``AnswerCache``."""
        return await self._guarded(partial(self._cache.put, entry))

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """See ``AnswerCache``."""
        await self._guarded(partial(self._cache.touch, hits))

    async def observe(self, place: Place, observation: Observation) -> None:
        """See ``AnswerCache``."""
        await self._guarded(partial(self._cache.observe, place, observation))

    async def delete(self, places: tuple[Place, ...]) -> int:
        """See ``AnswerCache``."""
        return await self._guarded(partial(self._cache.delete, places))

    async def entries(self) -> AsyncIterator[Entry]:
        """See ``AnswerCache``. Each step to the next entry is a call of its own."""
        entries = self._cache.entries()
        while (entry := await self._guarded(partial(_following, entries))) is not None:
            yield entry

    async def bump(self, owner: str) -> str:
        """See ``AnswerCache``."""
        return await self._guarded(partial(self._cache.bump, owner))

    async def stats(self) -> CacheStats:
        """See ``AnswerCache``."""
        return await self._guarded(self._cache.stats)

    async def _guarded(self, call: Callable[[], Awaitable[T]]) -> T:
        async with self._places:
            return await self._guard(self._subject, call, self._timeout_s)


async def _following(entries: AsyncIterator[Entry]) -> Entry | None:
    return await anext(entries, None)
