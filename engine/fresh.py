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

from engine.cache.may_store import DoNotKeep, Ended, Keep
from engine.cached import CachedAnswer, Match, Provenance
from engine.concluded import answer_of, conclude, pieces, record_of, refusal_of
from engine.contract import Ledger
from engine.errors import DeadlineExceeded, RejectedByModel
from engine.events import Degraded, Emit, Routed, Token
from engine.gateway.gateway import NOTHING_NEAR, Admitted, Gateway
from engine.state import RunInput, RunState
from engine.types import PERSONAL, Answer, Attempt, Decision, Request

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

    rule: Callable[[Ended], Keep | DoNotKeep]
    ended: Callable[[Request, Answer], Ended]
    provenance: Callable[[Request, str, bool], Provenance]
    """By the agent's name; the flag says whether the answer is from live data."""
    refusal_ttl_s: int


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
        return answer_of(
            match.answer, admitted.request, source="semantic_cache", trace_id=trace_id, verdict=match.verdict
        )

    async def answer(
        self, admitted: Admitted, match: Match, emit: Emit | None, seen: Seen, trace_id: str
    ) -> Answer:
        """Have what was admitted answered; ``match`` did not do. Raises what ``Engine.execute`` raises."""
        answer = await self._run(admitted, emit, seen, trace_id)
        self.watch.answered(match, answer)
        return replace(answer, verdict=match.verdict)

    async def _run(self, admitted: Admitted, emit: Emit | None, seen: Seen, trace_id: str) -> Answer:
        request = admitted.request
        if emit is not None:
            for what in admitted.degraded:
                emit(Degraded(what=what, reason=f"{what} is unreachable"))
        state = await self._run_graph(request, emit)
        seen.decision, seen.attempts = state["decision"], tuple(state["attempts"])
        try:
            answer = conclude(state, request, degraded=admitted.degraded, trace_id=trace_id)
        except RejectedByModel as refused:
            if request.data_class in PERSONAL:
                raise
            source = self.keeping.provenance(request, seen.decision.agent, False)
            kept = refusal_of(refused, request, decision=seen.decision, stored_at_s=time.time(), provenance=source)
            self.gateway.keep(admitted, kept, sharing="user", ttl_s=self.keeping.refusal_ttl_s)
            raise
        self._keep(admitted, answer)
        return answer

    def _keep(self, admitted: Admitted, answer: Answer) -> None:
        request = admitted.request
        ruling = self.keeping.rule(self.keeping.ended(request, answer))
        if isinstance(ruling, DoNotKeep):
            return
        provenance = self.keeping.provenance(request, answer.decision.agent, ruling.live)
        record = record_of(answer, request, stored_at_s=time.time(), provenance=provenance)
        self.gateway.keep(admitted, record, sharing=ruling.sharing, ttl_s=ruling.ttl_s)

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
