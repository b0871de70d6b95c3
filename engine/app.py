"""The public API: ``async with Engine.open("local") as engine: answer = await engine.execute("…")``.

Thin by design. What a request goes through is in ``engine.run``; which concrete parts an engine is made of, in
``engine.compose``; ``engine.sync`` is the twin for scripts and notebooks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from redis.asyncio import Redis

from configs.catalogue import AgentCapability
from configs.environment import read_environment
from configs.errors import SwitchgearError
from configs.load import load_settings
from configs.settings import Settings
from engine.ask import AskOptions, Prompt, ask
from engine.batch import answer_all
from engine.cache_desk import CacheDesk
from engine.compose import open_parts
from engine.contract import BreakerState, BreakerView
from engine.desk import TicketDesk
from engine.errors import AllRoutesUnavailable, EngineClosed, InvalidInput, RequestQueued
from engine.events import Emit, Event
from engine.history.contract import History
from engine.parts import Parts
from engine.resilience.shielded import agent_subject
from engine.subjects import configured, refuse_unknown
from engine.ticket import Ticket
from engine.types import Answer, Decision, Request
from memory.errors import BackendUnavailable

if TYPE_CHECKING:
    from agents.handler import AnyHandler


class Engine:
    """A running engine. Get one from ``Engine.open``; safe for any number of concurrent requests on one loop."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open = True
        self._working: set[asyncio.Task[Answer]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        profile: str | None = None,
        *,
        config_file: Path | None = None,
        settings: Settings | None = None,
        preload: bool = False,
    ) -> AsyncGenerator[Engine]:
        """Start an engine and stop it at the end of the block.

        ``profile`` is ``local``, ``budget``, ``balanced`` or ``premium``; ``settings`` skips all files. Stores
        that are not there make the engine degraded, not absent: see ``degraded``. With ``preload`` the models
        are loaded before the block is entered. Raises ``ConfigError``.
        """
        environ = await asyncio.to_thread(read_environment)
        chosen = settings
        if chosen is None:
            chosen = await asyncio.to_thread(load_settings, profile, config_file, environ)
        async with open_parts(chosen, environ) as parts:
            engine = cls(parts)
            try:
                if preload:
                    await engine.preload()
                yield engine
            finally:
                await engine._close()

    @property
    def settings(self) -> Settings:
        """The frozen configuration this engine runs on."""
        return self._parts.settings

    @property
    def agents(self) -> tuple[AgentCapability, ...]:
        """Every agent that can be routed to now, by name."""
        return tuple(agent.capability for _, agent in sorted(self._parts.roster.agents.items()))

    @property
    def degraded(self) -> Mapping[str, str]:
        """What is missing right now, and why."""
        return self._parts.degraded_now()

    @property
    def cache_client(self) -> Redis | None:
        """The client of ``redis.cache``, for operators' scripts and benchmarks; ``None`` without a cache."""
        return self._parts.cache_client

    @property
    def cache(self) -> CacheDesk:
        """The answer cache as operators see it: stats, entries, explain, invalidate."""
        return self._parts.cache

    @property
    def history(self) -> History | None:
        """What is kept of requests; ``None`` when ``history.enabled`` is off."""
        return self._parts.history

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Agents whose Python handlers only other replicas have, and one replica for each."""
        return self._parts.fleet.registry.elsewhere

    @property
    def desk(self) -> TicketDesk:
        """Tickets: put, get, wait, cancel, and work on them."""
        if not self._open:
            raise _closed()
        return self._parts.desk

    async def breakers(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Breakers by key, as ``switchgear breakers`` lists them.

        ``agent:<name>``, ``model:<provider>/<model>#<credential>`` and ``credential:<provider>#<name of its key>``
        are shared by all replicas, ``store:<name>`` is this process's own.
        """
        return await self._parts.breaker_views(subjects)

    async def force_breaker(
        self,
        subject: str,
        state: BreakerState | Literal["forced_open", "forced_closed", "disabled", "closed"],
        *,
        actor: str,
        reason: str = "",
    ) -> BreakerView:
        """Force one open or closed, disable it, or give control back (``closed``), for all replicas (B16).

        ``actor`` and ``reason`` stay in its history. Raises ``InvalidInput`` for other states, without an
        ``actor`` and for texts that are too long, ``UnknownName`` for a key nobody has, ``BackendUnavailable``
        when the shared state cannot be told.
        """
        known = {*configured(self.settings), *map(agent_subject, self._parts.roster.agents)}
        await refuse_unknown(subject, known, self._parts.breakers)
        return await self._parts.breakers.force(subject, state, actor=actor, reason=reason)

    async def cache_version(self) -> str:
        """Ask the cache's server for its version. Raises ``BackendUnavailable`` with the reason."""
        return await self._parts.cache_version()

    async def execute(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Answer:
        """Answer one prompt: text, or messages of the form ``{"role": …, "content": …}``.

        Raises ``InvalidInput``, ``NotBuilt``, ``AllRoutesUnavailable``, ``RejectedByModel``, ``DeadlineExceeded``;
        instead of ``AllRoutesUnavailable``, with ``on_unavailable="queue"``: ``RequestQueued`` or ``QueueFull``.
        """
        work = self._begin(await self._request(prompt, options), None)
        try:
            return await work
        except asyncio.CancelledError:
            if work.cancelled() and not self._open:
                raise _closed() from None
            work.cancel()
            await asyncio.wait((work,))
            raise

    async def stream(self, prompt: Prompt, **options: Unpack[AskOptions]) -> AsyncGenerator[Event]:
        """The same as a stream of events, ending with ``Final``; closing it cancels the work.

        After the first ``Token`` there is no silent switch to another route: a break raises ``AnswerInterrupted``.
        """
        request = await self._request(prompt, options)
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        work = self._begin(request, events.put_nowait)
        work.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            if work.cancelled() and not self._open:
                raise _closed()
            await work
        finally:
            work.cancel()
            await asyncio.wait((work,))
            if not work.cancelled():
                work.exception()  # its consumer has left: nobody else will look at it

    async def execute_batch(
        self,
        prompts: Sequence[Prompt],
        *,
        concurrency: int | None = None,
        on_done: Callable[[int, int], None] | None = None,
        **options: Unpack[AskOptions],
    ) -> list[Answer | SwitchgearError]:
        """Answer many prompts, at most ``concurrency`` at once, in the order given.

        A prompt that fails leaves its error in its place and does not stop the others. ``on_done(done, total)``
        is called after each.
        """
        if prompts:  # what is wrong with the options is wrong for all
            probe = prompts[0] if isinstance(prompts[0], str) and prompts[0].strip() else "?"
            await self._request(probe, options)
        return await answer_all(
            [partial(self.execute, prompt, **options) for prompt in prompts],
            self.settings.request,
            concurrency=concurrency,
            on_done=on_done,
        )

    async def enqueue(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Ticket:
        """Queue one prompt without trying it now; this engine works on the queue from then on (run.queue).

        Raises ``InvalidInput``, ``NotBuilt``, ``QueueFull``, ``BackendUnavailable``.
        """
        request = await self._request(prompt, options)
        if not self.settings.queue.enabled:
            raise InvalidInput("the queue is switched off", hint="set queue.enabled", code="queue_disabled")
        return await self.desk.put(request, delay_s=0.0)

    async def ticket(self, ticket_id: str) -> Ticket:
        """A queued request as it stands. Raises ``UnknownTicket``, ``BackendUnavailable``."""
        if not isinstance(ticket_id, str):  # pyright: ignore[reportUnnecessaryIsInstance] - callers without types
            raise InvalidInput(f"a ticket id is a text, not {type(ticket_id).__name__}", code="invalid_ticket_id")
        return await self.desk.get(ticket_id)

    async def tickets(self, limit: int) -> tuple[Ticket, ...]:
        """At most ``limit`` tickets of all replicas: open ones, then final ones, newest first."""
        return await self.desk.latest(limit)

    async def route(self, prompt: Prompt, **options: Unpack[AskOptions]) -> Decision:
        """Who would answer, and why, without asking anyone."""
        request = await self._request(prompt, options)
        router = await self._parts.router()
        return await router.preview(request)

    def register_agent(
        self, capability: AgentCapability, handler: AnyHandler | None = None, *, replace: bool = False
    ) -> None:
        """Make an agent routable at once (route.discover).

        ``handler`` is the caller's own async function, async generator, LangChain Runnable or compiled graph; it
        gets a breaker like every other agent. Without one the capability's ``prompt`` and ``role`` answer through
        a model. An agent without a handler is known to all replicas within ``registry.poll_s``, outlives them for
        ``registry.keep_s`` and is replaced by what a process registers when it starts. From any thread.
        Raises ``AgentNotUsable``, ``EngineClosed``.
        """
        if not self._open:
            raise _closed()
        self._parts.register(capability, handler, replace)

    def unregister_agent(self, name: str) -> bool:
        """Take an agent out of routing; requests already with it finish. Whether there was one.

        On all replicas, also for one that their configuration names, until somebody registers it again. A handler
        is taken out of this process alone.
        """
        if not self._open:
            raise _closed()
        return self._parts.unregister(name)

    async def preload(self, on_step: Callable[[str], None] | None = None) -> None:
        """Load everything a first question would wait for: router, graph, local model (serve.preload)."""
        await self._parts.preload(on_step)

    def _begin(self, request: Request, emit: Emit | None) -> asyncio.Task[Answer]:
        """Start answering in a task of its own: the engine can end it, and no span leaks into a consumer."""
        work = asyncio.create_task(self._answer(request, emit))
        self._working.add(work)
        work.add_done_callback(self._working.discard)
        return work

    async def _answer(self, request: Request, emit: Emit | None) -> Answer:
        try:
            return await self._parts.run.answer(request, emit)
        except AllRoutesUnavailable as exc:
            if request.on_unavailable != "queue":
                raise
            pause_s = max(exc.retry_after_s or 0.0, self.settings.queue.retry_s)
            try:
                ticket = await self._parts.desk.put(request, delay_s=pause_s)
            except BackendUnavailable as gone:
                exc.hint = f"{exc.hint}; it could not be queued: {gone.message}"
                raise exc from gone
            raise RequestQueued(ticket) from exc

    async def _close(self) -> None:
        """Refuse new requests and end those under way; whoever waits for one gets ``EngineClosed``."""
        self._open = False
        working = tuple(self._working)
        for work in working:
            work.cancel()
        if working:
            await asyncio.wait(working)

    async def _request(self, prompt: Prompt, options: AskOptions) -> Request:
        if not self._open:
            raise _closed()
        if isinstance(agent := options.get("agent"), str):
            await self._parts.look_for(agent)
        return await ask(prompt, options, self.settings, self._parts.roster.agents)


def _closed() -> EngineClosed:
    return EngineClosed("this engine has been closed", hint="ask inside `async with Engine.open(…)`")
