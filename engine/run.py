"""One request from start to answer: admission, cache, graph, conclusion. ``engine.app`` gives it to callers.

The one code path behind ``execute``, ``stream`` and ``execute_batch``. Streaming differs only in that somebody
passes ``emit``; without it nothing is shown before the end, so a leg that breaks half-way can still be replaced.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from opentelemetry.trace import Status, StatusCode, Tracer

from configs.errors import SwitchgearError
from configs.kernel import Money, Outcome, Usage
from engine.cached import CachedAnswer
from engine.contract import Finished, Ledger, Observer
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded, RejectedByModel
from engine.events import ChainExhausted, Degraded, Emit, Final, Routed, Token
from engine.gateway.gateway import Admitted, Gateway
from engine.lineage import within_parent
from engine.resilience.limiter import asking_as
from engine.resilience.shielded import one_failure_per_request
from engine.state import RunInput, RunState
from engine.telemetry.tracing import trace_id_of
from engine.types import PERSONAL, Answer, Attempt, Decision, Request

log = logging.getLogger(__name__)
Drive = Callable[[RunInput, Emit | None], Awaitable[RunState]]
"""``engine.pipeline.drive`` with its graph: importing that module takes 2 s, and an exact hit never needs it."""
WORDS = re.compile(r"\s*\S+\s*")
CUT = "length"
GRACE_S = 0.5
"""The legs keep the deadline themselves; this much later the whole run is cut."""


@dataclass(slots=True)
class _Seen:
    """What is known of a run when it ends, however it ends."""

    decision: Decision | None = None
    attempts: tuple[Attempt, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What every request of one engine shares."""

    gateway: Gateway
    pipeline: Callable[[], Awaitable[Drive]]
    tracer: Tracer
    may_keep: Callable[[Answer], bool]
    ledger: Ledger
    depth_max: int
    observers: tuple[Observer, ...]

    async def answer(self, asked: Request, emit: Emit | None) -> Answer:
        """Answer what was ``asked`` or raise one of ``engine.errors``; events go to ``emit`` as they happen."""
        started_s = time.monotonic()
        with (
            within_parent(asked, self.depth_max) as request,
            asking_as(request.priority),
            one_failure_per_request(),
            self.tracer.start_as_current_span(
                "switchgear.execute", record_exception=False, set_status_on_exception=False
            ) as span,
        ):
            trace_id = trace_id_of(span)
            span.set_attribute("switchgear.request_id", request.id)
            seen = _Seen()
            try:
                answer = await self._answer(request, emit, trace_id, started_s, seen)
            except SwitchgearError as exc:
                span.set_status(Status(StatusCode.ERROR, exc.code))
                self._finished(request, seen, None, exc.code, started_s)
                if isinstance(exc, AllRoutesUnavailable):
                    _tell_exhausted(exc, request, emit)
                raise
            except asyncio.CancelledError:
                span.set_attribute("switchgear.outcome", Outcome.CANCEL.value)
                self._finished(request, seen, None, Outcome.CANCEL.value, started_s)
                raise
            self._finished(request, seen, answer, "", started_s)
            span.set_attributes({"switchgear.source": answer.source, "switchgear.agent": answer.decision.agent})
        if emit is not None:
            emit(Final(answer=answer))
        return answer

    def _finished(
        self, request: Request, seen: _Seen, answer: Answer | None, error: str, started_s: float
    ) -> None:
        finished = Finished(
            request=request,
            decision=seen.decision if answer is None else answer.decision,
            attempts=seen.attempts,
            answer=answer,
            error=error,
            latency_ms=(time.monotonic() - started_s) * 1e3,
            fingerprint=seen.key,
        )
        for observer in self.observers:
            observer(finished)

    async def _answer(
        self, request: Request, emit: Emit | None, trace_id: str, started_s: float, seen: _Seen
    ) -> Answer:
        admitted = await self.gateway.admit(request)
        seen.key = admitted.key or ""
        if admitted.hit is not None:
            return _from_cache(admitted.hit, request, emit, trace_id, started_s)
        if emit is not None:
            for what in admitted.degraded:
                emit(Degraded(what=what, reason=f"{what} is unreachable"))
        state = await self._run_graph(request, emit)
        seen.decision, seen.attempts = state["decision"], tuple(state["attempts"])
        answer = _conclude(state, admitted, trace_id, started_s)
        if request.data_class not in PERSONAL and self.may_keep(answer):
            self.gateway.keep(admitted, _to_cache(answer))
        return answer

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


def _conclude(state: RunState, admitted: Admitted, trace_id: str, started_s: float) -> Answer:
    """The answer that the run's state amounts to, or the error it amounts to."""
    attempts = tuple(state["attempts"])
    last = attempts[-1] if attempts else None
    if last is None or last.outcome is not Outcome.OK:
        if last is not None and state["shown"]:
            raise AnswerInterrupted(state["text"], attempts)
        if last is not None and last.outcome in (Outcome.CALLER, Outcome.POLICY):
            raise RejectedByModel(attempts)
        if last is not None and last.outcome is Outcome.DEADLINE:
            raise DeadlineExceeded(f"the deadline passed: {last.error}", hint="allow more deadline_s")
        raise AllRoutesUnavailable(attempts)
    planned = state["decision"].legs[0]
    fell_back = () if (last.agent, last.model) == (planned.agent, planned.model) else ("fallback",)
    degraded = (*admitted.degraded, *state["decision"].degraded, *fell_back)
    return Answer(
        text=state["text"],
        source="handler" if last.model is None else "model",
        agent=last.agent,
        decision=state["decision"],
        attempts=attempts,
        usage=sum((a.usage for a in attempts), Usage()),
        cost=sum((a.cost for a in attempts), Money()),
        latency_ms=(time.monotonic() - started_s) * 1e3,
        request_id=admitted.request.id,
        trace_id=trace_id,
        model=last.model,
        degraded=degraded,
        truncated=last.finish_reason == CUT,
    )


def _tell_exhausted(exc: AllRoutesUnavailable, request: Request, emit: Emit | None) -> None:
    reasons = tuple(f"{r.agent}/{r.model or 'handler'}: {r.reason}" for r in exc.reasons)
    log.warning("chain exhausted, request %s: %s", request.id, "; ".join(reasons))
    if emit is not None:
        emit(ChainExhausted(request_id=request.id, reasons=reasons, retry_after_s=exc.retry_after_s))


def _to_cache(answer: Answer) -> CachedAnswer:
    return CachedAnswer(
        text=answer.text,
        decision=answer.decision,
        model=answer.model,
        usage=answer.usage,
        stored_at_s=time.time(),
        truncated=answer.truncated,
    )


def _from_cache(hit: CachedAnswer, request: Request, emit: Emit | None, trace_id: str, started_s: float) -> Answer:
    if emit is not None:
        emit(Routed(decision=hit.decision))
        for piece in WORDS.findall(hit.text) or [hit.text]:
            emit(Token(text=piece))
    return Answer(
        text=hit.text,
        source="exact_cache",
        agent=hit.decision.agent,
        decision=hit.decision,
        attempts=(),
        usage=Usage(),
        cost=Money(),
        latency_ms=(time.monotonic() - started_s) * 1e3,
        request_id=request.id,
        trace_id=trace_id,
        model=hit.model,
        truncated=hit.truncated,
    )
