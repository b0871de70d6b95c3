"""The script of shared averages against the pure core, and planted faults that the comparison must find."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import cast

import pytest
from redis import Redis

from configs.routing import LearnSettings
from engine.learning.averages import step
from engine.learning.contract import RouteResult, Tally
from engine.learning.redis_outcomes import lua_text, results_json, rules_json, standing_of

CLOCK_OF_ARGUMENT = "local function clock() return tonumber(ARGV[4]) end"
RULES = LearnSettings(half_life_s=40.0, probation_odds=60.0, release_odds=5.0, kept_s=10**9)
SUBJECTS = ("agent:a", "agent:ключ", "model:m/x y", "agent:a b")
SIZES = (0, 0, 2, 3)


@pytest.fixture
def client(redis_state_url: str) -> Iterator[Redis]:
    """A blocking client: the walk needs no loop."""
    with Redis.from_url(redis_state_url) as client:
        yield client


def drawn(chance: random.Random, good: float) -> RouteResult:
    """Any result; about ``good`` of them are successes."""

    def maybe(value: float) -> float | None:
        return value if chance.random() < 0.6 else None

    return RouteResult(
        subject=chance.choice(SUBJECTS),
        ok=None if chance.random() < 0.1 else chance.random() < good,
        latency_ms=maybe(chance.expovariate(1e-3)),
        cost_micros=maybe(chance.choice((0.0, chance.uniform(0, 1e7)))),
        quality=maybe(chance.random()),
        context=tuple(chance.uniform(-1, 1) for _ in range(chance.choice(SIZES))),
    )


def walk(client: Redis, seed: int, steps: int, text: str) -> Counter[str]:
    """Messages of up to four results; after each, everything that is kept agrees to the last bit."""
    chance, seen = random.Random(seed), Counter[str]()
    key, sha = f"learn:{uuid.uuid4()}", client.script_load(text)
    now_s, good, known = 1.76e9, 0.9, dict[str, Tally]()
    for _ in range(steps):
        if chance.random() < 0.05:
            good = chance.choice((0.1, 0.5, 0.95))
        now_s += chance.choice((0.0, 0.0, chance.random(), chance.expovariate(0.02), -1.0, 3_000.0 * (good > 0.9)))
        batch = [drawn(chance, good) for _ in range(chance.randrange(5))]
        for result in batch:
            if not result.says_nothing:
                before = known.get(result.subject)
                after = known[result.subject] = step(before, result, RULES, now_s)
                was = before is not None and before.held
                seen[f"{was} {after.held}"] += 1
        arguments = (rules_json(RULES), results_json(batch), json.dumps(SUBJECTS), repr(now_s))
        reply = cast("list[bytes]", client.evalsha(sha, 1, key, *arguments))
        stands = standing_of(reply)
        assert stands.tallies == known
        assert stands.now_s == now_s
    client.delete(key)
    return seen


@pytest.mark.req("route.learn")
def test_the_script_of_averages_equals_the_pure_core_in_every_step(client: Redis) -> None:
    """1,500 random messages; averages, doubt, probation and moments agree to the last bit."""
    seen = walk(client, 20261121, 1_500, lua_text(CLOCK_OF_ARGUMENT))
    assert min(seen[moved] for moved in ("False False", "False True", "True True", "True False")) > 10, seen


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.req("route.learn")
def test_the_script_of_averages_equals_the_pure_core_over_a_hundred_thousand_messages(client: Redis) -> None:
    """The long proof."""
    seen = walk(client, 1, 100_000, lua_text(CLOCK_OF_ARGUMENT))
    print(f"{seen.total()} results, 0 mismatches")  # noqa: T201 - the total of a long proof
    assert seen.total() > 100_000


PLANTED = {
    "no_fading": ("halves - whole) * LN2", "halves - whole) * 0"),
    "short_series": ("for k = TERMS, 1, -1", "for k = 9, 1, -1"),
    "no_whole_halves": ("2.0 ^ (0 - whole)", "1.0"),
    "same_gain": ("t.held and rules.probe_alpha or rules.alpha", "rules.alpha"),
    "no_floor": ("math.max(0, moved_to)", "moved_to"),
    "no_ceiling": ("math.min(rules.held, math.max(0, moved_to))", "math.max(0, moved_to)"),
    "never_free": ("t.held = t.doubt > rules.free else", "t.held = true else"),
    "time_never_frees": ("t.held = t.held and t.doubt > rules.free", ""),
    "doubt_stays": ("t.doubt = t.doubt * left", ""),
    "evidence_stays": ("t.evidence = t.evidence * left", ""),
    "past_rewritten": ("if now <= t.at then return end", ""),
    "rounded": ("string.format('%.17g', number)", "string.format('%.15g', number)"),
    "moments_stay": ("t.moments[i] = m * left", "t.moments[i] = m"),
    "nothing_forgotten": ("1.0 - rules.context_alpha", "1.0"),
    "silence_counts": ("elseif t and says then", "elseif t then"),
    "free_is_unknown": ("if not value or not average", "if not value or not average or value == 0"),
}


@pytest.mark.req("route.learn")
@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_planted_in_the_script_of_averages_is_found(client: Redis, fault: str) -> None:
    """A comparison that misses one of these would prove nothing."""
    whole = lua_text(CLOCK_OF_ARGUMENT)
    assert PLANTED[fault][0] in whole
    with pytest.raises(AssertionError):
        walk(client, 7, 1_500, whole.replace(*PLANTED[fault]))
