"""The first and last thing every request meets: limits, then the answer cache; afterwards, the cache write.

One plain async component with two callers: ``Engine.execute`` (so that a hit never pays for a graph) and the
served graph's first node. It knows the cache by its Protocols only; without one every request is a declared miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from configs.errors import SwitchgearError
from configs.kernel import Tier
from engine.cached import AnswerCache, CachedAnswer, Entry, Found, Lookup, Match, Paraphrases, Place, Sharing
from engine.errors import NotBuilt
from engine.types import Request

NOTHING_NEAR = Match(answer=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A request that may proceed. ``hit`` ends it here; ``degraded`` names what was missing."""

    request: Request
    lookup: Lookup | None
    """``None``: the cache is not to be asked, or cannot be."""
    hit: CachedAnswer | None
    degraded: tuple[str, ...] = ()
    flight: str = ""
    """Key of the flight it may take, whether or not the cache can be asked; empty: it goes alone."""

    @property
    def may_share(self) -> bool:
        """An answer that is there already would do."""
        return self.lookup is not None and self.request.cache == "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """What the gateway asks."""

    store: AnswerCache
    paraphrases: Paraphrases | None
    used: Callable[[Place], None]
    """Told of every hit; returns at once."""


class Gateway:
    """Admission and both tiers. ``lookup_of`` gives a request's places under the engine's current policy.

    ``missing`` is what every answer has to declare as degraded, because it was not there at the start.
    """

    def __init__(
        self, tiers: Tiers | None, lookup_of: Callable[[Request], Lookup], missing: tuple[str, ...] = ()
    ) -> None:
        self._tiers = tiers
        self._lookup_of = lookup_of
        self._missing = missing
        self._writes: dict[str, asyncio.Task[bool]] = {}

    async def admit(self, request: Request) -> Admitted:
        """Let ``request`` in, with its exact answer if there is one.

        Raises ``NotBuilt`` for principals whose tier has limits that this release cannot enforce: an unmetered
        free tier would be a silent promise broken.
        """
        if request.principal.tier is not Tier.LOCAL:
            raise NotBuilt(f"tier {request.principal.tier.value!r} with its rate limit and budget", "admit.rate")
        if self._tiers is None or request.cache == "off":
            return Admitted(request=request, lookup=None, hit=None, degraded=self._missing)
        lookup = self._lookup_of(request)
        if request.cache == "refresh" and not lookup.remembers:
            return Admitted(request=request, lookup=lookup, hit=None)
        try:
            found = await self._look(self._tiers, lookup)
        except SwitchgearError:
            return Admitted(
                request=request, lookup=None, hit=None, degraded=("cache",), flight=_flight(request, lookup)
            )
        hit = None if request.cache == "refresh" else found.answer
        known = replace(lookup, epoch=found.epoch)
        return Admitted(request=request, lookup=known, hit=hit, flight=_flight(request, known))

    async def again(self, admitted: Admitted) -> CachedAnswer | None:
        """The exact answer if it has come meanwhile, for all who fly along. Raises what the store raises."""
        if self._tiers is None or admitted.lookup is None:
            return None
        return (await self._look(self._tiers, admitted.lookup.landing)).answer

    async def near(self, admitted: Admitted) -> Match:
        """The verified answer to a paraphrase; a cache that is gone by now is a miss."""
        if self._tiers is None or self._tiers.paraphrases is None or admitted.lookup is None:
            return NOTHING_NEAR
        try:
            match = await self._tiers.paraphrases.find(admitted.lookup, admitted.request.question)
        except SwitchgearError:
            return Match(answer=None, unreachable=True)
        if match.answer is not None and match.place is not None:
            self._tiers.used(match.place)
        return match

    def keep(self, admitted: Admitted, answer: CachedAnswer, *, sharing: Sharing, ttl_s: int) -> None:
        """Store a fresh answer off the request path.

        A repeat in this process waits for the write, so it always finds it. A cache that is down costs nothing
        but the entry.
        """
        lookup = admitted.lookup
        if self._tiers is None or lookup is None:
            return
        if self._lookup_of(admitted.request).own != lookup.own:
            return  # an agent was replaced meanwhile: nobody knows whose answer this is
        place = lookup.shared if sharing == "shared" and lookup.shared is not None else lookup.own
        entry = Entry(place=place, answer=answer, ttl_s=ttl_s, epoch=lookup.epoch)
        before = self._writes.get(place.key)
        task = asyncio.create_task(self._put(self._tiers, entry, before))
        self._writes[place.key] = task
        task.add_done_callback(lambda done: self._written(place.key, done))

    async def written(self, admitted: Admitted) -> None:
        """Wait until what is being stored for this request is there, or could not be stored."""
        if admitted.lookup is not None:
            await self._settled(admitted.lookup)

    async def drain(self) -> None:
        """Wait for the writes under way."""
        if self._writes:
            await asyncio.wait(self._writes.values())

    async def _look(self, tiers: Tiers, lookup: Lookup) -> Found:
        await self._settled(lookup)
        found = await tiers.store.get(lookup)
        if found.place is not None:
            tiers.used(found.place)
        return found

    async def _settled(self, lookup: Lookup) -> None:
        pending = [task for place in lookup.places if (task := self._writes.get(place.key)) is not None]
        if pending:
            await asyncio.wait(pending)

    def _written(self, key: str, done: asyncio.Task[bool]) -> None:
        if self._writes.get(key) is done:
            del self._writes[key]

    @staticmethod
    async def _put(tiers: Tiers, entry: Entry, before: asyncio.Task[bool] | None) -> bool:
        if before is not None:  # the younger answer is the one that stays
            await asyncio.wait((before,))
        try:
            question = None
            if tiers.paraphrases is not None and not entry.answer.refused:
                question = await tiers.paraphrases.packed(entry.answer.question)
            return await tiers.store.put(replace(entry, question=question))
        except SwitchgearError:
            return False


def _flight(request: Request, lookup: Lookup) -> str:
    """Key of the flight; empty for who wants an answer of its own."""
    if request.cache != "default":
        return ""
    # What is refused for its priority is refused for nobody else's; a memory write ends what the old one made.
    return f"{lookup.flight}:{'' if lookup.common else lookup.epoch}:{request.priority}"
