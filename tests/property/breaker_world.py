"""One breaker in a small world of callers: every step goes to the real store and to the reference, then both are
compared and the invariants of docs/rules.md are checked. Driven by Hypothesis and by seeded random walks.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

import pytest

from agents.errors import CallFailed
from configs.kernel import Failure, FailureKind, Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, Permit, Report
from engine.resilience.errors import CallRefused
from engine.resilience.local import LocalBreakerStore
from tests.property.breaker_reference import Reference

SUBJECT = "model:p/m#k"
RULES = BreakerSettings(
    consecutive_failures=3,
    failure_rate=0.5,
    slow_rate=0.25,
    rate_min_calls=6,
    window_s=12.0,
    window_buckets=4,
    open_s=8.0,
    open_s_max=40.0,
    probe_deadline_s=3.0,
    lease_s=4.0,
    park_s_max=30.0,
    reprobe_s=20.0,
    dedup_calls=64,
    unsent_max=50,
)
TWO_PROBES = RULES.model_copy(update={"half_open_probes": 2, "half_open_successes": 2})
OUTCOMES = (*[Outcome.OK] * 10, *[Outcome.FAIL] * 16, *[Outcome.CANCEL] * 5, *Outcome)
FORCED = (BreakerState.FORCED_OPEN, BreakerState.FORCED_CLOSED, BreakerState.DISABLED, BreakerState.CLOSED)
SLOW, MAY_OPEN = 0.5, 0.9
REMEMBERED = 16
STEPS_PER_WORLD = 2_000


@dataclass(frozen=True)
class Ended:
    """A report that was delivered, and may be delivered again."""

    permit: Permit
    report: Report


class World:
    """Callers, a clock and two breakers."""

    def __init__(self, rules: BreakerSettings) -> None:
        self.now_s = 1_000.0
        self.sample = 0.0
        self.rules = rules
        self.events: list[BreakerMoved] = []
        self.store = LocalBreakerStore(
            rules, clock=lambda: self.now_s, sample=lambda: self.sample, listeners=(self.events.append,)
        )
        self.cell = self.store.of(SUBJECT)
        self.reference = Reference(rules)
        self.running: list[Permit] = []
        self.ended: list[Ended] = []
        self.last_generation = 1
        self._ids = 0

    def acquire(self) -> None:
        """A new caller asks for leave."""
        self._ids += 1
        call = f"c{self._ids}"
        open_before = self.reference.state == "open" and self.now_s < self.reference.until
        got = self.cell.acquire(call)
        expected = self.reference.acquire(call, self.now_s)
        granted = got.generation if isinstance(got, Permit) else None
        assert granted == expected, f"leave: {got}, expected generation {expected}"
        assert not (open_before and granted is not None), "B2: OPEN admitted before its time"
        if isinstance(got, Permit):
            assert got.probe == (self.reference.state == "half_open")
            self.running.append(got)

    def acquire_again(self, index: int) -> None:
        """A running caller's request for leave arrives a second time (X3)."""
        if self.running:
            permit = self.running[index % len(self.running)]
            got = self.cell.acquire(permit.call_id)
            expected = self.reference.acquire(permit.call_id, self.now_s)
            assert (got.generation if isinstance(got, Permit) else None) == expected

    def report(self, index: int, report: Report) -> None:
        """A running call ends."""
        if not self.running:
            return
        permit = self.running.pop(index % len(self.running))
        self.ended = [*self.ended[-REMEMBERED:], Ended(permit, report)]
        self._deliver(permit, report)
        if report.outcome is Outcome.CANCEL and permit.generation == self.cell.record.generation:
            leases = self.cell.record.leases
            assert permit.call_id not in [lease.call_id for lease in leases], (
                "B8: a cancelled call kept its permit"
            )

    def report_again(self, index: int) -> None:
        """An old report arrives once more (B6)."""
        if self.ended:
            again = self.ended[index % len(self.ended)]
            self._deliver(again.permit, again.report)

    def lose(self, index: int) -> None:
        """A caller dies without a word."""
        if self.running:
            self.running.pop(index % len(self.running))

    def run(self, outcome: Outcome) -> None:
        """A whole call by ``LocalBreaker.run``, the way without permits."""
        self._ids += 1
        call = f"r{self._ids}"
        generation = self.reference.acquire(call, self.now_s)
        if generation is not None:
            self.reference.report(call, generation, Report(outcome=outcome), self.now_s, self.sample)

        async def made() -> None:
            if outcome is not Outcome.OK:
                kind = FailureKind.CONNECT if outcome is Outcome.FAIL else FailureKind.CANCELLED
                raise CallFailed(Failure(kind=kind, detail=outcome.value))

        raised = error_of(self.cell.run(made))
        assert isinstance(raised, CallRefused) == (generation is None)
        assert (raised is None) == (generation is not None and outcome is Outcome.OK)

    def force(self, state: BreakerState) -> None:
        """Somebody takes over, or gives control back (B16)."""
        self.cell.force(state, actor="ada", reason="drill")
        self.reference.force(state.value)
        assert self.events[-1].actor == "ada"

    def give_back(self) -> None:
        """Whoever took over gives control back."""
        if self.cell.record.state in FORCED[:3]:
            self.force(BreakerState.CLOSED)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds

    def land_on_a_deadline(self, index: int) -> None:
        """Time passes to the very instant at which something ends."""
        width = self.rules.window_s / self.rules.window_buckets
        ends = [*self.reference.leases.values(), (self.now_s // width + 1) * width]
        if self.reference.state in ("open", "parked"):
            ends.append(self.reference.until)
        later = [end for end in ends if end > self.now_s]
        self.now_s = later[index % len(later)]

    def check(self) -> None:
        """Both breakers agree, and what must always hold does."""
        self.reference.pass_time(self.now_s)
        view, record = self.cell.view(), self.cell.record
        assert (view.state.value, view.generation) == (self.reference.state, self.reference.gen)
        if record.state in (BreakerState.OPEN, BreakerState.PARKED):
            assert record.until_s == pytest.approx(self.reference.until, abs=1e-9)
        assert {lease.call_id for lease in record.leases} == set(self.reference.leases)
        assert len(record.leases) <= self.rules.half_open_probes, "B1"
        assert record.generation >= self.last_generation, "B3"
        assert len(self.events) == record.generation - 1, "B13: one event per generation"
        assert not self.events or self.events[-1].generation == record.generation, "B13: in order"
        assert 0.0 <= record.ema_success <= 1.0, "B14"
        assert record.ema_success == pytest.approx(self.reference.ema, abs=1e-9), "B14"
        assert len(record.window) <= self.rules.window_buckets
        assert len(record.seen.young) + len(record.seen.old) <= 2 * self.rules.dedup_calls
        self.last_generation = record.generation

    def check_not_stuck(self) -> None:
        """B5: with every caller dead, a healthy backend closes it within ``until`` + lease."""
        if self.reference.state not in ("open", "half_open", "parked"):
            return
        wait = max(0.0, self.cell.record.until_s - self.now_s) + self.rules.lease_s
        self.running.clear()
        self.now_s += wait
        for _ in range(self.rules.half_open_successes):
            self.acquire()
            assert self.running, "B5: nobody is let in any more"
            self.report(-1, Report(outcome=Outcome.OK))
        assert self.cell.view().state is BreakerState.CLOSED, "B5: healthy calls do not close it"

    def _deliver(self, permit: Permit, report: Report) -> None:
        self.cell.report(permit, report)
        self.reference.report(permit.call_id, permit.generation, report, self.now_s, self.sample)


def walk(rules: BreakerSettings, chance: random.Random, steps: int) -> None:
    """Random walks of ``steps`` steps in all, checked after each."""
    for begun in range(0, steps, STEPS_PER_WORLD):
        _walk_one(World(rules), chance, min(STEPS_PER_WORLD, steps - begun))


def _walk_one(world: World, chance: random.Random, steps: int) -> None:
    moves: tuple[tuple[int, Callable[[], None]], ...] = (
        (30, world.acquire),
        (40, lambda: world.report(chance.randrange(8), random_report(chance))),
        (6, lambda: world.report_again(chance.randrange(16))),
        (3, lambda: world.acquire_again(chance.randrange(8))),
        (3, lambda: world.lose(chance.randrange(8))),
        (20, lambda: world.run(chance.choice((Outcome.OK, Outcome.OK, Outcome.FAIL, Outcome.CANCEL)))),
        (10, lambda: world.advance(chance.expovariate(1.0))),
        (6, lambda: world.land_on_a_deadline(chance.randrange(4))),
        (2, lambda: world.advance(chance.uniform(0.0, 60.0))),
        (1, lambda: world.force(chance.choice(FORCED))),
        (12, world.give_back),
        (2, world.check_not_stuck),
    )
    for move in chance.choices([move for _, move in moves], [weight for weight, _ in moves], k=steps):
        world.sample = chance.random()
        move()
        world.check()


def random_report(chance: random.Random) -> Report:
    """How a call may end, mostly well or badly, seldom oddly."""
    outcome = chance.choice(OUTCOMES)
    return Report(
        outcome=outcome,
        reason=outcome.value,
        retry_after_s=chance.choice((None, None, 0.0, 5.0, 1e9)),
        slow=chance.random() < SLOW,
        may_open=chance.random() < MAY_OPEN,
    )


def error_of(coroutine: Coroutine[object, object, object]) -> Exception | None:
    """Run a coroutine that never waits; what it raised."""
    try:
        coroutine.send(None)
    except StopIteration:
        return None
    except CallFailed as exc:
        return exc
    raise AssertionError("it waited")
