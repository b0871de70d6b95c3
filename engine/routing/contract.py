"""What the router expects of the things around it. Protocols and their values, no implementation.

``engine/routing/thread.py`` implements ``TextEncoder`` over MiniLM, ``engine/routing/inmemory.py`` is its twin
without a model; ``agents`` keeps the registry behind ``AgentSource``; the composition root brings ``AgentHealth``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from configs.catalogue import AgentCapability
from configs.kernel import Principal
from engine.types import Averages

Vectors = NDArray[np.float32]
"""Unit vectors, one per row; a single one has one dimension."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One question as the encoder sees it."""

    vector: Vectors
    """Shape (384,), length 1; all zeros when the encoder could not read the text (fault 45)."""
    familiarity: float
    """0 to 1: how much of the text is in a language the encoder knows."""
    cut: bool = False
    """The encoder did not read all of it: texts that differ behind the cut have the same vector."""


class TextEncoder(Protocol):
    """Text to unit vectors, off the event loop. The same text gives the same vector, alone or in any batch."""

    async def aencode(self, texts: Sequence[str]) -> Vectors:
        """One row per text, shape (len(texts), 384).

        Raises ``ModelFileError``, ``EmbeddingInvalid``, ``EngineClosed``.
        """
        ...

    async def aread(self, text: str) -> Reading:
        """Vector and familiarity of one text. Raises the same."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """An agent as the registry holds it."""

    capability: AgentCapability
    own_handler: bool = False
    """Answers by its own code, without a model of ``roles``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSnapshot:
    """Every agent at one moment. ``generation`` changes with each registration and removal."""

    generation: int
    agents: Mapping[str, Registered]


AgentSource = Callable[[], AgentSnapshot]
AgentHealth = Callable[[Sequence[str]], Awaitable[Mapping[str, Averages]]]
"""How agents have been doing, by name; one never used may be left out (B17)."""


class Spending(Protocol):
    """How much of today's budget is gone (route.adapt). The ledger knows; ``spending.NoBudget`` has none."""

    async def share(self, principal: Principal) -> float:
        """0 with nothing spent or no budget at all, 1 when everything is spent, more beyond it. Never raises: a
        ledger that cannot be asked says 0 here and refuses where money is reserved.
        """
        ...
