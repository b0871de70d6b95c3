"""The shared breaker's script against the pure core, and planted faults that the comparison must find."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from redis import Redis

from configs.settings import BreakerSettings
from engine.resilience.script import lua_text
from tests.property.breaker_lua import ALL_RULES, CLOCK_OF_ARGUMENT, Twins, walk


@pytest.fixture
def client(redis_state_url: str) -> Iterator[Redis]:
    """A blocking client: the walk needs no loop."""
    with Redis.from_url(redis_state_url) as client:
        yield client


@pytest.mark.req("brk.shared")
def test_the_script_equals_the_pure_core_in_every_step(client: Redis) -> None:
    """B12, B14: 24,000 random steps of callers, clock and people; replies and records agree to the last bit."""
    moves = walk(client, 20261121, 24_000)
    automatic = (
        *("closed open", "closed parked", "open half_open", "parked half_open"),
        *("half_open closed", "half_open open", "half_open parked"),
    )
    everything = (*automatic, "counted", "neutral", "late", "duplicate", "closed forced_open", "disabled closed")
    assert {move: moves[move] for move in everything if moves[move] < 10} == {}


def machine_on(client: Redis) -> type[RuleBasedStateMachine]:
    """Hypothesis chooses every step of ``Twins``, and finds the shortest course that tells them apart."""

    class ScriptMachine(RuleBasedStateMachine):
        @initialize(rules=st.sampled_from(ALL_RULES), chance=CHANCE)
        def begin(self, rules: BreakerSettings, chance: random.Random) -> None:
            """A subject that nobody has used."""
            self.twins = Twins(client, rules, chance, lua_text(CLOCK_OF_ARGUMENT))

        @rule(chance=CHANCE)
        def step(self, chance: random.Random) -> None:
            """Leave, report, order, replay, or time."""
            self.twins.chance = chance
            self.twins.move()

        def teardown(self) -> None:
            """What was sent in one message is compared step by step."""
            if hasattr(self, "twins"):
                self.twins.compare()
                Counted.steps += self.twins.steps

    return ScriptMachine


class Counted:
    """Steps that machines have taken."""

    steps = 0


# A number per step: with st.randoms every draw within a step is a choice of its own, at a hundred times the cost.
CHANCE = st.integers(0, 2**32 - 1).map(random.Random)
QUICK = settings(
    max_examples=250,
    stateful_step_count=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.req("brk.shared")
def test_no_course_of_hypothesis_tells_the_script_from_the_core(client: Redis) -> None:
    """B12: 20,000 steps chosen by Hypothesis, which would shrink the first difference to its shortest."""
    Counted.steps = 0
    run_state_machine_as_test(machine_on(client), settings=QUICK)
    assert Counted.steps >= 20_000, Counted.steps


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_no_course_of_hypothesis_tells_them_apart_in_a_million_steps(client: Redis) -> None:
    """B12, the long proof by Hypothesis: not the same courses every time."""
    Counted.steps = 0
    longer = settings(QUICK, max_examples=12_500, derandomize=False)
    run_state_machine_as_test(machine_on(client), settings=longer)
    print(f"{Counted.steps} steps, 0 mismatches")  # noqa: T201 - the total of a long proof
    assert Counted.steps >= 1_000_000


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(4))
def test_the_script_equals_the_pure_core_over_a_million_steps(client: Redis, seed: int) -> None:
    """B12, the long proof: 250,000 steps per seed, no difference."""
    moves = walk(client, seed, 250_000)
    print(f"seed {seed}: 250,000 steps, {dict(moves.most_common())}")  # noqa: T201 - totals of a long proof
    assert moves.total() > 100_000


PLANTED = {
    "no_gen": (
        "if result.generation ~= record.generation and not carried then return 'late' end",
        "",
    ),
    "no_lease": ("ends = now + rules.lease_s", "ends = now + 1e9"),
    "no_dedup": ("if has_reported(result.id) then return 'duplicate' end", ""),
    "lost_update": ("record.failures = record.failures + 1", "record.failures = math.min(2, record.failures + 1)"),
    "cancel_closes": (
        "if record.state ~= 'disabled' and (",
        "if record.state ~= 'disabled' and (result.outcome == 'cancel' or ",
    ),
    "cancel_leak": (
        "record.leases = others",
        "if result.outcome ~= 'cancel' then record.leases = others end",
    ),
    "late_lease": ("if not lease or lease.ends <= now then", "if not lease then"),
    "skew": ("if now >= record.until_s", "if now + 0.5 >= record.until_s"),
    "any_probe": ("if #record.leases >= rules.half_open_probes then return false", "if false then return false"),
    "refuse_all": ("if record.state ~= 'half_open' then return true, '' end", "if true then return false, '' end"),
    "deaf": ("if why and result.may_open then", "if false then"),
    "leave_after_report": ("if has_reported(id) then return false, 'this call has already reported' end", ""),
    "two_leases": ("if lease.id == id then return true, '' end", ""),
    "may_not_open": ("if why and result.may_open then", "if why then"),
    "slow_probe": ("if result.slow then return opened(record, 'the probe was slow', result) end", ""),
    "no_growth": ("2.0 ^ math.min(opens - 1, 64)", "2.0 ^ 0"),
    "no_jitter": ("(highest - lowest) * sample", "(highest - lowest) * 0.5"),
    "no_cap": (
        "math.min(wanted, rules.park_s_max))\nend\n\nlocal function park",
        "wanted)\nend\n\nlocal function park",
    ),
    "rounded": ("return string.format('%.17g', number)", "return string.format('%.14g', number)"),
    "long_window": ("b.number > number - rules.window_buckets", "b.number >= number - rules.window_buckets"),
    "past_rewritten": ("newest.number >= number", "newest.number == number"),
    "slow_unseen": ("result.slow and 1 or 0", "0"),
    "no_reset": (
        "record.failures, record.window, record.opens, record.errors = 0, {}, 0, {}",
        "record.failures = 0",
    ),
    "all_errors": ("while #record.errors > rules.errors_kept do", "while false do"),
    "small_memory": ("redis.call('RENAME', YOUNG, OLD)", "redis.call('DEL', YOUNG)"),
    "seen_for_ever": ("redis.call('DEL', YOUNG, OLD)", ""),
    "silent": ("redis.call('RPUSH', EVENTS, event)", ""),
    "order_twice": ("if first then return {first} end", ""),
    "order_nameless": ("record.actor = order.actor", ""),
    "orders_expire": ("redis.call('PERSIST', key)", "redis.call('EXPIRE', key, rules.ttl_s)"),
    "immortal": ("else redis.call('EXPIRE', key, rules.ttl_s) end", "else redis.call('PERSIST', key) end"),
    "disabled_counts": ("if record.state ~= 'disabled' and (", "if ("),
    "parked_by_hand": ("and (record.state == 'closed' or record.state == 'half_open') then", "then"),
}


@pytest.mark.req("brk.shared")
@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_planted_in_the_script_is_found(client: Redis, fault: str) -> None:
    """A comparison that misses one of these would prove nothing."""
    whole = lua_text(CLOCK_OF_ARGUMENT)
    assert PLANTED[fault][0] in whole
    with pytest.raises(AssertionError):
        walk(client, 7, 12_000, text=whole.replace(*PLANTED[fault]))
