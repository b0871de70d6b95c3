"""What the engine would answer with, as one digest: the part of every cache key that its operator controls.

Agents and their prompts, model chains, the models behind them. Change any of it and old answers are not read
again (cache.write: invalidation by agent version).
"""

from __future__ import annotations

from agents.contract import Agent
from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.settings import Settings
from engine.cache.fingerprint import digest, fingerprint
from engine.types import Request

GUARD = "none"
"""Version of the guard that passed a request. Entries written before there was one are never read after."""


class Policy:
    """The digest of a roster under settings, computed once per generation of the roster."""

    def __init__(self, roster: Roster, settings: Settings) -> None:
        self._roster = roster
        self._fixed = digest(
            (
                GUARD,
                settings.profile,
                *(f"{role}={' '.join(chain)}" for role, chain in sorted(settings.roles.items())),
                *(f"{name}={model.model_dump_json()}" for name, model in sorted(settings.models.items())),
                settings.routing.model_dump_json(),
                str(settings.request.max_tokens),
            )
        )
        self._generation = -1
        self._digest = ""

    def key_of(self, request: Request) -> str:
        """The cache key of ``request`` under the policy of this moment."""
        return fingerprint(request, policy=self.digest())

    def digest(self) -> str:
        """64 hex digits."""
        if self._generation != self._roster.generation:
            agents = self._roster.agents
            self._generation = self._roster.generation
            self._digest = digest((self._fixed, *(_identity(agents[name]) for name in sorted(agents))))
        return self._digest


def _identity(agent: Agent) -> str:
    prompt = agent.system_prompt if isinstance(agent, PromptedAgent) else type(agent).__name__
    return f"{agent.capability.model_dump_json()}\n{prompt}"
