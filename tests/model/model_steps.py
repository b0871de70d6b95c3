"""Everything that can happen to one breaker, one atomic step at a time, and what must hold after each.

Callers stand in slots: replicas, or calls of one replica; which is which makes no difference to a shared record.
A caller asks, runs, reports; each reply may be lost and the request sent again, at once, much later or after its
answer was used; it may crash at any point. A probe ends ``probe_deadline_s`` after its first request at the
latest (B1b); no other call has a limit. Outside of the callers a tick passes or a person gives an order. The
checker keeps books of its own (``Slot``, ``Tally``) and believes the record nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import NamedTuple

from configs.kernel import Outcome
from configs.resilience import BreakerSettings
from engine.contract import BreakerState, Permit, Refusal, Report
from engine.resilience import breaker
from engine.resilience.record import Record, Seen, fresh
from tests.model.model_records import (
    CLOSED,
    FORCED,
    GENERATION,
    HALF_OPEN,
    NOW,
    OLD,
    OPEN,
    PARKED,
    Shared,
    Tally,
    call_of,
    normal,
    one_tick_later,
    without_call,
)

SUBJECT = "model:p/m#k"
ENDS: dict[str, Report] = {
    "ok": Report(outcome=Outcome.OK),
    "fail": Report(outcome=Outcome.FAIL),
    "cancel": Report(outcome=Outcome.CANCEL),
    "slow": Report(outcome=Outcome.OK, slow=True),
    "held": Report(outcome=Outcome.FAIL, may_open=False),
    "throttle": Report(outcome=Outcome.THROTTLE, retry_after_s=1.0),
}


class Broken(Exception):
    """A rule of docs/rules.md does not hold."""

    def __init__(self, rule: str, how: str) -> None:
        super().__init__(f"{rule}: {how}")
        self.rule = rule


class Core:
    """The breaker under test: the real one. Planted faults override one step."""

    def acquire(
        self, record: Record, limits: BreakerSettings, slot: int, call_id: str
    ) -> tuple[Record, Permit | Refusal]:
        return breaker.acquire(record, limits, SUBJECT, call_id, NOW)

    def report(self, record: Record, limits: BreakerSettings, permit: Permit, result: Report) -> Record:
        return breaker.report(record, limits, permit, result, NOW, 0.5)[0]

    def release(self, record: Record, limits: BreakerSettings, call_id: str) -> Record:
        """What ``breaker.lua`` does for a caller that left while asking; a store in process answers at once."""
        record = breaker.expire(record, NOW)
        if record.state is not HALF_OPEN or call_id in record.seen.young | record.seen.old:
            return record
        leases = tuple(lease for lease in record.leases if lease.call_id != call_id)
        return replace(record, leases=leases, seen=Seen(record.seen.young | {call_id}, record.seen.old))


class Phase(IntEnum):
    """Where a caller is."""

    IDLE = 0
    ASKING = 1
    """Its request was carried out, it does not know the answer."""
    RUNNING = 2
    REPORTED = 3
    """Its report was carried out, it does not know that."""
    LEFT = 4
    """It left while asking and has said so; its request may still be on its way."""
    READ = 5
    """Only where steps are not atomic: it has read and will write."""


class Slot(NamedTuple):
    """One caller, as an all-knowing observer sees it."""

    phase: Phase = Phase.IDLE
    probe: bool = False
    """It runs with a probe's permit of the current generation."""
    current: bool = False
    """Its permit is of the current generation, or it left during a HALF_OPEN period that still lasts."""
    age: int = 0
    """Ticks since its first request; of a caller that asks or probes."""
    lease: int = 0
    """Ticks that its call's lease has left by rights."""
    end: str = ""
    """What it reported."""
    taken: bool = False
    """That report had its effect: it came in time."""
    snapshot: Record | None = None


IDLE = Slot()


class Move(NamedTuple):
    """One step: what happened, what came of it, and whether the generation moved."""

    label: str
    shared: Shared
    slot: Slot
    moved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What is explored. There is no bound on time, generations or the number of calls, only on calls at once."""

    slots: int
    probes: int
    successes: int
    deadline: int
    """Ticks that a probe may take; its lease is a tick longer."""
    ends: tuple[str, ...]
    orders: tuple[BreakerState, ...] = ()
    paused: bool = False
    """Probes may outlive their deadline, as in a process that is stopped (``slow``)."""
    atomic: bool = True


class Steps:
    """All steps from a state, each checked as it is taken."""

    def __init__(self, bounds: Bounds, limits: BreakerSettings, core: Core) -> None:
        self.bounds, self.limits, self.core = bounds, limits, core
        self.lease = int(limits.lease_s)
        self.doing = ""
        """The step under way, for the last line of a counterexample."""

    def start(self) -> Shared:
        """A breaker that nobody has called."""
        return Shared(fresh(self.limits, GENERATION), Tally(0, 0))

    def of_slot(self, shared: Shared, number: int, slot: Slot) -> Iterator[Move]:
        """What the caller in slot ``number`` can do next. Raises ``Broken``."""
        self.doing = f"caller {number} asks"
        if slot.phase is Phase.IDLE:
            if self.bounds.atomic:
                yield from self._asks(shared, number, slot)
            else:
                yield Move("reads", shared, Slot(Phase.READ, current=True, snapshot=shared.record), False)
            return
        if slot.phase is Phase.READ:
            yield self._writes(shared, number, slot)
            return
        if slot.phase is Phase.ASKING:
            yield from self._asks(shared, number, slot)
            yield self._leaves(shared, number)
        else:
            if slot.phase is not Phase.LEFT:
                yield from self._ends(shared, number, slot)
            self.doing = f"an old request of caller {number} arrives"
            yield self._asks_again_unheard(shared, number, slot)
        self.doing = f"caller {number} crashes"
        yield Move("crashes", self._gone(shared, number), IDLE, False)

    def of_people(self, shared: Shared) -> Iterator[Move]:
        """Orders (B16)."""
        for state in self.bounds.orders:
            if state is not shared.record.state:
                self.doing = f"ordered {state}"
                after = breaker.force(shared.record, state, actor="ada", reason="")
                require(after.state is state, "B16", f"ordered {state}, it is {after.state}")
                require(after.generation == GENERATION + 1, "B3", "an order is no new generation")
                yield Move(f"ordered {state}", self._next(after, Tally(0, 0)), IDLE, True)

    def tick(self, shared: Shared) -> Shared:
        """The same breaker a tick later."""
        self.doing = "a tick passes"
        return self._next(one_tick_later(shared.record), shared.tally)

    def tick_of_slot(self, slot: Slot) -> Slot | None:
        """The caller a tick later; ``None`` when it has to act first."""
        if slot.snapshot is not None:
            return slot._replace(snapshot=normal(one_tick_later(slot.snapshot), self.limits, self.bounds.slots))
        timed = slot.probe or slot.phase is Phase.ASKING
        age = slot.age + 1 if timed else 0
        if age > self.bounds.deadline:
            if not self.bounds.paused:
                return None
            age = self.bounds.deadline
        return slot._replace(age=age, lease=max(0, slot.lease - 1))

    def _asks(self, shared: Shared, number: int, slot: Slot) -> Iterator[Move]:
        after, tally, answer, moved = self._ask(shared, number)
        lease = self._lease_after(slot, answer, moved)
        if isinstance(answer, Permit):
            age = slot.age if answer.probe else 0
            running = Slot(Phase.RUNNING, answer.probe, True, age, lease)
            heard = Move(
                "gets a probe" if answer.probe else "gets leave", self._next(after, tally), running, moved
            )
        else:
            gone = without_call(after, call_of(number))
            heard = Move("is refused", self._next(gone, tally), IDLE, moved)
        yield heard
        asking = Slot(Phase.ASKING, age=slot.age, lease=lease)
        yield Move(f"{heard.label}, reply lost", self._next(after, tally), asking, moved)

    def _leaves(self, shared: Shared, number: int) -> Move:
        """It is cancelled before it knows its answer, and says so."""
        self.doing = f"caller {number} leaves"
        record, call_id = shared.record, call_of(number)
        due = breaker.expire(record, NOW)
        after = self.core.release(record, self.limits, call_id)
        moved = self._moved(record, after)
        untouched = replace(after, leases=due.leases, seen=due.seen) == due
        require(untouched, "B7", "a caller that left counted")
        held = any(lease.call_id == call_id for lease in after.leases)
        require(not held, "B8", "a caller that left keeps its permit")
        tally = Tally(0, 0) if moved else shared.tally
        return Move("leaves", self._next(after, tally), Slot(Phase.LEFT, current=due.state is HALF_OPEN), moved)

    def _asks_again_unheard(self, shared: Shared, number: int, slot: Slot) -> Move:
        """A copy of its request, long given up, is carried out only now."""
        after, tally, answer, moved = self._ask(shared, number)
        left = slot.phase is Phase.LEFT and slot.current
        require(not (left and isinstance(answer, Permit)), "B8", "a caller that left gets a place for nobody")
        slot = outdated(slot) if moved else slot
        slot = slot._replace(lease=self._lease_after(slot, answer, moved))
        return Move("its old request arrives", self._next(after, tally), slot, moved)

    def _ask(self, shared: Shared, number: int) -> tuple[Record, Tally, Permit | Refusal, bool]:
        record = shared.record
        after, answer = self.core.acquire(record, self.limits, number, call_of(number))
        moved = self._moved(record, after)
        given = isinstance(answer, Permit)
        if record.state in (OPEN, PARKED):
            require(not given or record.until_s <= NOW, "B2", f"{record.state} gives leave before its time")
        elif record.state is not HALF_OPEN:
            shut = record.state is BreakerState.FORCED_OPEN
            require(given is not shut, "B2" if shut else "B5", f"{record.state}: leave {given}")
        if isinstance(answer, Permit):
            require(answer.generation == after.generation, "B4", "a permit of another generation than the record")
            leased = any(lease.call_id == answer.call_id for lease in after.leases)
            require(answer.probe is leased is (after.state is HALF_OPEN), "B1", "a probe without a lease")
        return after, shared.tally if not moved else Tally(0, 0), answer, moved

    def _lease_after(self, slot: Slot, answer: Permit | Refusal, moved: bool) -> int:
        left = 0 if moved else slot.lease
        return self.lease if isinstance(answer, Permit) and answer.probe and not left else left

    def _ends(self, shared: Shared, number: int, slot: Slot) -> Iterator[Move]:
        for end in (slot.end,) if slot.phase is Phase.REPORTED else self.bounds.ends:
            word = f"reports {end}{' again' if slot.end else ''}"
            self.doing = f"caller {number} {word}"
            due = slot.current and not slot.taken and (shared.record.state is not HALF_OPEN or slot.lease > 0)
            after, tally = self._report(shared, number, slot, end, due)
            moved = after.generation != shared.record.generation
            gone = without_call(after, call_of(number))
            yield Move(word, self._next(gone, tally), IDLE, moved)
            held = any(lease.call_id == call_of(number) for lease in after.leases)
            lease = slot.lease if held else 0
            waiting = Slot(Phase.REPORTED, current=slot.current, lease=lease, end=end, taken=slot.taken or due)
            yield Move(
                f"{word}, reply lost", self._next(after, tally), outdated(waiting) if moved else waiting, moved
            )

    def _report(self, shared: Shared, number: int, slot: Slot, end: str, due: bool) -> tuple[Record, Tally]:
        record, call_id = shared.record, call_of(number)
        permit = Permit(
            subject=SUBJECT,
            call_id=call_id,
            generation=GENERATION if slot.current else OLD,
            probe=slot.probe,
            state=HALF_OPEN if slot.probe else CLOSED,
        )
        after = self.core.report(record, self.limits, permit, ENDS[end])
        self._moved(record, after)
        same = after == record
        require(same or slot.current, "B4", "a result of an old generation changed the record")
        require(same or not slot.taken, "B6", "a repeated report changed the record")
        require(same or due, "B10", "the result of an expired lease changed the record")
        if not due:
            return after, shared.tally
        require(not any(lease.call_id == call_id for lease in after.leases), "B8", "a permit outlives its report")
        if end == "cancel":
            untouched = replace(after, leases=record.leases, seen=record.seen) == record
            require(untouched, "B7", "a cancellation counted")
            return after, shared.tally
        state, tally = expected(shared, end, self.limits)
        closing = record.state is HALF_OPEN and CLOSED in (after.state, state)
        require(after.state is state, "B9" if closing else "B12", f"{record.state} and {end}: {after.state}")
        if state is OPEN:
            doubled = self.limits.open_s * 2**record.opens_in_a_row
            require(after.until_s == NOW + min(doubled, self.limits.open_s_max), "B12", "open for another time")
        return after, tally

    def _moved(self, before: Record, after: Record) -> bool:
        grown = after.generation - before.generation
        require(grown >= 0, "B3", "the generation went back")
        require(grown == int(after.state is not before.state), "B3", f"{grown} generations for one step")
        return grown > 0

    def _writes(self, shared: Shared, number: int, slot: Slot) -> Move:
        assert slot.snapshot is not None
        after, answer = self.core.acquire(slot.snapshot, self.limits, number, call_of(number))
        require(slot.current, "B3", "a record of an older generation overwrites a newer one")
        moved = after.generation > GENERATION
        if isinstance(answer, Refusal):
            return Move("writes a refusal", self._next(after, shared.tally), IDLE, moved)
        running = Slot(Phase.RUNNING, answer.probe, True, 0, self._lease_after(IDLE, answer, moved))
        return Move("writes leave", self._next(after, shared.tally), running, moved)

    def _gone(self, shared: Shared, number: int) -> Shared:
        return self._next(without_call(shared.record, call_of(number)), shared.tally)

    def _next(self, record: Record, tally: Tally) -> Shared:
        return Shared(normal(record, self.limits, self.bounds.slots), tally)

    def check(self, shared: Shared) -> None:
        """What must hold of every reachable record. Raises ``Broken``."""
        record = shared.record
        live = [lease for lease in record.leases if lease.expires_s > NOW]
        if record.state is HALF_OPEN:
            require(len(live) <= self.limits.half_open_probes, "B1", f"{len(live)} live leases")
            require(
                record.probe_successes == shared.tally.okays, "B9", "successes of probes were lost or invented"
            )
        if record.state is CLOSED:
            require(
                record.consecutive_failures == shared.tally.row, "B12", "counted outcomes were lost or invented"
            )
        reported = record.seen.young | record.seen.old
        require(
            not any(lease.call_id in reported for lease in live), "B8", "a call that has reported holds a lease"
        )
        if record.state not in FORCED:
            require(self._heals(record), "B5", f"stuck: nobody can close it from {record.state}")

    def _heals(self, record: Record) -> bool:
        """With every caller dead, fresh healthy calls reach CLOSED within open time + lease."""
        wait = int(record.until_s - NOW) if record.state in (OPEN, PARKED) else 0
        for _ in range(wait + self.lease + 1):
            for number in range(self.limits.half_open_successes):
                record, answer = self.core.acquire(record, self.limits, 0, f"healthy{number}")
                if not isinstance(answer, Permit):
                    break
                record = self.core.report(record, self.limits, answer, ENDS["ok"])
                if record.state is CLOSED:
                    return True
            record = one_tick_later(record)
        return False


def expected(shared: Shared, end: str, limits: BreakerSettings) -> tuple[BreakerState, Tally]:
    """What a counted report leads to, told a second time and shorter (docs/rules.md, B9 and B12)."""
    state, (row, okays) = shared.record.state, shared.tally
    if state in FORCED:
        return state, Tally(0, 0)
    if end == "throttle":
        return PARKED, Tally(0, 0)
    if state is HALF_OPEN:
        if end != "ok":
            return OPEN, Tally(0, 0)
        return (CLOSED, Tally(0, 0)) if okays + 1 >= limits.half_open_successes else (state, Tally(0, okays + 1))
    if end in ("ok", "slow"):
        return state, Tally(0, 0)
    row = min(row + 1, limits.consecutive_failures)
    opens = end == "fail" and row >= limits.consecutive_failures
    return (OPEN, Tally(0, 0)) if opens else (state, Tally(row, 0))


def require(holds: bool, rule: str, how: str) -> None:
    """Raise ``Broken`` unless it holds."""
    if not holds:
        raise Broken(rule, how)


def outdated(slot: Slot) -> Slot:
    """The caller after a step that has moved the generation."""
    return slot._replace(current=False, probe=False, lease=0, age=slot.age if slot.phase is Phase.ASKING else 0)
