"""Keeps the roster of one replica and the shared registry the same (route.discover).

What is registered here works here at once and is sent in the background; what others registered arrives within
``registry.poll_s``. Python handlers stay in their process, others only hear where they run. While ``redis.state``
is gone everything goes on locally, ``degraded`` says so, and what was registered meanwhile is sent afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from types import MappingProxyType

from agents.errors import AgentNotUsable
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.errors import SwitchgearError
from configs.routing import RegistrySettings
from engine.errors import HandlerElsewhere
from engine.registry.contract import REMOVED, Changes, Full, Here, Registry, Seen, Taken
from engine.registry.stored import EntryUnreadable, decode, encode, same
from memory.errors import BackendUnavailable

BATCH = 16
"""So many entries are applied before others on the event loop get their turn: about a millisecond."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Put:
    capability: AgentCapability
    replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remove:
    pass


class RegistrySync:
    """One replica. Needs ``aclose``. Begins with ``start``, ``open`` or a registration, if ``registry.shared``."""

    def __init__(
        self,
        roster: Roster,
        registry: Callable[[], Awaitable[Registry]],
        settings: RegistrySettings,
        configured: Iterable[AgentCapability],
    ) -> None:
        """``registry`` opens the store, or raises ``BackendUnavailable``; ``configured``: agents of the files."""
        self._roster = roster
        self._open_registry = registry
        self._settings = settings
        self._configured = {capability.name: capability for capability in configured}
        self._replica = uuid.uuid4().hex
        self._seen = Seen()
        self._handlers: set[str] = set()
        self._waiting: dict[str, _Put | _Remove] = {}
        self._applied: dict[str, AgentCapability] = {}
        self._refused: dict[str, str] = {}
        self._skipped: dict[str, str] = {}
        self._elsewhere: Mapping[str, str] = MappingProxyType({})
        self._missing = ""
        self._opened: Registry | None = None
        self._opening = asyncio.Lock()
        self._closing = False
        self._wake = asyncio.Event()
        self._round = asyncio.Lock()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def degraded(self) -> str:
        """Why registrations are not shared, or which of them this release cannot read; empty when all is well."""
        if self._missing:
            return f"registrations stay in this process: {self._missing}"
        if self._skipped:
            return (
                f"shared agents left out: {'; '.join(f'{n}: {why}' for n, why in sorted(self._skipped.items()))}"
            )
        return ""

    @property
    def elsewhere(self) -> Mapping[str, str]:
        """Python handlers of other replicas, and one replica for each; nothing is routed to them from here."""
        return self._elsewhere

    def refuse_elsewhere(self, name: str) -> None:
        """For an agent asked for by name. Raises ``HandlerElsewhere`` if only another replica has it."""
        replica = self._elsewhere.get(name)
        if replica is not None and name not in self._roster.agents:
            raise HandlerElsewhere(name, replica)

    def registered(self, capability: AgentCapability, *, own_handler: bool, replace: bool) -> None:
        """The roster has a new agent: let the others have it, or know of its handler.

        A handler alone starts nothing: it is made known when something else does. Raises ``AgentNotUsable`` when
        the agent is too large to be shared; take it out of the roster again then.
        """
        name, size, most = capability.name, len(encode(capability)), self._settings.entry_bytes_max
        if not own_handler and size > most:
            raise AgentNotUsable(
                f"agent {name!r} has {size:,} bytes as JSON, at most {most:,} are shared",
                hint="give it fewer examples, or raise registry.entry_bytes_max",
            )
        self._refused.pop(name, None)
        if own_handler:
            self._handlers.add(name)
            self._waiting.pop(name, None)
            self._wake.set()
        else:
            self._handlers.discard(name)
            # Until the shared agents have been seen, what this process says is newer than what a run left.
            self._waiting[name] = _Put(capability=capability, replace=replace or self._seen == Seen())
            self.start()

    def unregistered(self, name: str) -> None:
        """The roster has lost an agent: the others shall lose it too.

        A handler was only this process's own; a shared agent of that name comes back in its place.
        """
        if name in self._handlers:
            self._handlers.discard(name)
            if name in self._applied:
                self._put(PromptedAgent(self._applied[name]))
            self._wake.set()
        else:
            self._waiting[name] = _Remove()
            self.start()

    def start(self) -> None:
        """Share in the background until ``aclose``; again and it looks at once. Needs a running loop."""
        self._wake.set()
        if self._settings.shared and not self._tasks:
            # In a context of their own: whoever starts them may be a request, with deadline and trace.
            self._tasks = tuple(
                asyncio.create_task(work, context=Context()) for work in (self._look(), self._listen())
            )
            for task in self._tasks:
                task.add_done_callback(_log_end)

    async def open(self) -> None:
        """Start, and come back when the shared agents are here or the store has turned out to be gone."""
        if self._settings.shared:
            self.start()
            await self.look()

    async def stored(self, name: str) -> None:
        """Wait until a registration or removal of this replica is in the shared registry.

        Raises ``AgentNotUsable`` when another replica was faster or the registry is full, ``BackendUnavailable``
        when it is not there now; it is sent later then.
        """
        while self._settings.shared and name in self._waiting:
            if not await self.look():
                raise BackendUnavailable("redis.state", self._missing)
        if name in self._refused:
            raise AgentNotUsable(self._refused.pop(name), hint="choose another name, or pass replace=True")

    async def look(self) -> bool:
        """Send what waits and take in what is new; whether the store was there."""
        async with self._round:
            try:
                registry = await self._registry()
                for name, change in list(self._waiting.items()):
                    await self._send(registry, name, change)
                here = Here(replica=self._replica, handlers=tuple(sorted(self._handlers)))
                changes = await registry.changes(self._seen, here)
            except SwitchgearError as exc:
                self._missing = exc.message
                return False
            self._missing = ""
            self._elsewhere = MappingProxyType(dict(changes.elsewhere))
            await self._take_in(changes)
            return True

    async def aclose(self) -> None:
        """Stop; send what waits, and let the others know that the handlers of this process are gone."""
        if not self._tasks:
            return
        self._closing = True  # a cancellation that meets the end of a call to Redis is lost before Python 3.12
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if self._waiting and not self._missing:
            await self.look()
        if self._opened is not None:
            with suppress(SwitchgearError):  # it will notice by itself that this replica is silent
                await self._opened.leave(self._replica)

    async def _look(self) -> None:
        while not self._closing:
            self._wake.clear()
            there = await self.look()
            if self._closing or (self._waiting and there):
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.poll_s if there else self._settings.retry_s):
                    await self._wake.wait()

    async def _listen(self) -> None:
        """Polling alone would do; hearing of a change makes it quick."""
        while not self._closing:
            try:
                registry = await self._registry()
                if await registry.announced(self._settings.poll_s):
                    self._wake.set()
            except SwitchgearError:
                await asyncio.sleep(self._settings.retry_s)

    async def _registry(self) -> Registry:
        """Opened once: it holds the connection that listens."""
        async with self._opening:
            if self._opened is None:
                self._opened = await self._open_registry()
            return self._opened

    async def _send(self, registry: Registry, name: str, change: _Put | _Remove) -> None:
        if isinstance(change, _Remove):
            await registry.remove(name, mark=name in self._configured)
            self._applied.pop(name, None)
        else:
            body = encode(change.capability)
            match await registry.put(name, body, replica=self._replica, replace=change.replace):
                case Taken(body=other) if other is None or not same(name, other, change.capability):
                    self._refuse(name, f"another replica has an agent {name!r} already")
                    if other is not None and self._waiting.get(name) is change:
                        del self._waiting[name]
                        self._take(name, other)
                case Full(entries=entries):
                    self._refuse(name, f"{entries} agents are shared, no more than registry.entries_max")
                case _:
                    self._applied[name] = change.capability
        if self._waiting.get(name) is change:  # not if it changed once more meanwhile
            del self._waiting[name]

    def _refuse(self, name: str, why: str) -> None:
        self._refused[name] = why
        log.warning("registration is not shared: %s", why)

    async def _take_in(self, changes: Changes) -> None:
        lost = bool(self._seen.epoch) and changes.seen.epoch != self._seen.epoch
        self._seen = changes.seen
        for name in [name for name in self._applied if changes.whole and name not in changes.entries]:
            if lost:
                # The store has forgotten everything: whoever still knows an agent puts it back.
                self._waiting.setdefault(name, _Put(capability=self._applied[name], replace=False))
                self._wake.set()
            else:
                self._take(name, None)
        for count, (name, body) in enumerate(changes.entries.items(), start=1):
            self._take(name, body)
            if count % BATCH == 0:
                await asyncio.sleep(0)

    def _take(self, name: str, body: bytes | None) -> None:
        """One entry of the shared registry becomes true here, unless this process knows better."""
        if name in self._waiting:
            return
        self._skipped.pop(name, None)
        if body is None or body == REMOVED:
            self._applied.pop(name, None)
            capability = self._configured.get(name) if body is None else None
            agent = None if capability is None else PromptedAgent(capability)
        else:
            try:
                agent = PromptedAgent(decode(name, body))
            except (EntryUnreadable, AgentNotUsable) as exc:
                self._skipped[name] = str(exc)
                log.warning("shared agent %r is left out: %s", name, exc)
                return
            self._applied[name] = agent.capability
        if name in self._handlers:
            return
        if agent is None:
            self._roster.unregister(name)
        else:
            self._put(agent)

    def _put(self, agent: PromptedAgent) -> None:
        """Change the roster only if that changes an agent: a new generation costs the router its table."""
        stands = self._roster.agents.get(agent.capability.name)
        if not isinstance(stands, PromptedAgent) or stands.capability != agent.capability:
            self._roster.register(agent, replace=True)


def _log_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("sharing of registrations ended: %s", type(error).__name__, exc_info=error)
