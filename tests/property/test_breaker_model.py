"""The breaker against an independent model, and planted faults that the comparison must find.

Laws checked after every step: B1, B2, B3, B5, B8, B13 and B14 by name; B4, B6, B7, B9, B10, B12 and B16 through
equality with the model. An invariant that catches no planted fault is no invariant, so the faults stay here.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerState, Permit, Refusal, Report
from engine.resilience import breaker
from engine.resilience.record import NOTHING_SEEN, Effect, Lease, Record
from tests.property.breaker_world import FORCED, OUTCOMES, RULES, TWO_PROBES, World, walk

PICKS = st.integers(0, 15)


class BreakerMachine(RuleBasedStateMachine):
    """Hypothesis chooses the steps; ``World`` takes and checks them."""

    @initialize(rules=st.sampled_from((RULES, TWO_PROBES)), probing=st.booleans())
    def begin(self, rules: BreakerSettings, probing: bool) -> None:
        """A fresh breaker, or one that has just let its first probe in."""
        self.world = World(rules)
        if probing:
            for _ in range(rules.consecutive_failures):
                self.world.run(Outcome.FAIL)
            self.world.land_on_a_deadline(-1)
            self.world.acquire()

    @rule()
    def acquire(self) -> None:
        self.world.acquire()

    @rule(pick=PICKS)
    def acquire_again(self, pick: int) -> None:
        self.world.acquire_again(pick)

    @rule(
        pick=PICKS,
        report=st.builds(
            Report,
            outcome=st.sampled_from(OUTCOMES),
            retry_after_s=st.none() | st.floats(0.0, 1e9),
            slow=st.booleans(),
            may_open=st.sampled_from((True, True, True, False)),
        ),
        sample=st.floats(0, 0.99),
    )
    def report(self, pick: int, report: Report, sample: float) -> None:
        self.world.sample = sample
        self.world.report(pick, report)

    @rule(pick=PICKS)
    def report_again(self, pick: int) -> None:
        self.world.report_again(pick)

    @rule(pick=PICKS)
    def lose(self, pick: int) -> None:
        self.world.lose(pick)

    @rule(outcome=st.sampled_from((Outcome.OK, Outcome.FAIL, Outcome.CANCEL)))
    def run_without_permit(self, outcome: Outcome) -> None:
        self.world.run(outcome)

    @rule(state=st.sampled_from(FORCED))
    def force(self, state: BreakerState) -> None:
        self.world.force(state)

    @rule(seconds=st.floats(0.0, 60.0))
    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    @rule(pick=PICKS)
    def land_on_a_deadline(self, pick: int) -> None:
        self.world.land_on_a_deadline(pick)

    @rule()
    def everybody_dies_and_the_backend_is_well(self) -> None:
        self.world.check_not_stuck()

    @invariant()
    def agrees(self) -> None:
        """Both breakers agree."""
        if hasattr(self, "world"):
            self.world.check()


QUICK = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.req("brk.semantics", "brk.manual")
def test_the_breaker_equals_its_model_in_every_step() -> None:
    """B1 to B16 in one process: whatever callers and clock do, state, generation, leases and times agree."""
    run_state_machine_as_test(BreakerMachine, settings=QUICK)


@pytest.mark.req("brk.semantics")
@pytest.mark.parametrize("rules", [RULES, TWO_PROBES], ids=["k=1", "k=2"])
def test_the_breaker_equals_its_model_over_long_random_walks(rules: BreakerSettings) -> None:
    """B12: 50,000 random steps each, no difference."""
    walk(rules, random.Random(20261121), 50_000)
    assert breaker.report.__module__ == "engine.resilience.breaker"  # the walk ran the real one


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(10))
def test_the_breaker_equals_its_model_over_ten_million_steps(seed: int) -> None:
    """B12, the long proof: a million steps per seed, half of them with two probes."""
    chance = random.Random(seed)
    walk(RULES, chance, 500_000)
    walk(TWO_PROBES, chance, 500_000)
    assert breaker.report.__module__ == "engine.resilience.breaker"


def test_the_random_walk_goes_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A walk that never left CLOSED would prove nothing: every automatic change and every trip rule occurs."""
    seen: Counter[tuple[str, str]] = Counter()
    whole = breaker.event_of

    def watched(before: Record, after: Record, rules: BreakerSettings, subject: str, now_s: float) -> object:
        event = whole(before, after, rules, subject, now_s)
        if event is not None:
            seen[before.state.value, after.state.value] += 1
            seen["rate rule", ""] += "calls failed within" in event.reason
            seen["slow rule", ""] += "were slow within" in event.reason
            seen["slow probe", ""] += "probe was slow" in event.reason
            seen["in a row", ""] += "failures in a row" in event.reason
        return event

    monkeypatch.setattr(breaker, "event_of", watched)
    walk(RULES, random.Random(1), 40_000)
    automatic = [
        ("closed", "open"),
        ("closed", "parked"),
        ("open", "half_open"),
        ("parked", "half_open"),
        ("half_open", "closed"),
        ("half_open", "open"),
        ("half_open", "parked"),
    ]
    assert {change: seen[change] for change in automatic if seen[change] < 20} == {}
    rules = ("rate rule", "slow rule", "slow probe", "in a row")
    assert {rule: seen[rule, ""] for rule in rules if seen[rule, ""] < 20} == {}


REAL_ACQUIRE, REAL_REPORT = breaker.acquire, breaker.report


def no_gen_report(record: Record, rules: BreakerSettings, permit: Permit, *rest: object) -> object:
    """Results of any generation count (Polly, Finagle, resilience4j)."""
    return REAL_REPORT(record, rules, replace(permit, generation=record.generation), *rest)


def no_lease_acquire(record: Record, rules: BreakerSettings, *rest: object) -> object:
    """A probe holds its place until it returns (gobreaker 025d3ba)."""
    return REAL_ACQUIRE(record, rules.model_copy(update={"lease_s": 1e9}), *rest)


def no_dedup_report(record: Record, *rest: object) -> object:
    """A report that is delivered twice counts twice (replays of a driver)."""
    return REAL_REPORT(replace(record, seen=NOTHING_SEEN), *rest)


def cancel_closes_report(
    record: Record, rules: BreakerSettings, permit: Permit, result: Report, *rest: object
) -> object:
    """Cancellation is a success (Polly, pybreaker)."""
    outcome = Outcome.OK if result.outcome is Outcome.CANCEL else result.outcome
    return REAL_REPORT(record, rules, permit, replace(result, outcome=outcome), *rest)


def cancel_counts_report(
    record: Record, rules: BreakerSettings, permit: Permit, result: Report, *rest: object
) -> object:
    """Cancellation is a failure (pybreaker, purgatory)."""
    outcome = Outcome.FAIL if result.outcome is Outcome.CANCEL else result.outcome
    return REAL_REPORT(record, rules, permit, replace(result, outcome=outcome), *rest)


def cancel_leak_report(
    record: Record, rules: BreakerSettings, permit: Permit, result: Report, *rest: object
) -> object:
    """A cancelled probe keeps its permit (resilience4j #544)."""
    after, effect = REAL_REPORT(record, rules, permit, result, *rest)
    leaked = result.outcome is Outcome.CANCEL and after.generation == record.generation
    return (replace(after, leases=record.leases) if leaked else after), effect


def late_lease_report(
    record: Record, rules: BreakerSettings, permit: Permit, result: Report, now_s: float, sample: float
) -> object:
    """A probe that outlived its lease still decides."""
    if record.state is BreakerState.HALF_OPEN and permit.generation == record.generation:
        others = tuple(lease for lease in record.leases if lease.call_id != permit.call_id)
        record = replace(record, leases=(*others, Lease(permit.call_id, now_s + 1.0)))
    return REAL_REPORT(record, rules, permit, result, now_s, sample)


def skew_acquire(record: Record, rules: BreakerSettings, subject: str, call_id: str, now_s: float) -> object:
    """The caller's own clock decides, and is half a second fast."""
    return REAL_ACQUIRE(record, rules, subject, call_id, now_s + 0.5)


def any_probe_acquire(record: Record, rules: BreakerSettings, *rest: object) -> object:
    """HALF_OPEN admits everybody (pybreaker, aiobreaker, circuitbreaker, purgatory)."""
    return REAL_ACQUIRE(record, rules.model_copy(update={"half_open_probes": 100}), *rest)


def nonatomic_report(record: Record, *rest: object) -> object:
    """Read, decide, write: every second result is worked out from what was true before the last (pybreaker)."""
    if len(record.seen.young) % 2:
        record = replace(record, consecutive_failures=max(0, record.consecutive_failures - 1))
    return REAL_REPORT(record, *rest)


def refuse_all_acquire(record: Record, rules: BreakerSettings, subject: str, call_id: str, now_s: float) -> object:
    """The safest breaker of all: nobody is ever let in."""
    state, generation = record.state, record.generation
    refusal = Refusal(subject=subject, state=state, generation=generation, retry_after_s=None, reason="no")
    return breaker.expire(record, now_s), refusal


def deaf_report(record: Record, *rest: object) -> object:
    """A breaker that never opens, since it hears nothing."""
    return record, Effect.COUNTED


PLANTED: dict[str, tuple[str, Callable[..., object]]] = {
    "no_lease": ("acquire", no_lease_acquire),
    "no_gen": ("report", no_gen_report),
    "no_dedup": ("report", no_dedup_report),
    "nonatomic": ("report", nonatomic_report),
    "cancel_closes": ("report", cancel_closes_report),
    "cancel_counts": ("report", cancel_counts_report),
    "cancel_leak": ("report", cancel_leak_report),
    "late_lease": ("report", late_lease_report),
    "skew": ("acquire", skew_acquire),
    "refuse_all": ("acquire", refuse_all_acquire),
    "deaf": ("report", deaf_report),
    "any_probe": ("acquire", any_probe_acquire),
}


@pytest.mark.req("brk.semantics")
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_the_walk(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each fault that other breakers have is caught in 5,000 random steps (``slow``: see test_shield_probe)."""
    monkeypatch.setattr(breaker, *PLANTED[fault])
    with pytest.raises(AssertionError):
        walk(RULES, random.Random(3), 5_000)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found_by_the_state_machine(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property test above would fail for each of them."""
    monkeypatch.setattr(breaker, *PLANTED[fault])
    searching = settings(QUICK, max_examples=2_000, phases=(Phase.generate,), report_multiple_bugs=False)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(BreakerMachine, settings=searching)
