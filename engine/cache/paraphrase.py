"""The semantic tier: the nearest stored questions, each verified before its answer is served (cache.semantic).

The shell around what decides: ``verdict`` (guard and verifier) and ``bound`` (how sure is sure enough), both pure.
It reads the question once, through whoever shares readings, and asks the store for neighbours and for the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from configs.caching import SemanticSettings
from engine.cache.question import Question, pack, unpack
from engine.cached import AnswerCache, Lookup, Match, Near, Observation
from engine.types import Verdict

Read = Callable[[str], Awaitable[Question | None]]
"""A question as the encoder sees it; ``None`` when it cannot, or does not know the language."""
Ask = Callable[[str, str], Awaitable[bool]]
"""Whether a model says that both ask the same; ``False`` when it cannot be asked."""


class Judge(Protocol):
    """Guard and verifier, loaded."""

    def __call__(self, asked: Question, stored: Sequence[Question]) -> Sequence[Verdict]:
        """One verdict per stored question, in order."""
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
        known = [(one, stored) for one in near if (stored := unpack(one.question)) is not None]
        if not known:
            return Match(answer=None)
        judge = await self._verified.judge()
        verdicts = judge(asked, [stored for _, stored in known])
        judged = zip(known, verdicts, strict=True)
        return await self._best(lookup, asked, [(near, stored, verdict) for (near, stored), verdict in judged])

    async def _best(
        self, lookup: Lookup, asked: Question, candidates: list[tuple[Near, Question, Verdict]]
    ) -> Match:
        """The first that may be served, likeliest first; else what the best one was refused for."""
        candidates.sort(key=lambda c: -(c[2].probability if c[2].probability is not None else -1.0))
        refused: Match | None = None
        for near, stored, verdict in candidates:
            # In entries that others can write, a stored text could talk a model into anything.
            ask = self._verified.ask if near.place.owner == lookup.own.owner else None
            match = await self._match(lookup, near, await _asked(asked.text, stored.text, verdict, ask))
            if match is not None and match.answer is not None:
                return match
            refused = refused or match
        return refused or Match(answer=None)

    async def _match(self, lookup: Lookup, near: Near, verdict: Verdict) -> Match | None:
        """What comes of one candidate; ``None``: its answer has gone."""
        if not verdict.accepted:
            return Match(answer=None, place=near.place, verdict=verdict)
        stored = await self._cache.read(near.place, epoch=lookup.epoch)
        if stored is None:
            return None
        final = self._verified.sure(verdict, near.observations, stored.decision.agent)
        return Match(answer=stored if final.accepted else None, place=near.place, verdict=final, stored=stored)


async def _asked(asked: str, stored: str, verdict: Verdict, ask: Ask | None) -> Verdict:
    """``verdict``, after a model was asked where that is due."""
    said = replace(verdict, question=stored)
    if verdict.accepted or not verdict.grey or ask is None:
        return said
    same = await ask(asked, stored)
    return replace(said, accepted=same, rule="accepted" if same else "model", detail="a model was asked")
