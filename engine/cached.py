"""What the answer cache holds and what it is asked. Values and Protocols; ``engine/cache`` implements them.

One record serves both tiers: found by its exact key, or among the nearest questions of its scope. Everything that
an answer depends on is hashed into the scope, and stands in the record again, so that what a store hands out by
mistake is not believed (cache.scope, fault 46).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from configs.kernel import Usage
from engine.types import Attempt, Decision, Verdict

if TYPE_CHECKING:  # an exact hit needs no arrays
    import numpy as np
    from numpy.typing import NDArray

Sharing = Literal["user", "shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the answer to one question lies."""

    owner: str
    """32 hex digits: a user of a tenant, or what the tenant shares. The hard partition."""
    scope: str
    """64 hex digits over the owner and everything an answer depends on but the question itself."""
    key: str
    """64 hex digits over the scope and the normalised question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One request as the cache sees it."""

    own: Place
    shared: Place | None
    """``None`` when no agent that could answer is declared ``context_free``."""
    common: bool = False
    """Whoever answers is ``context_free``: the tenant's users may wait for one and the same answer."""
    epoch: str = ""
    """Of the user's memory, as the store last told it; empty without memory. Every memory write changes it."""
    remembers: bool = False
    """The engine has memory, so the epoch has to be asked for."""

    @property
    def places(self) -> tuple[Place, ...]:
        """Own first."""
        return (self.own,) if self.shared is None else (self.own, self.shared)

    @property
    def landing(self) -> Lookup:
        """Where an answer may lie that everybody aboard one flight may have."""
        if not self.common or self.shared is None:
            return self
        return Lookup(own=self.shared, shared=None, common=True)

    @property
    def flight(self) -> str:
        """Identical misses under it are one call (cache.flight)."""
        return self.shared.key if self.common and self.shared is not None else self.own.key


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Where an entry comes from (cache.write)."""

    by: str
    """32 hex digits: the user whose request it answered."""
    tenant: str
    """32 hex digits."""
    agent: str
    agent_version: str
    """Digest of the agent's registration."""
    request_id: str
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    live: bool = False
    """From live data, or about now: it expires fast and is nobody else's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """A stored answer with what is needed to explain it."""

    text: str
    decision: Decision
    model: str | None
    usage: Usage
    stored_at_s: float
    """Unix time; for people and for invalidation by age, never for expiry (the store's TTL decides)."""
    question: str = ""
    """As it was asked; what a paraphrase is compared with."""
    provenance: Provenance | None = None
    refused: tuple[Attempt, ...] = ()
    """Not empty: no answer but a model's own refusal, to be raised again (negative caching)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of the store."""

    place: Place
    answer: CachedAnswer
    ttl_s: int
    epoch: str = ""
    question: bytes | None = None
    """``engine.cache.question.pack``: what verification needs. ``None``: found by its exact key only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an exact lookup came back with."""

    answer: CachedAnswer | None
    place: Place | None = None
    """Where it was found."""
    epoch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Whether serving an entry to a paraphrase was, or would have been, right."""

    score: float
    """The verifier's probability for the pair, in [0, 1]."""
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A stored question that is close to the one asked."""

    place: Place
    similarity: float
    """Cosine, computed from the stored vector and not from the index's approximation."""
    question: bytes
    observations: tuple[Observation, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """The store in figures."""

    entries: int
    vectors: int
    owners: int
    bytes_used: int
    bytes_max: int
    """0: no limit."""
    hits: int
    """Counted since the store is empty, over all replicas, at most once."""
    evicted: int
    damaged: int
    """Records deleted because they were corrupt, old or foreign (fault 46); counted as ``hits`` are."""


class AnswerCache(Protocol):
    """Where answers are kept, by owner and scope. Raises ``BackendUnavailable`` when it cannot be asked.

    A corrupt, old or foreign record is deleted, logged and a miss, wherever it is met (fault 46).
    """

    async def get(self, lookup: Lookup) -> Found:
        """The answer at one of the places of ``lookup``, own first, in one round trip.

        An entry of another epoch than the user's is a miss. With ``remembers`` the epoch comes along, and a store
        that has lost it starts a new one.
        """
        ...

    async def nearest(
        self, lookup: Lookup, vector: NDArray[np.float32], *, count: int, similarity_min: float
    ) -> tuple[Near, ...]:
        """At most ``count`` stored questions in the scopes of ``lookup``, nearest first."""
        ...

    async def read(self, place: Place, *, epoch: str) -> CachedAnswer | None:
        """The answer at ``place``."""
        ...

    async def put(self, entry: Entry) -> bool:
        """Store; ``False`` when it is too large, its question is no vector, or its writer is over the quota.

        The least recently used entries of the owner make room.
        """
        ...

    async def touch(self, hits: Mapping[Place, int]) -> None:
        """Count hits, in one round trip; for the order of eviction and for people."""
        ...

    async def observe(self, place: Place, observation: Observation) -> None:
        """Remember how a paraphrase of this entry went; the latest ones are kept. Nothing where it has gone."""
        ...

    async def delete(self, places: tuple[Place, ...]) -> int:
        """Forget entries; how many there were."""
        ...

    def entries(self) -> AsyncIterator[Entry]:
        """Every entry, in no order, in pages; what comes or goes meanwhile may be missed. For operators."""
        ...

    async def bump(self, owner: str) -> str:
        """The owner's memory was written: a new epoch, never one that was there before."""
        ...

    async def stats(self) -> CacheStats:
        """For operators."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a semantic lookup came to."""

    answer: CachedAnswer | None
    place: Place | None = None
    """Of the answer, or of the best candidate that was refused."""
    verdict: Verdict | None = None
    """Of the best candidate; ``None`` when nothing was near."""
    stored: CachedAnswer | None = None
    """Its answer, served or kept back by the bound; ``None`` where verification had refused before."""
    unreachable: bool = False
    """The store could not be asked."""


class Paraphrases(Protocol):
    """Answers to questions that were asked in other words (cache.semantic)."""

    async def find(self, lookup: Lookup, question: str) -> Match:
        """The verified answer among the nearest ones. Raises ``BackendUnavailable``; an encoder that cannot be
        loaded is a miss, said in ``degraded``.
        """
        ...

    async def packed(self, question: str) -> bytes | None:
        """What is stored beside an answer so that paraphrases find it; ``None``: only its own words will."""
        ...
