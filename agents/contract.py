"""What an agent and a model are to the rest of the engine. No implementation.

``agents/model.py`` implements ``ChatModel`` over langchain-openai, ``agents/scripted.py`` is its deterministic
twin; ``agents/prompted.py`` and ``agents/handler.py`` implement ``Agent``. ``engine/resilience/shielded.py``
wraps both behind the same Protocols.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Protocol

from configs.catalogue import AgentCapability
from configs.kernel import Deadline, Message, Sampling, Usage
from configs.ratelimit_headers import RateLimits

NO_CREDENTIAL = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef:
    """Which model behind which credential: the identity a breaker, a price and a decision record share."""

    id: str
    provider: str
    model: str
    credential: str
    """Name of the key variable, or ``NO_CREDENTIAL``; never the key."""

    @property
    def subject(self) -> str:
        """Breaker key: provider + model + credential (brk.everywhere)."""
        return f"model:{self.provider}/{self.model}#{self.credential}"

    @property
    def credential_subject(self) -> str | None:
        """Key of the credential's own breaker, which all its models share; ``None`` for servers without keys."""
        return None if self.credential == NO_CREDENTIAL else f"credential:{self.provider}#{self.credential}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One piece of a streamed answer. The last one carries ``usage`` and ``finish_reason``.

    One without text says that the model is at work. One with ``usage`` but no ``finish_reason`` comes right before
    a failure that has to be paid for: what was reported or produced until then.
    """

    text: str = ""
    usage: Usage | None = None
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What an agent is asked to do, by when, and how much it may write."""

    messages: tuple[Message, ...]
    sampling: Sampling
    deadline: Deadline
    request_id: str


HearLimits = Callable[[str, RateLimits], None]
"""Told for every answer of a provider that says what is left of its limits: model id, and what it said. Must not
raise."""


class ChatModel(Protocol):
    """One model route. Foreign exceptions never escape: every failure is ``agents.errors.CallFailed``."""

    @property
    def ref(self) -> ModelRef:
        """The identity of this route."""
        ...

    def stream(
        self, messages: tuple[Message, ...], sampling: Sampling, deadline: Deadline
    ) -> AsyncGenerator[Chunk]:
        """Generate an answer piece by piece. Closing the iterator closes the upstream connection."""
        ...

    async def aclose(self) -> None:
        """Release the connections of this route."""
        ...


class Agent(Protocol):
    """Something that answers a task. Raises ``agents.errors.CallFailed`` and nothing else of its own."""

    @property
    def capability(self) -> AgentCapability:
        """What this agent is for; the router reads it."""
        ...

    def run(self, task: Task, model: ChatModel | None) -> AsyncGenerator[Chunk]:
        """Answer ``task`` through ``model``; agents with their own handler get ``None``."""
        ...
