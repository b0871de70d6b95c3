"""Afterwards: whether what the semantic cache served, or did not dare to, was right (cache.bound).

A share of its hits is answered afresh in the background and compared; and where the bound kept a verified answer
back, the fresh one that was given instead is compared for free. What comes of it is counted for all replicas and
remembered with the entry. Nobody waits for any of it, and nothing of it fails a request.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from configs.errors import SwitchgearError
from configs.kernel import Deadline
from configs.settings import Settings
from engine.cache.agree import Text, agree
from engine.cache.bounded import Bound
from engine.cache.tally_sync import TallySync
from engine.cached import AnswerCache, CachedAnswer, Match
from engine.types import SHADOW, Answer, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What a check needs."""

    store: AnswerCache
    bound: Bound
    tallies: TallySync
    encode: Callable[[Sequence[str]], Awaitable[NDArray[np.float32]]]
    again: Callable[[Request], Awaitable[Answer]]
    """Answers a request as if for a caller."""


class Shadows:
    """``engine.fresh.Watch`` of one engine. Needs ``aclose``."""

    def __init__(self, checks: Checks, settings: Settings) -> None:
        self._checks = checks
        self._settings = settings
        self._work: set[asyncio.Task[None]] = set()

    def exact(self, hit: CachedAnswer | None) -> None:
        """Count an exact lookup."""
        result, agent = ("miss", "") if hit is None else ("hit", hit.decision.agent)
        self._checks.tallies.looked("exact", result, agent)

    def looked(self, match: Match) -> None:
        """Count a semantic lookup."""
        self._checks.bound.looked(match.verdict, _agent(match))

    def served(self, request: Request, match: Match) -> None:
        """See ``Watch``."""
        if self._checks.bound.shadows():
            self._start(self._answer_again(request, match))

    def answered(self, match: Match, answer: Answer) -> None:
        """See ``Watch``."""
        if self._checks.bound.wants(match.verdict):
            self._start(self._compare(match, answer))

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._work:
            task.cancel()
        if self._work:
            await asyncio.wait(self._work)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """At most a few at once; what comes on top is not checked."""
        if len(self._work) >= self._settings.cache.bound.checks_max:
            work.close()
            return
        # In a context of its own: a check is nobody's child, and what it loses is no failure of the request.
        task = asyncio.create_task(work, context=contextvars.Context())
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _answer_again(self, request: Request, match: Match) -> None:
        deadline_s = self._settings.request.deadline_s if request.deadline_s is None else request.deadline_s
        shadow = replace(
            request,
            id=uuid.uuid4().hex,
            deadline=Deadline.after(deadline_s, now_s=time.monotonic()),
            cache="off",
            priority="low",
            on_unavailable="error",
            webhook=None,
            idempotency_key=None,
            tags={**request.tags, SHADOW: request.id},
        )
        try:
            answer = await self._checks.again(shadow)
        except SwitchgearError:
            return
        await self._compare(match, answer)

    async def _compare(self, match: Match, answer: Answer) -> None:
        stored, verdict, place = match.stored, match.verdict, match.place
        if stored is None or verdict is None or place is None or answer.degraded or answer.truncated:
            return
        try:
            vectors = await self._checks.encode((answer.text, stored.text))
            fresh, kept = Text(text=answer.text, vector=vectors[0]), Text(text=stored.text, vector=vectors[1])
            agreement = agree(fresh, kept, self._settings.cache.bound)
            observation = self._checks.bound.compared(verdict, _agent(match), agreement)
            if observation is not None:
                await self._checks.store.observe(place, observation)
        except SwitchgearError:
            return  # it was one of many


def _agent(match: Match) -> str:
    return "" if match.stored is None else match.stored.decision.agent
