"""The registry as a router works on it: one table and one set of reaches per generation.

Vectors of an agent are made once per registration, by the first caller after it; others wait for that. Not the
registry, which is only read through ``AgentSource``, and not a decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from configs.catalogue import AgentCapability
from configs.routing import RoutingSettings
from engine.routing.constraints import Reach, Reaches, grouped
from engine.routing.contract import AgentSnapshot, AgentSource, Registered, TextEncoder
from engine.routing.table import AgentTable, Profile, anchor_texts, profile, stack


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One generation; a request works on one of these from beginning to end."""

    snapshot: AgentSnapshot
    table: AgentTable
    reaches: Reaches


@dataclass(frozen=True, slots=True)
class _Known:
    """A profile and the registration it was made from."""

    capability: AgentCapability
    profile: Profile


class Views:
    """The views of one router, one at a time."""

    def __init__(
        self,
        settings: RoutingSettings,
        encoder: TextEncoder,
        agents: AgentSource,
        reach: Callable[[Registered], Reach],
    ) -> None:
        """``reach`` says what a registered agent can be used for."""
        self._settings = settings
        self._encoder = encoder
        self._agents = agents
        self._reach = reach
        self._known: dict[str, _Known] = {}
        self._view: View | None = None
        self._refresh = asyncio.Lock()

    async def current(self) -> View:
        """The registry as it is now. Raises ``ModelFileError``, ``EmbeddingInvalid``, ``EngineClosed``."""
        view = self._view
        if view is not None and view.snapshot.generation == self._agents().generation:
            return view
        async with self._refresh:
            snapshot = self._agents()
            view = self._view
            if view is None or view.snapshot.generation != snapshot.generation:
                view = View(snapshot=snapshot, table=await self._table(snapshot), reaches=self._reaches(snapshot))
                self._view = view
            return view

    def _reaches(self, snapshot: AgentSnapshot) -> Reaches:
        return grouped({name: self._reach(registered) for name, registered in snapshot.agents.items()})

    async def _table(self, snapshot: AgentSnapshot) -> AgentTable:
        for name, registered in snapshot.agents.items():
            capability = registered.capability
            known = self._known.get(name)
            if known is None or known.capability != capability:
                anchors = await self._encoder.aencode(anchor_texts(capability, self._settings))
                self._known[name] = _Known(capability, profile(capability, anchors, self._settings))
        self._known = {name: self._known[name] for name in snapshot.agents}
        profiles = [known.profile for known in self._known.values()]
        # Some milliseconds for a thousand agents.
        return await asyncio.to_thread(stack, profiles, self._settings.general_agent)
