"""A replica without its shared state: each breaker goes on in this process, from where it stood (B15).

The same rules, k probes of its own, its own clock. What it found out is handed over when Redis is back, see
``reconcile`` in ``breaker.lua``; leave that was given here is worth nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Refusal, Report
from engine.resilience.known import Known
from engine.resilience.local import Listener, LocalBreaker, LocalBreakerStore
from engine.resilience.record import Lease, fresh
from engine.resilience.wire import Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPermit(Permit):
    """Leave that a stand-in gave. Its number means nothing to the shared record, so it is never sent there."""


class Alone:
    """The stand-ins of one replica, and whether it needs them."""

    def __init__(
        self,
        rules: BreakerSettings,
        *,
        clock: Callable[[], float],
        sample: Callable[[], float],
        heard: Listener,
    ) -> None:
        """``heard`` is told of each change of a stand-in."""
        self.reason = ""
        """Why Redis cannot be asked; empty while it answers."""
        self.losses = 0
        """How often it could not be asked. Whoever sees it grow while waiting has waited long enough (X7)."""
        self._store = LocalBreakerStore(rules, clock=clock, sample=sample, listeners=(heard,))

    def lost(self, reason: str) -> None:
        """Redis did not answer."""
        self.losses += 1
        self.reason = self.reason or reason  # the first says what is wrong, later ones that nobody asked again

    def stand_in(self, known: Known) -> LocalBreaker:
        """The breaker of this process for one subject, made from what is known."""
        if known.cell is not None:
            return known.cell
        now_s = self._store.clock()
        cell = self._begin(known, now_s)
        known.go_on(cell, now_s)
        return cell

    def take_over(self, some: Iterable[Known]) -> None:
        """Let these be answered here."""
        for known in some:
            self.stand_in(known)

    def acquire(self, known: Known, call_id: str) -> LocalPermit | Refusal:
        """Leave for one call, or why not."""
        answer = self.stand_in(known).acquire(call_id)
        if isinstance(answer, Refusal):
            return answer
        return LocalPermit(
            subject=answer.subject,
            call_id=answer.call_id,
            generation=answer.generation,
            probe=answer.probe,
            state=answer.state,
        )

    def count(self, known: Known, reports: Sequence[Ended]) -> None:
        """Reports that did not get through; those of shared leave count, since the stand-in goes on from there."""
        cell = self.stand_in(known)
        for ended in reports:
            cell.report(ended.permit, ended.result)

    def report(self, known: Known, permit: LocalPermit, result: Report) -> bool:
        """How a call by leave of a stand-in ended; ``False``: that one is no more."""
        if known.cell is None:
            return False
        known.cell.report(permit, result)
        return True

    def _begin(self, known: Known, now_s: float) -> LocalBreaker:
        rules, view = self._store.rules, known.view(now_s)
        leases = tuple(Lease(call, ends) for call, ends in known.probes.items() if ends > now_s)
        record = replace(
            fresh(rules, max(1, known.base)),
            state=view.state,
            consecutive_failures=view.consecutive_failures,
            ema_success=view.ema_success,
            until_s=now_s + (view.retry_after_s or 0.0),
            opens_in_a_row=known.opens,
            leases=leases if view.state is BreakerState.HALF_OPEN else (),
            last_errors=view.last_errors,
            reason=view.reason,
            actor=view.actor,
        )
        return LocalBreaker(known.subject, self._store, record)
