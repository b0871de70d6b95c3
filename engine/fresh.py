"""An answer that nobody has yet: the semantic tier, else the graph; then what the cache keeps of it.

Runs once for all who ask the same at the same moment (``engine.cache.flight``): nothing here depends on who waits.
The exact tier came before (``engine.gateway``), remembering comes after (``engine.aftermath``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

from configs.caching import CacheSettings
from configs.catalogue import AgentCapability
from engine.cache.may_store import Ended, Keep, may_store, may_store_refusal
from engine.cached import CachedAnswer, Match, Provenance
from engine.concluded import answer_of, conclude, pieces, record_of, refusal_of
from engine.contract import Ledger
from engine.errors import DeadlineExceeded, RejectedByModel
from engine.events import Degraded, Emit, Routed, Token
from engine.gateway.gateway import NOTHING_NEAR, Admitted, Gateway
from engine.state import RunInput, RunState
from engine.types import PERSONAL, Answer, Attempt, Decision, Request, Verdict

Drive = Callable[[RunInput, Emit | None], Awaitable[RunState]]
"""``engine.pipeline.drive`` with its graph: importing that module takes 2 s, and an exact hit never needs it."""
GRACE_S = 0.5
"""The legs keep the deadline themselves; this much later the whole run is cut."""


@dataclass(slots=True)
class Seen:
    """What is known of a run when it ends, however it ends."""

    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    key: str = ""


class Watch(Protocol):
    """Whoever counts lookups and checks afterwards what the semantic tier did (cache.bound).

    Returns at once, never raises.
    """

    def exact(self, hit: CachedAnswer | None) -> None:
        """What the exact tier had."""
        ...

    def looked(self, match: Match) -> None:
        """What the semantic tier had."""
        ...

    def served(self, request: Request, match: Match) -> None:
        """``match`` was served for ``request``."""
        ...

    def answered(self, match: Match, answer: Answer) -> None:
        """A fresh ``answer`` was made where ``match`` was near and not served."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What is asked before an answer is stored."""

    settings: CacheSettings
    agent: Callable[[str], tuple[AgentCapability | None, bool]]
    """An agent as it is registered now, and whether it answers by its own code."""
    provenance: Callable[[Request, str, bool], Provenance]
    """Of an answer by the agent of that name; the flag says whether it is from live data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """Makes answers for one engine."""

    gateway: Gateway
    pipeline: Callable[[], Awaitable[Drive]]
    ledger: Ledger
    keeping: Keeping
    watch: Watch

    async def near(self, admitted: Admitted) -> Match:
        """What the semantic tier has. Of personal data nothing is stored, so nothing is looked for."""
        if not admitted.may_share or admitted.request.data_class in PERSONAL:
            return NOTHING_NEAR
        match = await self.gateway.near(admitted)
        self.watch.looked(match)
        return match

    def served(self, admitted: Admitted, match: Match, trace_id: str) -> Answer | None:
        """The answer that ``match`` is, if it is one."""
        if match.answer is None:
            return None
        self.watch.served(admitted.request, match)
        verdict = _told(admitted, match)
        return answer_of(
            match.answer, admitted.request, source="semantic_cache", trace_id=trace_id, verdict=verdict
        )

    async def answer(
        self, admitted: Admitted, match: Match, emit: Emit | None, seen: Seen, trace_id: str
    ) -> Answer:
        """Have what was admitted answered; ``match`` did not do. Raises what ``Engine.execute`` raises."""
        request = admitted.request
        missing = (*admitted.degraded, *(("cache",) if match.unreachable else ()))
        if emit is not None:
            for what in missing:
                emit(Degraded(what=what, reason=f"{what} is unreachable"))
        state = await self._run_graph(request, emit)
        seen.decision, seen.attempts = state["decision"], tuple(state["attempts"])
        try:
            answer = conclude(state, request, degraded=missing, trace_id=trace_id)
        except RejectedByModel as refused:
            self._keep_refusal(admitted, seen.decision, refused)
            raise
        self._keep(admitted, answer)
        self.watch.answered(match, answer)
        return replace(answer, verdict=_told(admitted, match))

    def _keep(self, admitted: Admitted, answer: Answer) -> None:
        request, decision = admitted.request, answer.decision
        ruling = may_store(self._ended(request, decision, answer.attempts, answer), self.keeping.settings)
        if isinstance(ruling, Keep):
            source = self.keeping.provenance(request, decision.agent, ruling.live)
            record = record_of(answer, request, stored_at_s=time.time(), provenance=source)
            self.gateway.keep(admitted, record, sharing=ruling.sharing, ttl_s=ruling.ttl_s)

    def _keep_refusal(self, admitted: Admitted, decision: Decision, refused: RejectedByModel) -> None:
        request = admitted.request
        ended = self._ended(request, decision, refused.attempts, None)
        ruling = may_store_refusal(ended, self.keeping.settings)
        if isinstance(ruling, Keep):
            source = self.keeping.provenance(request, decision.agent, False)
            record = refusal_of(refused, request, decision=decision, stored_at_s=time.time(), provenance=source)
            self.gateway.keep(admitted, record, sharing=ruling.sharing, ttl_s=ruling.ttl_s)

    def _ended(
        self, request: Request, decision: Decision, attempts: tuple[Attempt, ...], answer: Answer | None
    ) -> Ended:
        agent, own_handler = self.keeping.agent(decision.agent)
        return Ended(
            request=request,
            decision=decision,
            attempts=attempts,
            agent=agent,
            own_handler=own_handler,
            answer=answer,
        )

    async def _run_graph(self, request: Request, emit: Emit | None) -> RunState:
        whole = asyncio.timeout(request.deadline.remaining_s(time.monotonic()) + GRACE_S)
        try:
            async with whole:
                drive = await self.pipeline()
                return await drive({"request": request, "streaming": emit is not None}, emit)
        except TimeoutError as exc:
            if not whole.expired():
                raise
            raise DeadlineExceeded("the request's deadline passed", hint="allow more deadline_s") from exc
        finally:
            # A run that reached its end has settled, and then this changes nothing.
            await self.ledger.abandon(request.id)


def show(answer: Answer, emit: Emit | None) -> None:
    """Stream an answer that is there already like a fresh one (cache.stream)."""
    if emit is not None:
        emit(Routed(decision=answer.decision))
        for piece in pieces(answer.text):
            emit(Token(text=piece))


def _told(admitted: Admitted, match: Match) -> Verdict | None:
    """The verdict as the asker hears it: what somebody else has asked is not quoted."""
    verdict, mine = match.verdict, admitted.lookup is not None and admitted.lookup.own.owner
    if verdict is None or match.place is None or match.place.owner == mine:
        return verdict
    return replace(verdict, question="", detail="")
