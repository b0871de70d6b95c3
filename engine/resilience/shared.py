"""Breakers that all replicas share, in Redis (brk.shared, docs/decisions/0012).

``SharedBreakerStore`` is the ``BreakerStore`` of a fleet: every decision is one step of ``breaker.lua``, answered
from the replica's own view while that is younger than ``breaker.view_s``. When Redis is gone, each subject goes on
in this process, from where it stood; no failure of Redis ever reaches the guarded call (B15).
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Refusal, Report
from engine.resilience import breaker
from engine.resilience.alone import Alone, LocalPermit
from engine.resilience.classify import counts, parks
from engine.resilience.known import Known, refusal
from engine.resilience.local import Listener
from engine.resilience.record import Effect, fresh
from engine.resilience.script import STATE, BreakerScript, StateGone
from engine.resilience.sender import SUBJECTS_PER_MESSAGE, Sender
from engine.resilience.shielded import had_its_chance
from engine.resilience.tolerate import tell
from engine.resilience.wire import Asked, Ended, Order, Stands
from memory.errors import BackendUnavailable

REGISTERED_AGAIN = 0.25
"""A subject in use is registered anew after this share of the time that it is kept."""


class SharedBreakerStore:
    """``engine.contract.BreakerStore`` over one Redis. Needs ``aclose``; for one event loop."""

    def __init__(
        self,
        script: BreakerScript,
        rules: BreakerSettings,
        *,
        clock: Callable[[], float],
        sample: Callable[[], float],
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        """``clock`` is monotonic and measures ages only; ``sample`` draws from [0, 1)."""
        self.rules = rules
        self.listeners = listeners
        self.effects: Counter[Effect] = Counter()
        """What became of this replica's reports; for metrics (B4)."""
        self._script = script
        self._clock = clock
        self._sample = sample
        self._alone = Alone(rules, clock=clock, sample=sample, heard=self._heard)
        self._known: dict[str, Known] = {}
        self._looking = asyncio.Lock()
        self._unregistered: dict[str, float] = {}
        self._sender = Sender(self._flush, self._register, rules.view_s / 2)

    @property
    def degraded(self) -> str:
        """Why this replica is on its own; empty while Redis answers."""
        return self._alone.reason

    async def acquire(self, subject: str, call_id: str) -> Permit | Refusal:
        """Ask leave for one call: without waiting while the view is young, else in one round trip."""
        known = self._of(subject)
        answer = known.answer(call_id, self._clock())
        if answer is not None:
            return answer
        losses = self._alone.losses
        async with known.lock:
            answer = known.answer(call_id, self._clock())  # somebody may have asked meanwhile
            if answer is not None:
                return answer
            stands = await self._step(known, acquire=call_id) if self._answers_since(losses) else None
        if stands is None or stands.granted is None:
            return self._alone.acquire(known, call_id)
        if not stands.granted:
            return refusal(stands.view, stands.why)
        probe = stands.view.state is BreakerState.HALF_OPEN
        if probe:
            known.probes[call_id] = self._clock() + self.rules.lease_s
        return Permit(
            subject=subject,
            call_id=call_id,
            generation=stands.view.generation,
            probe=probe,
            state=stands.view.state,
        )

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """Say how the call ended, exactly once in effect (B6).

        Waits for the shared record when that may move, so that the caller's next step knows; whatever else is
        counted travels with the next message.
        """
        known = self._of(permit.subject)
        if isinstance(permit, LocalPermit):
            if not self._alone.report(known, permit, result):
                self.effects[Effect.LATE] += 1
            return known.view(self._clock())
        known.probes.pop(permit.call_id, None)
        full = len(known.outbox) >= self.rules.unsent_max
        waits = full or _may_move(permit, result) or not known.quiet()
        number = known.post(Ended(permit=permit, result=result, sample=self._sample()))
        if waits:
            await self._deliver(known, number)
        else:
            self._sender.later(known)
        return known.view(self._clock())

    async def view(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Current state of each subject, at most ``breaker.view_s`` old."""
        wanted = {subject: self._of(subject) for subject in subjects}
        if self._aged(wanted.values()):
            losses = self._alone.losses
            async with self._looking:
                aged = self._aged(wanted.values())
                if self._answers_since(losses):
                    await self._look(aged)
                else:
                    self._alone.take_over(aged)
        now_s = self._clock()
        return {subject: known.view(now_s) for subject, known in wanted.items()}

    async def force(self, subject: str, state: BreakerState, *, actor: str, reason: str) -> BreakerView:
        """Set FORCED_OPEN, FORCED_CLOSED or DISABLED by hand, or CLOSED to give control back (B16).

        Raises ``InvalidInput``, and ``BackendUnavailable`` when the order was perhaps not stored: one that holds
        for this process only would deceive whoever gave it.
        """
        breaker.force(fresh(self.rules, 0), state, actor=actor, reason=reason)  # refuses impossible orders
        known = self._of(subject)
        order = Order(id=uuid.uuid4().hex, state=state, actor=actor, reason=reason)
        async with known.lock:
            stands = await self._step(known, order=order)
        if stands is None:
            raise BackendUnavailable("redis.state", f"the order for {subject} was not confirmed: {self.degraded}")
        return stands.view

    async def subjects(self) -> tuple[str, ...]:
        """Every breaker with a record, sorted; those this replica knows while Redis is gone."""
        try:
            await self._register()
            return await self._script.subjects()
        except StateGone:
            return tuple(sorted(subject for subject, known in self._known.items() if known.seen(self._clock())))

    async def history(self, subject: str) -> tuple[BreakerMoved, ...]:
        """The latest changes of state, oldest first; those this replica has heard of while Redis is gone."""
        try:
            return await self._script.events(subject)
        except StateGone:
            known = self._known.get(subject)
            return () if known is None else tuple(known.history)

    async def flush(self) -> None:
        """Send what waits to be sent."""
        await self._sender.flush()

    async def aclose(self) -> None:
        """Send what waits to be sent and stop. The client stays open; it is its owner's."""
        await self._sender.aclose()

    # one step

    async def _step(
        self, known: Known, *, acquire: str | None = None, order: Order | None = None
    ) -> Stands | None:
        """One step with everything that waits to be sent; ``None``: Redis is gone. Needs the lock of ``known``."""
        asked_s, settled = self._clock(), False
        asked = known.ask(asked_s, acquire=acquire, order=order)
        try:
            (stands,) = await self._script.run((asked,))
            if isinstance(stands, StateGone):
                raise stands
            settled = True
            self._adopt(known, asked, stands, asked_s)
        except StateGone as gone:
            settled = True
            self._lost(gone, (known,), (asked,))
            return None
        finally:
            if not settled:  # cancelled
                known.unanswered(asked)
                self._sender.later(known)
        return stands

    async def _deliver(self, known: Known, number: int) -> None:
        """Come back when report ``number`` has been counted, by this call or by one that was faster."""
        losses = self._alone.losses
        try:
            async with known.lock:
                if known.taken >= number:
                    return
                if self._answers_since(losses):
                    await self._step(known)
                else:
                    self._alone.count(known, known.take())
        finally:
            if known.outbox:
                self._sender.later(known)

    async def _look(self, aged: list[Known]) -> None:
        for first in range(0, len(aged), SUBJECTS_PER_MESSAGE):
            some = aged[first : first + SUBJECTS_PER_MESSAGE]
            asked_s = self._clock()
            batch = [Asked(subject=known.subject, seen=known.seen(asked_s)) for known in some]
            try:
                answers = await self._script.run(batch)
            except StateGone as gone:
                self._lost(gone, some, batch)
                self._alone.take_over(aged)
                return
            self._take_in(some, batch, answers, asked_s)

    async def _flush(self, some: list[Known]) -> None:
        """One message for several subjects; one with a message on its way already is left for the next time."""
        held, batch, settled = list[Known](), list[Asked](), False
        asked_s = self._clock()
        try:
            for known in some:
                if known.lock.locked():
                    self._sender.later(known)
                else:
                    await known.lock.acquire()
                    held.append(known)
                    batch.append(known.ask(asked_s))
            answers = await self._script.run(batch) if batch else []
            settled = True
            self._take_in(held, batch, answers, asked_s)
        except StateGone as gone:
            settled = True
            self._lost(gone, held, batch)
        finally:
            for known, asked in zip(held, batch, strict=True):
                if not settled:  # cancelled
                    known.unanswered(asked)
                    self._sender.later(known)
                known.lock.release()

    def _take_in(
        self, some: list[Known], batch: list[Asked], answers: list[Stands | StateGone], asked_s: float
    ) -> None:
        for known, asked, answer in zip(some, batch, answers, strict=True):
            if isinstance(answer, StateGone):  # it alone; Redis is there for the others
                known.left(asked)
                self._alone.count(known, asked.reports)
            else:
                self._adopt(known, asked, answer, asked_s)

    def _adopt(self, known: Known, asked: Asked, stands: Stands, asked_s: float) -> None:
        now_s = self._clock()
        if self._alone.reason:
            self._alone.reason = ""
            for other in self._known.values():  # what they went through is handed over (resilience.md 6)
                if other.cell is not None:
                    self._sender.later(other)
        self.effects.update(stands.effects)
        known.answered(asked)
        news = known.adopt(stands, asked_s, now_s)
        if known.base and now_s - known.registered_s > self.rules.kept_s * REGISTERED_AGAIN:
            known.registered_s = now_s
            self._unregistered[known.subject] = stands.now_s
            self._sender.wake()
        for event in news:
            tell(self.listeners, event)

    def _answers_since(self, losses: int) -> bool:
        """Whether nothing was lost while waiting; whoever waited for a failure has waited long enough (X7)."""
        if losses == self._alone.losses:
            return True
        had_its_chance(STATE)
        return False

    def _lost(self, gone: StateGone, some: Iterable[Known], batch: Iterable[Asked]) -> None:
        self._alone.lost(str(gone))
        for known, asked in zip(some, batch, strict=True):
            if gone.sent:
                known.left(asked)
            self._alone.count(known, asked.reports)

    async def _register(self) -> None:
        """Best effort: the list of subjects is for people."""
        waiting = dict(self._unregistered)
        if not waiting:
            return
        with contextlib.suppress(StateGone):
            await self._script.register(tuple(waiting), max(waiting.values()))
            for subject in waiting:
                self._unregistered.pop(subject, None)

    def _heard(self, event: BreakerMoved) -> None:
        known = self._known.get(event.subject)
        if known is not None:
            known.heard(event)
        tell(self.listeners, event)

    # bookkeeping

    def _of(self, subject: str) -> Known:
        known = self._known.get(subject)
        if known is None:
            if len(self._known) >= self.rules.subjects_max:
                self._forget_one()
            known = self._known[subject] = Known(subject, self.rules)
        return known

    def _forget_one(self) -> None:
        for subject, known in self._known.items():
            if known.idle and not self._sender.waits(subject):
                del self._known[subject]
                return

    def _aged(self, some: Iterable[Known]) -> list[Known]:
        now_s = self._clock()
        return [known for known in some if not known.young(now_s)]


def _may_move(permit: Permit, result: Report) -> bool:
    """Whether this report may change a CLOSED breaker, or frees a probe's place."""
    failed = counts(result.outcome) and result.outcome is not Outcome.OK
    return permit.probe or failed or result.slow or parks(result.outcome)
