"""What an operator does with the answer cache: look, search, explain, invalidate, export (``switchgear cache``).

Not on any request's path. Nothing is deleted by mistake: ``invalidate`` has to be told whether it is a dry run.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from engine.cache.paraphrase import Judge, Read
from engine.cache.question import Question, unpack
from engine.cache.selection import Selection, selects
from engine.cached import AnswerCache, CacheStats, Entry, Lookup, Place
from engine.errors import InvalidInput
from engine.types import Request, Verdict
from memory.errors import BackendUnavailable

PAGE = 256
"""Entries deleted in one call of the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidated:
    """What a selection came to."""

    count: int
    """Entries deleted, or that would be."""
    dry_run: bool
    examples: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A stored question near one that was looked up, and what verification says of the pair."""

    question: str
    verdict: Verdict
    agent: str
    answer: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheDesk:
    """Operators' view of one engine's cache. Raises ``BackendUnavailable`` where there is none."""

    store: AnswerCache | None
    read: Read
    judge: Callable[[], Awaitable[Judge]]
    lookup_of: Callable[[Request], Lookup]
    why_none: str = "the cache is switched off"

    async def stats(self) -> CacheStats:
        """Entries, memory, hits."""
        return await self._store().stats()

    async def explain(self, asked: str, stored: str) -> Verdict:
        """Whether an answer to ``stored`` may be served to ``asked``, and which rule says so.

        Raises ``InvalidInput`` for an empty text.
        """
        judge = await self.judge()
        for text in (asked, stored):
            if not text.strip():
                raise _unreadable(text)
            if await self.read(text) is None:
                return _unknown_language(text, stored)
        return judge(await self._question(asked), await self._question(stored))

    async def near(self, request: Request, limit: int) -> tuple[Neighbour, ...]:
        """Stored questions that this request might be served from, nearest first, whatever their cosine."""
        asked, judge = await self._question(request.question), await self.judge()
        store, lookup, found = self._store(), self.lookup_of(request), list[Neighbour]()
        lookup = replace(lookup, epoch=(await store.get(lookup)).epoch)
        for near in await store.nearest(lookup, asked.vector, count=limit, similarity_min=-1.0):
            stored = unpack(near.question)
            answer = await store.read(near.place, epoch=lookup.epoch)
            if stored is None or answer is None:
                continue
            verdict = judge(asked, stored)
            age_s = max(0.0, time.time() - answer.stored_at_s)
            found.append(
                Neighbour(
                    question=stored.text,
                    verdict=verdict,
                    agent=answer.decision.agent,
                    answer=answer.text,
                    age_s=age_s,
                )
            )
        return tuple(found)

    async def entries(self, selection: Selection) -> AsyncIterator[Entry]:
        """Every entry that ``selection`` means; with an empty one, every entry."""
        wanted = Selection(everything=True) if selection.is_empty else selection
        async for entry in self._store().entries():
            if selects(wanted, entry, now_s=time.time()):
                yield entry

    async def invalidate(self, selection: Selection, *, dry_run: bool, examples: int) -> Invalidated:
        """Delete what ``selection`` means, or only count it. Raises ``InvalidInput`` for an empty selection."""
        if selection.is_empty:
            raise InvalidInput(
                "nothing says which entries to forget",
                hint="name a tag, an agent, an age, a text or a user, or say that you mean everything",
                code="empty_selection",
            )
        store, shown, page, count = self._store(), list[Entry](), list[Place](), 0
        async for entry in self.entries(selection):
            if len(shown) < examples:
                shown.append(entry)
            if dry_run:
                count += 1
                continue
            page.append(entry.place)
            if len(page) == PAGE:
                count += await store.delete(tuple(page))
                page.clear()
        if page:
            count += await store.delete(tuple(page))
        return Invalidated(count=count, dry_run=dry_run, examples=tuple(shown))

    async def _question(self, text: str) -> Question:
        question = await self.read(text) if text.strip() else None
        if question is None:
            raise _unreadable(text)
        return question

    def _store(self) -> AnswerCache:
        if self.store is None:
            raise BackendUnavailable("redis.cache", self.why_none)
        return self.store


def _unreadable(text: str) -> InvalidInput:
    return InvalidInput(
        f"the encoder cannot read {text[:32]!r}",
        hint="write a sentence in a language that it knows",
        code="unreadable_question",
    )


def _unknown_language(text: str, stored: str) -> Verdict:
    """What is not read is not looked for by meaning, and so never served to another question."""
    detail = f"the encoder does not know the language of {text[:32]!r}, or it is too long for it"
    return Verdict(
        accepted=False,
        rule="language",
        detail=detail,
        similarity=0.0,
        probability=None,
        threshold=1.0,
        question=stored,
    )
