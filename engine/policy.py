"""What the engine would answer with, as one digest: the part of every cache key that its operator controls.

Agents and their prompts, model chains, the models and servers behind them, the encoder. Change any of it and old
answers are not read again (cache.write: invalidation by agent version).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from agents.contract import Agent
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.settings import Settings
from engine.cache.fingerprint import Under, digest, lookup_of
from engine.cache.freshness import about_now
from engine.cache.guard.language import language_of
from engine.cached import Lookup
from engine.types import PERSONAL, Request

GUARD = "none"
"""Version of the guard that passed a request. Entries written before there was one are never read after."""


class Policy:
    """The digest of a roster under settings, computed once per generation of the roster."""

    def __init__(self, roster: Roster, settings: Settings, unusable: Mapping[str, str], head: str) -> None:
        """``head``: digest of the trained head's card, or nothing."""
        self._roster = roster
        self._experiments = bool(settings.experiments)
        self._fallbacks = settings.routing.fallback_agents
        self._fixed = digest(
            (
                GUARD,
                settings.profile,
                head,
                " ".join(sorted(unusable)),
                *(f"{role}={' '.join(chain)}" for role, chain in sorted(settings.roles.items())),
                *(f"{name}={model.model_dump_json()}" for name, model in sorted(settings.models.items())),
                *(f"{name}={server.model_dump_json()}" for name, server in sorted(settings.providers.items())),
                settings.encoder.model_dump_json(),
                str(settings.embedded.model_context),
                settings.routing.model_dump_json(),
                *(f"{role}={policy.model_dump_json()}" for role, policy in sorted(settings.policies.items())),
                *(experiment.model_dump_json() for experiment in settings.experiments),
                str(settings.request.max_tokens),
            )
        )
        self._generation = -1
        self._digest = ""
        self._registrations: dict[str, tuple[Agent, str]] = {}

    def lookup_of(self, request: Request) -> Lookup:
        """Where the answer to ``request`` may lie under the policy of this moment."""
        agents = self._roster.agents
        asked = [agent for name, agent in agents.items() if request.agent in (None, name)]
        standing_by = [agents[name] for name in self._fallbacks if name in agents]
        live = about_now(request.question)
        # What one arm of an experiment got is not the other's; live and personal answers are nobody else's.
        nobody = live or request.data_class in PERSONAL or self._experiments
        under = Under(
            policy=self.digest(),
            language=language_of(request.question),
            live=live,
            shareable=any(_shares(agent) for agent in asked) and not nobody,
            common=bool(asked) and all(_shares(agent) for agent in (*asked, *standing_by)) and not nobody,
        )
        return lookup_of(request, under)

    def key_of(self, request: Request) -> str:
        """The exact key of the user's own answer, which tells requests apart in the history."""
        return self.lookup_of(request).own.key

    def version_of(self, agent: str) -> str:
        """Digest of an agent's registration, for the provenance of its answers; empty without that agent."""
        self.digest()
        known = self._registrations.get(agent)
        return "" if known is None else digest((known[1],))

    def digest(self) -> str:
        """64 hex digits."""
        if self._generation != self._roster.generation:
            agents = self._roster.agents
            self._generation = self._roster.generation
            self._registrations = {name: (agents[name], self._version(name, agents[name])) for name in agents}
            versions = (f"{name}={version}" for name, (_, version) in sorted(self._registrations.items()))
            self._digest = digest((self._fixed, *versions))
        return self._digest

    def _version(self, name: str, agent: Agent) -> str:
        capability = agent.capability.model_dump_json()
        if isinstance(agent, PromptedAgent):
            return f"{capability}\n{agent.system_prompt}"
        if agent.capability.version:
            return capability
        # What code would answer, only the code knows: every registration counts as another agent.
        known = self._registrations.get(name)
        return known[1] if known is not None and known[0] is agent else uuid.uuid4().hex


def _shares(agent: Agent) -> bool:
    return agent.capability.context_free and not agent.capability.live
