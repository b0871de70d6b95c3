"""One request from start to answer: admission, cache, graph, conclusion. ``engine.app`` gives it to callers.

The one code path behind ``execute``, ``stream`` and ``execute_batch``. Streaming differs only in that somebody
passes ``emit``; without it nothing is shown before the end, so a leg that breaks half-way can still be replaced.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from opentelemetry.trace import Status, StatusCode, Tracer

from configs.errors import SwitchgearError
from configs.kernel import Money, Outcome, Usage
from engine.cache.flight import Boarding, Flights, Landed
from engine.cached import Match
from engine.concluded import answer_of
from engine.contract import Finished, Observer
from engine.errors import AllRoutesUnavailable, DeadlineExceeded
from engine.events import ChainExhausted, Emit, Final
from engine.fresh import GRACE_S, Fresh, Seen, show
from engine.gateway.gateway import NOTHING_NEAR, Admitted, Gateway
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
        else:
            lost = partial(self._finished, request, seen, None, started_s=started_s)
            answer = await self._made(_Errand(self.fresh, admitted, seen, trace_id, lost), emit)
        return replace(answer, latency_ms=(time.monotonic() - started_s) * 1e3)

    async def _made(self, errand: _Errand, emit: Emit | None) -> Answer:
        """The answer that everybody who asks the same at this moment gets, from one call (cache.flight)."""
        request, alone = errand.admitted.request, self.flights is None or not errand.admitted.flight
        if alone or errand.is_common:  # what lies with one user is for nobody else who is aboard
            near = await errand.sought()
            if near is not None:
                show(near, emit)
                return near
        if self.flights is None or alone:
            return await errand.call(emit)
        boarding = Boarding(
            sought=_nothing if errand.is_common else errand.sought,
            call=errand.call,
            arrived=errand.arrived,
            kept=errand.kept,
            emit=emit,
        )
        whole = asyncio.timeout(request.deadline.remaining_s(time.monotonic()) + GRACE_S)
        try:
            async with whole:
                landed = await self.flights.fly(errand.admitted.flight, boarding)
        except asyncio.CancelledError:
            errand.has_left = True
            raise
        except TimeoutError as exc:
            errand.has_left = True
            if not whole.expired():
                raise
            raise DeadlineExceeded("the request's deadline passed", hint="allow more deadline_s") from exc
        answer = _as_own(landed, request, errand.trace_id)
        if landed.pays:
            errand.seen.decision, errand.seen.attempts = answer.decision, answer.attempts
        if not landed.shown:
            show(answer, emit)
        return answer


@dataclass(slots=True)
class _Errand:
    """One request on its way from a miss to an answer."""

    fresh: Fresh
    admitted: Admitted
    seen: Seen
    trace_id: str
    lost: Callable[[str], None]
    """Told the error of a call that went on after its owner had left: what it cost was real."""
    match: Match = NOTHING_NEAR
    has_left: bool = False

    @property
    def is_common(self) -> bool:
        """Users of one tenant fly together."""
        return self.admitted.lookup is not None and self.admitted.lookup.common

    async def sought(self) -> Answer | None:
        """The answer to a paraphrase."""
        self.match = await self.fresh.near(self.admitted)
        return self.fresh.served(self.admitted, self.match, self.trace_id)

    async def arrived(self) -> Answer | None:
        """The exact answer, if another replica has stored it meanwhile."""
        hit = await self.fresh.gateway.again(self.admitted)
        if hit is None:
            return None
        return answer_of(hit, self.admitted.request, source="exact_cache", trace_id=self.trace_id)

    async def call(self, emit: Emit | None) -> Answer:
        """A fresh one."""
        try:
            return await self.fresh.answer(self.admitted, self.match, emit, self.seen, self.trace_id)
        except SwitchgearError as exc:
            if self.has_left:
                self.lost(exc.code)
            raise

    async def kept(self) -> None:
        """Wait until it is stored."""
        await self.fresh.gateway.written(self.admitted)


async def _nothing() -> None:
    """It was looked for before."""


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
