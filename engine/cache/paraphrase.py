"""The semantic tier: the nearest stored questions, each verified before its answer is served (cache.semantic).

The shell around what decides: ``verdict`` (guard and verifier) and ``bound`` (how sure is sure enough), both pure.
It reads the question once, through whoever shares readings, and asks the store for neighbours and for the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from configs.caching import SemanticSettings
from engine.cache.question import Question, pack, unpack
from engine.cached import AnswerCache, Lookup, Match, Near, Observation
from engine.types import Verdict

Read = Callable[[str], Awaitable[Question | None]]
"""A question as the encoder sees it; ``None`` when it cannot, not in full, or does not know the language."""
Ask = Callable[[str, str], Awaitable[bool]]
"""Whether a model says that both ask the same; ``False`` when it cannot be asked."""


class Judge(Protocol):
    """Guard and verifier, loaded."""

    def __call__(self, asked: Question, stored: Question) -> Verdict:
        """Whether the stored question asks the same."""
        ...


class Sure(Protocol):
    """The error bound at this moment (cache.bound)."""

    def __call__(self, verdict: Verdict, observations: tuple[Observation, ...], agent: str) -> Verdict:
        """``verdict``, or the refusal that the bound makes of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What decides."""

    judge: Callable[[], Awaitable[Judge]]
    sure: Sure
    ask: Ask | None
    """About the grey zone."""


class VerifiedParaphrases:
    """``Paraphrases`` over a store."""

    def __init__(self, cache: AnswerCache, read: Read, verified: Verified, settings: SemanticSettings) -> None:
        self._cache = cache
        self._read = read
        self._verified = verified
        self._settings = settings

    async def packed(self, question: str) -> bytes | None:
        """See ``Paraphrases``."""
        read = await self._read(question)
        return None if read is None else pack(read)

    async def find(self, lookup: Lookup, question: str) -> Match:
        """See ``Paraphrases``."""
        asked = await self._read(question)
        if asked is None:
            return Match(answer=None)
        near = await self._cache.nearest(
            lookup, asked.vector, count=self._settings.candidates, similarity_min=self._settings.similarity_min
        )
        if not near:
            return Match(answer=None)
        judge = await self._verified.judge()
        refused, grey = Match(answer=None), list[tuple[Near, Verdict]]()
        for one in near:
            stored = unpack(one.question)
            if stored is None:
                continue
            verdict = judge(asked, stored)
            if verdict.grey and not verdict.accepted:
                grey.append((one, verdict))
            match = await self._match(lookup, one, verdict)
            if match.answer is not None:
                return match
            refused = _likelier(refused, match)
        return await self._in_doubt(lookup, question, grey, refused)

    async def _in_doubt(
        self, lookup: Lookup, question: str, grey: list[tuple[Near, Verdict]], refused: Match
    ) -> Match:
        """After a model was asked about the likeliest of what is nearly sure, where one is to be asked."""
        # In entries that others can write, a stored text could talk a model into anything.
        own = [(near, verdict) for near, verdict in grey if near.place.owner == lookup.own.owner]
        if self._verified.ask is None or not own:
            return refused
        near, verdict = max(own, key=lambda one: one[1].probability or 0.0)  # a call each would outlast the answer
        same = await self._verified.ask(question, verdict.question)
        said = replace(verdict, accepted=same, rule="accepted" if same else "model", detail="a model was asked")
        match = await self._match(lookup, near, said)
        return refused if match.verdict is None else match

    async def _match(self, lookup: Lookup, near: Near, verdict: Verdict) -> Match:
        """What comes of one candidate; an answer that has gone is none."""
        if not verdict.accepted:
            return Match(answer=None, place=near.place, verdict=verdict)
        stored = await self._cache.read(near.place, epoch=lookup.epoch)
        if stored is None:
            return Match(answer=None)
        final = self._verified.sure(verdict, near.observations, stored.decision.agent)
        return Match(answer=stored if final.accepted else None, place=near.place, verdict=final, stored=stored)


def _likelier(one: Match, other: Match) -> Match:
    """Of two refusals the one that was nearer to a hit; the first when nobody can tell."""
    return other if one.verdict is None or _probability(other) > _probability(one) else one


def _probability(match: Match) -> float:
    verdict = match.verdict
    return -1.0 if verdict is None or verdict.probability is None else verdict.probability
