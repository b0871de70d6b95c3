"""Breakers that are wrong in one way each, most of them the way of a published breaker.

Each changes one step of the real core or one premise. An invariant that catches none of them is no invariant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from configs.kernel import Outcome
from configs.resilience import BreakerSettings
from engine.contract import Permit, Refusal, Report
from engine.resilience import breaker
from engine.resilience.record import NOTHING_SEEN, Lease, Record
from tests.model.model_records import FOR_EVER, HALF_OPEN, NOW
from tests.model.model_steps import SUBJECT, Core


class LeasesNeverEnd(Core):
    """A probe that dies keeps its place (gobreaker before its fix)."""

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        endless = limits.model_copy(update={"lease_s": FOR_EVER})
        return super().acquire(record, endless, slot, call_id)


class AnyGenerationCounts(Core):
    """A result is taken for one of the present state (Polly, Finagle, resilience4j)."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        leased = _leased(record, permit)
        after = super().report(leased, limits, replace(permit, generation=record.generation), result)
        return record if after == leased else after


class ReportsAreForgotten(Core):
    """The second delivery of a report counts again (a client that replays writes)."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        after = super().report(record, limits, permit, result)
        return record if after == record else replace(after, seen=NOTHING_SEEN)


class CancelSucceeds(Core):
    """A cancelled probe closes (Polly, pybreaker)."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        ended = Outcome.OK if result.outcome is Outcome.CANCEL else result.outcome
        return super().report(record, limits, permit, replace(result, outcome=ended))


class CancelKeepsThePermit(Core):
    """A cancelled probe blocks the next one until its lease ends (resilience4j #544)."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        after = super().report(record, limits, permit, result)
        return replace(after, leases=record.leases) if result.outcome is Outcome.CANCEL else after


class OneClockIsFast(Core):
    """The second caller asks by its own clock, a tick ahead of the server's."""

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        return breaker.acquire(record, limits, SUBJECT, call_id, NOW + float(slot == 1))


class DeadLeasesCount(Core):
    """The result of a probe whose lease has ended is taken like any other."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        leased = _leased(record, permit)
        after = super().report(leased, limits, permit, result)
        return record if after == leased else after


class LeavingIsForgotten(Core):
    """Who leaves while asking frees its place, but its old request takes it again for nobody."""

    def release(self, record: Record, limits: BreakerSettings, call_id: str) -> Record:
        return replace(super().release(record, limits, call_id), seen=breaker.expire(record, NOW).seen)


class OneProbeTooMany(Core):
    """Every caller that comes while a probe runs probes too (pybreaker, purgatory: all of a hundred)."""

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        more = limits.model_copy(update={"half_open_probes": limits.half_open_probes + 1})
        return super().acquire(record, more, slot, call_id)


class GenerationsRepeat(Core):
    """A change of state that is no new generation, so that late results are not recognised."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        return replace(super().report(record, limits, permit, result), generation=record.generation)


class SlowProbesClose(Core):
    """A probe that crawls proves nothing, but closes."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        return super().report(record, limits, permit, replace(result, slow=False))


class RefusesEverything(Core):
    """The breaker that is never wrong about a call, as it makes none."""

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        refusal = Refusal(
            subject=SUBJECT, state=record.state, generation=record.generation, retry_after_s=None, reason="no"
        )
        return breaker.expire(record, NOW), refusal


class CountsNothing(Core):
    """The breaker that lets everything through, as it never opens."""

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        return super().report(record, limits, permit, Report(outcome=Outcome.CANCEL))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One planted fault and the rule that it breaks first."""

    name: str
    breaks: str
    core: Callable[[], Core] = Core
    paused: bool = False
    atomic: bool = True
    one_probe_rule: bool = True


FAULTS = (
    Fault(name="no_lease", breaks="B5", core=LeasesNeverEnd),
    Fault(name="no_gen", breaks="B4", core=AnyGenerationCounts),
    Fault(name="no_dedup", breaks="B6", core=ReportsAreForgotten),
    Fault(name="nonatomic", breaks="B12", atomic=False),
    Fault(name="cancel_closes", breaks="B7", core=CancelSucceeds),
    Fault(name="cancel_leak", breaks="B8", core=CancelKeepsThePermit),
    Fault(name="skew", breaks="B2", core=OneClockIsFast),
    Fault(name="slow", breaks="B1b", paused=True),
    Fault(name="slow+late_lease", breaks="B10", core=DeadLeasesCount, paused=True, one_probe_rule=False),
    Fault(name="leaving_forgotten", breaks="B8", core=LeavingIsForgotten),
    Fault(name="two_probes", breaks="B1", core=OneProbeTooMany),
    Fault(name="same_generation", breaks="B3", core=GenerationsRepeat),
    Fault(name="slow_closes", breaks="B9", core=SlowProbesClose),
    Fault(name="refuses_everything", breaks="B5", core=RefusesEverything),
    Fault(name="counts_nothing", breaks="B12", core=CountsNothing),
)


def _leased(record: Record, permit: Permit) -> Record:
    """The record with a live lease for this call, if it asks for leases at all."""
    if record.state is not HALF_OPEN:
        return record
    others = tuple(lease for lease in record.leases if lease.call_id != permit.call_id)
    return replace(record, leases=(*others, Lease(permit.call_id, NOW + 1.0)))
