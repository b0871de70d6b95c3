"""The only place where resilience lives: breaker, deadline, timeouts, size cap and retries around one leaf call.

Not a fallback chain (``engine.strategies``) and not a breaker (``local.py``): it asks the breaker for leave, makes
the call in a task of its own, and says exactly once how it ended. Only leaf shields retry (B17). ``shielded.py``
puts it in front of models and agents. Cancellation and LangGraph's signals pass through untouched and uncounted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

from agents.contract import Chunk
from agents.errors import CallFailed
from configs.kernel import Deadline, Failure, FailureKind, Outcome
from configs.settings import Settings
from engine.contract import BreakerStore
from engine.resilience.attempt import CallReport, Limits, Watch
from engine.resilience.classify import classify, may_retry
from engine.resilience.errors import CallRefused, LeafCallFailed
from engine.resilience.leave import Ended, Leave, Leaves
from engine.resilience.pump import END, End, Pump
from engine.resilience.retry import RetryBudget, pause_s
from engine.resilience.routes import Route, Routes
from engine.resilience.translate import failure_of, is_inner, passes_through

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call(Generic[T]):
    route: Route
    open_stream: Callable[[], AsyncIterator[T]]
    deadline: Deadline
    limits: Limits
    report: CallReport
    tries_before: int


class Shield:
    """One per engine, so that the retry budget is one per process (F1).

    ``clock`` is monotonic, the one that request deadlines are made from; ``sample`` draws from [0, 1); ``routes``
    has to hear of changes of the breakers.
    """

    def __init__(
        self,
        breakers: BreakerStore,
        settings: Settings,
        *,
        clock: Callable[[], float],
        sample: Callable[[], float],
        routes: Routes | None = None,
    ) -> None:
        self.routes = Routes(settings) if routes is None else routes
        self._leaves = Leaves(breakers, settings, self.routes, clock)
        self._settings = settings
        self._clock = clock
        self._sample = sample
        self._budget = RetryBudget(settings.shield, settings.shield.retry_share)
        self._running: set[asyncio.Task[None]] = set()

    def stream(
        self,
        route: Route,
        open_stream: Callable[[], AsyncIterator[Chunk]],
        deadline: Deadline,
        *,
        report: CallReport | None = None,
    ) -> AsyncGenerator[Chunk]:
        """One streamed leaf call, tried again before its first text where that may help.

        Raises ``LeafCallFailed`` and ``CallRefused``.
        """
        shield = self._settings.shield
        limits = Limits(
            first_s=shield.first_token_s if route.first_token_s is None else route.first_token_s,
            idle_s=shield.idle_s,
            retries=shield.retries,
            nested=False,
        )
        return self._retrying(_call(route, open_stream, deadline, limits, report))

    def outer(
        self,
        subject: str,
        open_stream: Callable[[], AsyncIterator[Chunk]],
        deadline: Deadline,
        *,
        report: CallReport | None = None,
    ) -> AsyncGenerator[Chunk]:
        """A streamed call with shields of its own inside: no retry, and what they report is neutral here (B17).

        Raises the ``LeafCallFailed`` or ``CallRefused`` of the inside as it is, and the same two for its own.
        """
        limits = Limits(first_s=None, idle_s=None, retries=0, nested=True)
        return self._retrying(_call(Route(subject=subject), open_stream, deadline, limits, report))

    async def call(
        self,
        subject: str,
        call: Callable[[], Awaitable[T]],
        deadline: Deadline,
        *,
        timeout_s: float,
        report: CallReport | None = None,
    ) -> T:
        """One unary leaf call with at most ``timeout_s`` for its answer; otherwise like ``stream``."""

        async def once() -> AsyncGenerator[T]:
            yield await call()

        limits = Limits(first_s=timeout_s, idle_s=timeout_s, retries=self._settings.shield.retries, nested=False)
        called = _call(Route(subject=subject), once, deadline, limits, report)
        async with aclosing(self._retrying(called)) as items:
            results = [item async for item in items]
        return results[0]

    async def aclose(self) -> None:
        """End what still runs, also calls that nobody waits for any more; takes twice ``close_s`` at most.

        What is cleaning up already gets the first half of that in peace.
        """
        left = set(self._running)
        for task in left:
            if not task.cancelling():
                task.cancel()
        for last_word in (True, False):
            if left:
                _, left = await asyncio.wait(left, timeout=self._settings.shield.close_s)
            if last_word:
                for task in left:
                    task.cancel()

    async def _retrying(self, call: _Call[T]) -> AsyncGenerator[T]:
        if not call.limits.nested:  # what is inside it counts itself
            self._budget.called(self._clock())
        failed: LeafCallFailed | None = None
        while True:
            try:
                async with aclosing(self._attempt(call)) as items:
                    async for item in items:
                        yield item
            except CallRefused as refused:
                if failed is None:
                    raise
                raise failed from refused  # why the first try broke says more than that there was no second
            except LeafCallFailed as exc:
                failed = exc
                pause = self._pause_s(call, exc)
                if pause is None:
                    raise
            else:
                return
            await asyncio.sleep(pause)

    async def _attempt(self, call: _Call[T]) -> AsyncGenerator[T]:
        leave = await self._admitted(call)
        watch = Watch(call.limits, self._settings, call.deadline, self._clock(), probe=leave.probe)
        pump = Pump(call.open_stream, self._settings.shield.read_ahead)
        self._running.add(pump.task)
        pump.task.add_done_callback(self._running.discard)
        timer = self._settle_at_its_deadline(leave, watch, nested=call.limits.nested) if leave.probe else None
        outcome, failure = Outcome.CANCEL, None
        try:
            while (item := await self._next(pump, watch)) is not END:
                if isinstance(item, Chunk):
                    watch.saw(item, self._clock())
                    outcome = Outcome.OK if item.finish_reason else outcome  # its reader may stop right here
                yield item
            outcome = Outcome.OK
        except Exception as exc:
            if passes_through(exc):
                raise
            failure = replace(failure_of(exc), produced_text=watch.produced)
            outcome = classify(failure)
            if call.limits.nested and is_inner(exc):
                await self._leaves.settle(leave, Ended(outcome=Outcome.REFUSED, failure=failure))
            if isinstance(exc, LeafCallFailed | CallRefused):
                raise
            raise LeafCallFailed(failure, subject=call.route.subject, outcome=outcome) from exc
        finally:
            if timer is not None:
                timer.cancel()
            pump.stop()
            ended, first_s = self._ended(call, watch, outcome, failure)
            try:
                await self._leaves.settle(leave, ended)
            finally:  # also when somebody leaves during the report; the place is free when the upstream has gone
                try:
                    if not await pump.close(self._settings.shield.close_s):
                        log.warning("%s: a call that was cut is still cleaning up", call.route.subject)
                finally:
                    self._leaves.leave(leave, ended, first_s, self._clock() - watch.started_s)

    def _settle_at_its_deadline(self, leave: Leave, watch: Watch, *, nested: bool) -> asyncio.TimerHandle:
        """A probe gives its permit back in time whatever its reader does, and its answer goes on without (B1b)."""

        def settle() -> None:
            if not watch.produced and not nested:
                return  # silent until now: ``_next`` cuts it in this very moment, and that is a failure
            task = asyncio.create_task(self._leaves.settle(leave, _so_far(watch)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        return asyncio.get_running_loop().call_later(self._settings.breaker.probe_deadline_s, settle)

    def _ended(
        self, call: _Call[T], watch: Watch, outcome: Outcome, failure: Failure | None
    ) -> tuple[Ended, float | None]:
        """What the breaker is told, and the time to the first token if there was one."""
        now_s = self._clock()
        call.report.ended(outcome, failure, watch, now_s)
        if call.limits.nested:
            return Ended(outcome=outcome, failure=failure), None
        first_s = watch.first_token_s
        if outcome is Outcome.OK and first_s is None:
            first_s = now_s - watch.started_s  # a unary call: its answer is its first token
        if first_s is not None:
            self.routes.latencies.add(call.route.subject, first_s, now_s)
        usual_s = self.routes.latencies.p95(call.route.subject, now_s)
        if watch.given_up(outcome, call.report):
            waited_s = now_s - watch.started_s
            self.routes.latencies.add(call.route.subject, waited_s, now_s, measured=False)
            late = watch.late(usual_s, now_s)
            if late is not None:
                return Ended(outcome=Outcome.FAIL, failure=late), first_s
        return Ended(outcome=outcome, failure=failure, slow=watch.was_slow(first_s)), first_s

    async def _next(self, pump: Pump[T], watch: Watch) -> T | Literal[End.END]:
        """The next item within all limits."""
        wait_s, meaning = watch.limit(self._clock())
        out_of_time = meaning is FailureKind.DEADLINE and wait_s <= 0.0
        if not out_of_time and await pump.wait(wait_s):
            return pump.take()
        raise CallFailed(watch.struck(meaning, self._clock()))

    def _pause_s(self, call: _Call[T], failed: LeafCallFailed) -> float | None:
        """How long to wait before the next try; ``None`` when there is none."""
        retry = call.report.tries - call.tries_before
        if retry > call.limits.retries or not may_retry(failed.outcome, failed.failure.produced_text):
            return None
        if failed.failure.kind is FailureKind.FIRST_TOKEN_TIMEOUT:
            return None  # silent for its whole time: what is left of the deadline belongs to the next route
        asked_s = failed.failure.retry_after_s
        pause = pause_s(self._settings.shield, retry, self._sample())
        if asked_s is not None:
            pause = max(pause, asked_s)
        now_s = self._clock()
        if pause > self._settings.shield.backoff_s_max or pause >= call.deadline.remaining_s(now_s):
            return None
        return pause if self._budget.take(now_s) else None

    async def _admitted(self, call: _Call[T]) -> Leave:
        now_s = self._clock()
        remaining_s = call.deadline.remaining_s(now_s)
        usual_s = None if call.limits.nested else self.routes.latencies.p50(call.route.subject, now_s)
        detail = None
        if remaining_s <= 0.0:
            detail = "the deadline had passed before the call"
        elif usual_s is not None and usual_s > remaining_s:
            detail = f"{remaining_s:.3g} s are left, and this route takes {usual_s:.3g} s"  # F3
        if detail is not None:
            failure = Failure(kind=FailureKind.DEADLINE, detail=detail)
            call.report.refused(Outcome.DEADLINE, failure)
            raise LeafCallFailed(failure, subject=call.route.subject, outcome=Outcome.DEADLINE)
        try:
            patience_s = remaining_s - (usual_s or 0.0)  # after the line there must be time for the call (F3)
            leave = await self._leaves.ask(call.route, patience_s, limited=not call.limits.nested)
        except CallRefused as refused:
            call.report.breaker = refused.refusal.state
            if call.report.tries == call.tries_before:
                call.report.refused(Outcome.REFUSED, refused.failure)
            raise
        call.report.breaker = leave.permit.state
        call.report.tries += 1
        call.report.asked_s = self._clock()
        return leave


def _call(
    route: Route,
    open_stream: Callable[[], AsyncIterator[T]],
    deadline: Deadline,
    limits: Limits,
    report: CallReport | None,
) -> _Call[T]:
    kept = CallReport() if report is None else report
    return _Call(
        route=route,
        open_stream=open_stream,
        deadline=deadline,
        limits=limits,
        report=kept,
        tries_before=kept.tries,
    )


def _so_far(watch: Watch) -> Ended:
    """What a probe has shown when its time is over: text, slow or not, or nothing either way."""
    return Ended(
        outcome=Outcome.OK if watch.produced else Outcome.CANCEL, slow=watch.was_slow(watch.first_token_s)
    )
