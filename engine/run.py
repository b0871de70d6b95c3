"""One request from start to answer: admission, cache, graph, conclusion. ``engine.app`` gives it to callers.

The one code path behind ``execute``, ``stream`` and ``execute_batch``. Streaming differs only in that somebody
passes ``emit``; without it nothing is shown before the end, so a leg that breaks half-way can still be replaced.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry.trace import Status, StatusCode, Tracer

from configs.errors import SwitchgearError
from configs.kernel import Money, Outcome, Usage
from engine.cache.flight import Boarding, Flights, Landed
from engine.concluded import answer_of
from engine.contract import Finished, Observer
from engine.errors import AllRoutesUnavailable, DeadlineExceeded
from engine.events import ChainExhausted, Emit, Final
from engine.fresh import GRACE_S, Fresh, Seen, show
from engine.gateway.gateway import Admitted, Gateway
from engine.lineage import within_parent
from engine.resilience.limiter import asking_as
from engine.resilience.shielded import one_failure_per_request
from engine.telemetry.tracing import trace_id_of
from engine.types import Answer, Request

log = logging.getLogger(__name__)
MADE = ("model", "handler")
"""Sources of an answer that was made for somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What every request of one engine shares."""

    gateway: Gateway
    fresh: Fresh
    flights: Flights[Answer] | None
    """``None``: identical misses are not brought together."""
    tracer: Tracer
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
            seen = Seen()
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

    def _finished(self, request: Request, seen: Seen, answer: Answer | None, error: str, started_s: float) -> None:
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
        self, request: Request, emit: Emit | None, trace_id: str, started_s: float, seen: Seen
    ) -> Answer:
        admitted = await self.gateway.admit(request)
        if admitted.lookup is not None:
            seen.key = admitted.lookup.own.key
            self.fresh.watch.exact(admitted.hit)
        if admitted.hit is not None:
            answer = answer_of(admitted.hit, request, source="exact_cache", trace_id=trace_id)
            show(answer, emit)
        elif self.flights is None or not admitted.flight:
            answer = await self.fresh.answer(admitted, emit, seen, trace_id)
        else:
            answer = await self._together(self.flights, admitted, emit, seen, trace_id)
        return replace(answer, latency_ms=(time.monotonic() - started_s) * 1e3)

    async def _together(
        self, flights: Flights[Answer], admitted: Admitted, emit: Emit | None, seen: Seen, trace_id: str
    ) -> Answer:
        """The answer that everybody who asks the same at this moment gets, from one call (cache.flight)."""
        request = admitted.request
        boarding = Boarding(
            call=lambda emit: self.fresh.answer(admitted, emit, seen, trace_id),
            arrived=partial(self._arrived, admitted, trace_id),
            kept=partial(self.gateway.written, admitted),
            emit=emit,
        )
        whole = asyncio.timeout(request.deadline.remaining_s(time.monotonic()) + GRACE_S)
        try:
            async with whole:
                landed = await flights.fly(admitted.flight, boarding)
        except TimeoutError as exc:
            if not whole.expired():
                raise
            raise DeadlineExceeded("the request's deadline passed", hint="allow more deadline_s") from exc
        answer = _as_own(landed, request, trace_id)
        if landed.pays:
            seen.decision, seen.attempts = answer.decision, answer.attempts
        if not landed.shown:
            show(answer, emit)
        return answer

    async def _arrived(self, admitted: Admitted, trace_id: str) -> Answer | None:
        hit = await self.gateway.again(admitted)
        return None if hit is None else answer_of(hit, admitted.request, source="exact_cache", trace_id=trace_id)


def _as_own(landed: Landed[Answer], request: Request, trace_id: str) -> Answer:
    """What came down, as this request's answer: whoever does not pay has used and spent nothing."""
    answer = replace(landed.answer, request_id=request.id, trace_id=trace_id)
    if landed.pays:
        return answer
    source = "flight" if answer.source in MADE else answer.source
    return replace(answer, source=source, attempts=(), usage=Usage(), cost=Money())


def _tell_exhausted(exc: AllRoutesUnavailable, request: Request, emit: Emit | None) -> None:
    reasons = tuple(f"{r.agent}/{r.model or 'handler'}: {r.reason}" for r in exc.reasons)
    log.warning("chain exhausted, request %s: %s", request.id, "; ".join(reasons))
    if emit is not None:
        emit(ChainExhausted(request_id=request.id, reasons=reasons, retry_after_s=exc.retry_after_s))
