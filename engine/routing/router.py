"""The zero-shot router: reads the question, asks how the agents have been doing, lets the pure parts decide.

A thin shell (``engine.contract.Router``). Scores are in ``decide``, the chain in ``chain``, vectors of agents are
made here once per registration. Not the registry, which it only reads through ``AgentSource``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from configs.catalogue import AgentCapability
from configs.errors import ConfigError
from configs.settings import Settings
from engine.errors import EmbeddingInvalid, UnknownName
from engine.routing.chain import build_chain, models_of
from engine.routing.contract import AgentHealth, AgentSnapshot, AgentSource, Reading, Registered, TextEncoder
from engine.routing.decide import match
from engine.routing.encoder import DIMENSIONS
from engine.routing.select import rank
from engine.routing.table import AgentTable, Profile, anchor_texts, profile, stack
from engine.types import Decision, Leg, Request

UNREADABLE = Reading(vector=np.zeros(DIMENSIONS, dtype=np.float32), familiarity=0.0)
"""A question the encoder could not turn into a vector: only cues count (fault 45)."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A profile and the registration it was made from."""

    capability: AgentCapability
    profile: Profile


@dataclass(frozen=True, slots=True)
class _View:
    """One generation of the registry and its table; a request works on one of these from beginning to end."""

    snapshot: AgentSnapshot
    table: AgentTable


class ZeroShotRouter:
    """Routes by description, examples, cues and keywords (route.discover); nothing is trained.

    An agent registered before ``route`` is called takes part in it. Safe for any number of concurrent calls on
    one loop.
    """

    def __init__(
        self,
        settings: Settings,
        encoder: TextEncoder,
        agents: AgentSource,
        health: AgentHealth,
        unusable: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``unusable``: models that cannot be asked here, and why. A chain of nothing else is left as it is."""
        self._settings = settings
        self._encoder = encoder
        self._agents = agents
        self._health = health
        self._unusable = unusable
        self._roles = {role: _usable(chain, unusable) for role, chain in settings.roles.items()}
        self._known: dict[str, _Known] = {}
        self._view: _View | None = None
        self._refresh = asyncio.Lock()

    async def warm(self) -> None:
        """Load the encoder and make the vectors of every agent that is registered now."""
        await self._encoder.aread("")
        await self._current()

    async def route(self, request: Request) -> Decision:
        """See ``engine.contract.Router``.

        Raises ``UnknownName`` for an agent or model that does not exist, ``InvalidInput`` for models named for an
        agent that uses none, ``ConfigError`` when nothing could answer, ``ModelFileError``, ``EngineClosed``.
        """
        for model in request.models:
            if model not in self._settings.models:
                raise UnknownName("model", model, self._settings.models)
        if request.agent is None:
            return await self._choose(request)
        agents = self._agents().agents
        if request.agent not in agents:
            raise UnknownName("agent", request.agent, agents)
        return Decision(
            agent=request.agent,
            strategy="single",
            confidence=1.0,
            reason=f"{request.agent} was asked for by name.",
            legs=self._legs(request.agent, agents, request),
            skipped=self._skipped(agents[request.agent], request),
        )

    async def _choose(self, request: Request) -> Decision:
        routing = self._settings.routing
        view = await self._current()
        if not view.snapshot.agents:
            raise ConfigError("no agent is registered", hint="list agents in configs/agents or register one")
        reading = await self._read(request.question)
        shortlist = match(view.table, reading, request.question, routing)
        health = await self._health([m.agent for m in shortlist.matches])
        ranking = rank(shortlist, health, routing)
        return Decision(
            agent=ranking.agent,
            strategy="single",
            confidence=ranking.confidence,
            reason=ranking.reason,
            candidates=ranking.candidates,
            legs=self._legs(ranking.agent, view.snapshot.agents, request),
            skipped=self._skipped(view.snapshot.agents[ranking.agent], request),
            degraded=("router",) if reading is UNREADABLE else (),
        )

    def _legs(self, agent: str, agents: Mapping[str, Registered], request: Request) -> tuple[Leg, ...]:
        fallback = self._settings.routing.fallback_agents
        last = self._settings.chain.last_resort
        last_resort = None if last in self._unusable else last
        return build_chain(agent, agents, self._roles, fallback, request.models, last_resort)

    def _skipped(self, agent: Registered, request: Request) -> tuple[str, ...]:
        if request.models or agent.own_handler:
            return ()
        chain = models_of(agent, self._settings.roles)
        usable = models_of(agent, self._roles)
        return tuple(f"{model}: {self._unusable[model]}" for model in chain if model not in usable)

    async def _read(self, question: str) -> Reading:
        try:
            return await self._encoder.aread(question)
        except EmbeddingInvalid:
            return UNREADABLE

    async def _current(self) -> _View:
        """The registry as it is now. The first caller after a registration makes the vectors, others wait."""
        view = self._view
        if view is not None and view.snapshot.generation == self._agents().generation:
            return view
        async with self._refresh:
            snapshot = self._agents()
            view = self._view
            if view is None or view.snapshot.generation != snapshot.generation:
                view = _View(snapshot, await self._table(snapshot))
                self._view = view
            return view

    async def _table(self, snapshot: AgentSnapshot) -> AgentTable:
        routing = self._settings.routing
        for name, registered in snapshot.agents.items():
            capability = registered.capability
            known = self._known.get(name)
            if known is None or known.capability != capability:
                anchors = await self._encoder.aencode(anchor_texts(capability, routing))
                self._known[name] = _Known(capability, profile(capability, anchors, routing))
        self._known = {name: self._known[name] for name in snapshot.agents}
        profiles = (known.profile for known in self._known.values())
        return stack(snapshot.generation, profiles, routing.general_agent)


def _usable(chain: Sequence[str], unusable: Mapping[str, str]) -> tuple[str, ...]:
    """The models that can be asked; all of them when none can, so that the error names every reason."""
    return tuple(model for model in chain if model not in unusable) or tuple(chain)
