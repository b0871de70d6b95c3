"""What the model checker proves of the pure core, carried over to the script that replicas share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from redis import Redis

from engine.resilience.script import lua_text
from tests.model.model_records import rules
from tests.model.model_script import Recording, Taken, compare
from tests.model.model_search import Search
from tests.model.model_steps import Bounds, Steps
from tests.model.test_breaker_model_checker import LARGE, SMALL, STATES_MAX
from tests.property.breaker_lua import CLOCK_OF_ARGUMENT


@pytest.fixture
def client(redis_state_url: str) -> Iterator[Redis]:
    """A blocking client: nothing here needs a loop."""
    with Redis.from_url(redis_state_url) as client:
        yield client


@cache
def steps_of(bounds: Bounds) -> list[Taken]:
    """Every different step that a complete search takes; late probes are among them."""
    core = Recording()
    limits = rules(probes=bounds.probes, successes=bounds.successes, deadline=bounds.deadline)
    found = Search(Steps(replace(bounds, paused=True), limits, core), one_probe_rule=False).run(STATES_MAX)
    print(f"probes may outlive their lease, B1b set aside: {found}; {len(core.taken):,} different steps")  # noqa: T201 - the figures of the proof
    assert found.broken is None, str(found)
    return list(core.taken)


@pytest.mark.req("brk.shared")
def test_the_script_takes_every_step_of_a_small_world_as_the_core_does(client: Redis) -> None:
    """B1 to B10 of the shared breaker: the same step from each reachable record, bit by bit."""
    bounds = SMALL["three callers"]
    taken = steps_of(bounds)
    assert len(taken) > 2_000
    compare(client, rules(probes=1, successes=1, deadline=1), taken)


def test_a_script_that_differs_in_one_step_is_caught(client: Redis) -> None:
    """The lease of a probe that ends at this instant has ended; a script that thinks otherwise is found."""
    bounds = SMALL["three callers"]
    text = lua_text(CLOCK_OF_ARGUMENT)
    wrong = text.replace("if not lease or lease.ends <= now", "if not lease or lease.ends < now")
    assert wrong != text
    with pytest.raises(AssertionError):
        compare(client, rules(probes=1, successes=1, deadline=1), steps_of(bounds), wrong)


@pytest.mark.long
@pytest.mark.timeout(1_200)
@pytest.mark.req("brk.shared")
def test_the_script_takes_every_step_of_a_large_world_as_the_core_does(client: Redis) -> None:
    """The long proof: two probes, every end, orders; late probes break B1b and, here too, nothing else."""
    taken = steps_of(LARGE["three callers, two probes, every end, orders"])
    assert len(taken) > 100_000
    compare(client, rules(probes=2, successes=2, deadline=2), taken)
