"""Every reachable state of one breaker that callers share, and planted faults that the same search must find.

The search drives the functions of ``engine.resilience.breaker`` themselves, so what it proves, it proves of the
code (and of a Lua twin as far as the two agree). Its bounds are the calls at once, the probes and the thresholds;
time, generations and the number of calls have none. Not covered: the rate rules, jitter, averages, forgetting of
very old call ids, loss of the shared store.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from engine.contract import BreakerState, Permit
from engine.resilience import breaker
from engine.resilience.record import Lease, Record, Seen, fresh
from tests.model.model_faults import FAULTS, Fault
from tests.model.model_records import CLOSED, FORCED, GENERATION, HALF_OPEN, NOW, OLD, OPEN, PARKED, normal, rules
from tests.model.model_search import Found, Search
from tests.model.model_steps import ENDS, SUBJECT, Bounds, Core, Steps

PLAIN = ("ok", "fail", "cancel")
ORDERS = (*FORCED, CLOSED)
SMALL = {
    "three callers": Bounds(slots=3, probes=1, successes=1, deadline=1, ends=PLAIN),
    "two probes, every end, orders": Bounds(
        slots=2, probes=2, successes=2, deadline=1, ends=tuple(ENDS), orders=ORDERS
    ),
}
LARGE = {
    "three callers, two probes, every end, orders": Bounds(
        slots=3, probes=2, successes=2, deadline=2, ends=tuple(ENDS), orders=ORDERS
    ),
    "four callers, two probes": Bounds(slots=4, probes=2, successes=2, deadline=1, ends=PLAIN),
    "four callers, one probe, every end": Bounds(slots=4, probes=1, successes=1, deadline=2, ends=tuple(ENDS)),
}
STATES_MAX = 20_000_000


def search(bounds: Bounds, core: Core, *, one_probe_rule: bool = True) -> Found:
    """Everything within ``bounds``."""
    limits = rules(probes=bounds.probes, successes=bounds.successes, deadline=bounds.deadline)
    return Search(Steps(bounds, limits, core), one_probe_rule=one_probe_rule).run(STATES_MAX)


@pytest.mark.req("brk.semantics")
@pytest.mark.parametrize("name", SMALL)
def test_every_rule_holds_in_every_state_of_a_small_world(name: str) -> None:
    """B1 to B10 and B16 over all interleavings, crashes, lost replies, replays and delays of a few callers."""
    found = search(SMALL[name], Core())
    assert found.broken is None, str(found)
    assert found.states > 20_000


def test_a_paused_process_breaks_the_count_of_running_probes_and_nothing_else() -> None:
    """B1b needs its premise: with probes that outlive their lease it alone falls, whatever else is checked."""
    paused = replace(SMALL["three callers"], paused=True)
    fallen = search(paused, Core()).broken
    assert fallen is not None
    assert fallen.rule == "B1b"
    rest = search(paused, Core(), one_probe_rule=False)
    assert rest.broken is None, str(rest)
    assert rest.states > 60_000


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught_by_the_rule_it_breaks(fault: Fault) -> None:
    """Each within two callers, with the shortest way there; a breaker that refuses everything is no safe one."""
    bounds = Bounds(
        slots=2,
        probes=1,
        successes=1,
        deadline=1,
        ends=(*PLAIN, "slow"),
        paused=fault.paused,
        atomic=fault.atomic,
    )
    found = search(bounds, fault.core(), one_probe_rule=fault.one_probe_rule)
    print(f"{fault.name}: {found}")  # noqa: T201 - the counterexample is what a reader of the proof wants to see
    assert found.broken is not None, f"{fault.name} survived"
    assert (found.broken.rule, len(found.steps) <= 10) == (fault.breaks, True)


def test_every_rule_of_the_checker_has_a_fault_that_it_catches() -> None:
    """A check that catches nothing proves nothing."""
    assert {fault.breaks for fault in FAULTS} == {
        *("B1", "B1b", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B9", "B10", "B12")
    }


def test_a_counterexample_tells_the_steps_that_lead_to_it() -> None:
    """The report of a lost update reads like the bug it is."""
    nonatomic = Bounds(slots=2, probes=1, successes=1, deadline=1, ends=PLAIN, atomic=False)
    assert search(nonatomic, Core()).steps == (
        "caller 0 reads",
        "caller 0 writes leave",
        "caller 1 reads",
        "caller 0 reports fail",
        "caller 1 asks",
    )


def test_a_search_that_is_too_large_says_so() -> None:
    """An incomplete search is no proof."""
    limits = rules(probes=1, successes=1, deadline=1)
    with pytest.raises(OverflowError, match="more than 100 states"):
        Search(Steps(SMALL["three callers"], limits, Core())).run(100)


LIMITS = rules(probes=2, successes=2, deadline=2)


def as_of(record: Record, now_s: float, names: dict[str, str]) -> Record:
    """The representative of a record of any time and generation; ``names``: of calls that somebody still holds."""
    leases = tuple(Lease(names.get(call, call), end - now_s + NOW) for call, end in record.leases)
    seen = Seen(frozenset(names.get(call, call) for call in record.seen.young | record.seen.old), frozenset())
    return normal(replace(record, until_s=record.until_s - now_s + NOW, leases=leases, seen=seen), LIMITS, 3)


@pytest.mark.parametrize("seed", range(5))
def test_a_representative_moves_like_the_record_it_stands_for(seed: int) -> None:
    """The symmetries the search relies on: a step of a record and of its representative lead to the same."""
    rng = random.Random(seed)
    now_s, record, states = 5_000.0, fresh(LIMITS, 7), Counter[BreakerState]()
    permits: dict[str, Permit] = {}
    names: dict[str, str] = {}
    for number in range(4_000):
        slot = f"c{rng.randrange(3)}"
        permit, report = permits.get(slot), ENDS[rng.choice(list(ENDS))]
        if rng.random() < 0.2:
            now_s += 1.0
        elif permit is None:
            names = {real: name for real, name in names.items() if name != slot} | {f"call-{number}": slot}
            here = as_of(record, now_s, names)
            record, got = breaker.acquire(record, LIMITS, SUBJECT, f"call-{number}", now_s)
            expected, same = breaker.acquire(here, LIMITS, SUBJECT, slot, NOW)
            assert (type(got), as_of(record, now_s, names)) == (type(same), normal(expected, LIMITS, 3))
            if isinstance(got, Permit):
                permits[slot] = got
        else:
            here = as_of(record, now_s, names)
            known = replace(
                permit, call_id=slot, generation=GENERATION if permit.generation == record.generation else OLD
            )
            record, effect = breaker.report(record, LIMITS, permit, report, now_s, 0.5)
            expected, same_effect = breaker.report(here, LIMITS, known, report, NOW, 0.5)
            assert (effect, as_of(record, now_s, names)) == (same_effect, normal(expected, LIMITS, 3))
            if rng.random() < 0.7:
                del permits[slot]
        states[record.state] += 1
    assert min(states[state] for state in (CLOSED, OPEN, HALF_OPEN, PARKED)) > 50


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.req("brk.semantics")
@pytest.mark.parametrize("name", LARGE)
def test_every_rule_holds_in_every_state_of_a_large_world(name: str) -> None:
    """The long proof: complete searches of more than two million states each."""
    found = search(LARGE[name], Core())
    print(f"{name}: {found}")  # noqa: T201 - the figures of the proof
    assert found.broken is None, str(found)
    assert found.states > 2_000_000
