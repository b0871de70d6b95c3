"""What memory is to the rest of the engine: recall before an answer, remember after it. No implementation.

``memory/absent.py`` is the deny-by-default twin and all there is in this release; the three tiers (mem.hot,
mem.warm, mem.cold) come behind the same Protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from configs.kernel import Deadline, Message, Principal

MemoryTier = Literal["hot", "warm", "cold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One remembered piece of text, and where it came from (mem.recall)."""

    text: str
    tier: MemoryTier
    source: str
    """Id of the exchange, document or entity behind it."""
    score: float
    """Relevance in [0, 1]; snippets of one recollection are ordered by it, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """What came back, best first and without duplicates, within the budget that was asked for."""

    snippets: tuple[Snippet, ...] = ()
    missing: tuple[MemoryTier, ...] = ()
    """Tiers that could not be asked: the answer is ``degraded``, not wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One finished question and answer of one principal."""

    principal: Principal
    messages: tuple[Message, ...]
    answer: str
    request_id: str
    thread_id: str | None = None
    agent: str
    at_s: float
    """Unix time of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The exchange is kept."""

    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotRemembered:
    """The exchange is not kept, and why. A value, because forgetting is an ordinary outcome of a write gate."""

    request_id: str
    reason: str


class Memory(Protocol):
    """All tiers behind one door. Tenant and user are in the signature, so that no store can be asked without them.

    Raises ``memory.errors.BackendUnavailable`` only when no tier at all can be asked.
    """

    async def recall(
        self, principal: Principal, question: str, *, thread_id: str | None, token_budget: int, deadline: Deadline
    ) -> Recollection:
        """What ``principal`` should be reminded of for ``question``, at most ``token_budget`` tokens of it."""
        ...

    async def remember(self, exchange: Exchange) -> Remembered | NotRemembered:
        """Keep an exchange, or say why not."""
        ...
