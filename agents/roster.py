"""The agents that exist right now. Readers get an unchanging picture; writers replace it as a whole.

Not a router: who answers which question is decided elsewhere, from this.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import TypeAdapter, ValidationError

from agents.contract import Agent
from agents.errors import AgentNotUsable
from configs.catalogue import AgentCapability
from configs.settings import Name

NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True, slots=True)
class RosterView:
    """The agents of one moment by name; ``generation`` grows by one with every change."""

    generation: int
    agents: Mapping[str, Agent]


class Roster:
    """A live registry. Reading takes no lock and never sees half a change; writing is safe from any thread."""

    def __init__(self, agents: Iterable[Agent] = ()) -> None:
        """Raises ``AgentNotUsable`` as ``register`` does."""
        self._writing = threading.Lock()
        self._view = RosterView(0, MappingProxyType({}))
        for agent in agents:
            self.register(agent)

    @property
    def view(self) -> RosterView:
        """Agents and generation that belong together."""
        return self._view

    @property
    def agents(self) -> Mapping[str, Agent]:
        """The agents by name, as they are now; later changes do not show in it."""
        return self._view.agents

    @property
    def generation(self) -> int:
        """Grows by one with every change."""
        return self._view.generation

    def register(self, agent: Agent, *, replace: bool = False) -> None:
        """Add ``agent`` under its capability's name, or put it in the place of the one that has it.

        Raises ``AgentNotUsable`` for a name that cannot be one or that is taken, and for what is no agent.
        """
        name = _name_of(agent)
        with self._writing:
            if name in self._view.agents and not replace:
                raise AgentNotUsable(
                    f"there is an agent {name!r} already", hint="choose another name, or pass replace=True"
                )
            self._change({**self._view.agents, name: agent})

    def unregister(self, name: str) -> bool:
        """Remove an agent; whether there was one."""
        with self._writing:
            if name not in self._view.agents:
                return False
            self._change({key: agent for key, agent in self._view.agents.items() if key != name})
            return True

    def _change(self, agents: dict[str, Agent]) -> None:
        """Callers hold the lock."""
        self._view = RosterView(self._view.generation + 1, MappingProxyType(agents))


def _name_of(agent: object) -> str:
    capability = getattr(agent, "capability", None)
    if not isinstance(capability, AgentCapability) or not callable(getattr(agent, "run", None)):
        raise AgentNotUsable(
            f"{type(agent).__name__} is not an agent", hint="it needs a capability and a run method"
        )
    try:
        return NAME.validate_python(capability.name)
    except ValidationError:
        raise AgentNotUsable(
            f"{str(capability.name)[:64]!r} cannot be the name of an agent",
            hint="lower-case letters, digits and _.-, beginning with a letter, at most 64",
        ) from None
