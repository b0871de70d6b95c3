"""How traffic is shared by weights, turns and instances: exact shares, nobody starved, nobody lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.kernel import Tier
from configs.policies import PolicyName, RolePolicy
from configs.ratelimit_headers import Quota, RateLimits
from engine.routing.balance import pick
from engine.routing.constraints import Constraints, ModelFacts
from engine.routing.models import ModelFact, Situation, order_models
from engine.types import Averages, DataClass

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEIGHTS = st.lists(st.floats(min_value=0.01, max_value=100.0), min_size=1, max_size=6)
DRAWS = 500
FULL = RateLimits(requests=Quota(left=0))


ANYBODY = Constraints(tier=Tier.FREE)
CAN = ModelFacts(local=False, region=None, context=None, tools=True)


def _at(constraints: Constraints = ANYBODY, **fields: Any) -> Situation:
    return Situation(now=NOW, constraints=constraints, prompt_tokens=100, max_tokens=100, **fields)


def _even(count: int) -> list[float]:
    """The middle of each of ``count`` equal parts of [0, 1)."""
    return [(step + 0.5) / count for step in range(count)]


@pytest.mark.req("route.models")
@settings(max_examples=20)
@given(weights=WEIGHTS)
def test_a_draw_gives_everybody_the_share_of_its_weight(weights: list[float]) -> None:
    """Over evenly spread samples each share is off by at most the width of one sample at either end."""
    drawn = Counter(pick(weights, sample)[0] for sample in _even(DRAWS))
    for index, weight in enumerate(weights):
        assert drawn[index] / DRAWS == pytest.approx(weight / sum(weights), abs=1.5 / DRAWS)


@pytest.mark.req("route.models")
@settings(max_examples=20)
@given(weights=st.lists(st.floats(min_value=1.0, max_value=10.0), min_size=1, max_size=4))
def test_what_is_left_of_a_sample_is_even_again(weights: list[float]) -> None:
    """Whatever was drawn, the rest falls into each half of [0, 1) half of the time."""
    rests: dict[int, list[float]] = {}
    for sample in _even(DRAWS):
        index, rest = pick(weights, sample)
        assert 0.0 <= rest < 1.0
        rests.setdefault(index, []).append(rest)
    for found in rests.values():
        low = sum(rest < 0.5 for rest in found)
        assert abs(low - len(found) / 2) <= 1.0
        assert all(before < after for before, after in pairwise(found))


@pytest.mark.parametrize("sample", [0.0, 0.5, 1.0 - 2**-53])
def test_a_draw_never_falls_on_nothing(sample: float) -> None:
    """Weights of 0 are never drawn while another is above; all 0 are alike; rounding stays inside."""
    assert pick([0.0, 1e-300, 0.0], sample)[0] == 1
    assert pick([0.0, 0.0], sample)[0] == int(sample >= 0.5)
    assert pick([0.125] * 8, sample)[0] == int(sample * 8)
    assert pick([0.1] * 10, sample)[0] in range(10)


def _fleet(keys: list[float]) -> dict[str, ModelFact]:
    """Model ``a`` with one instance per weight, and ``b`` with weight 3 and none but itself."""
    names = ("a", *(f"a{index}" for index in range(1, len(keys))))
    facts = {
        name: ModelFact(can=CAN, weight=weight, family=names) for name, weight in zip(names, keys, strict=True)
    }
    return {**facts, "b": ModelFact(can=CAN, weight=3.0, family=("b",))}


@pytest.mark.req("route.models")
@settings(max_examples=20)
@given(keys=st.lists(st.floats(min_value=0.2, max_value=5.0), min_size=1, max_size=4))
def test_instances_share_the_place_of_their_model_by_weight(keys: list[float]) -> None:
    """Side by side before the next model, each first as often as its weight says, the others in their order."""
    facts = _fleet(keys)
    names = [name for name in facts if name != "b"]
    leads: Counter[str] = Counter()
    for sample in _even(DRAWS):
        models = order_models(("a", "b"), RolePolicy(), facts, _at(sample=sample)).models
        assert models[-1] == "b"
        assert list(models[1:-1]) == [name for name in names if name != models[0]]
        leads[models[0]] += 1
    for name in names:
        assert leads[name] / DRAWS == pytest.approx(facts[name].weight / sum(keys), abs=1.5 / DRAWS)


@pytest.mark.req("route.models")
@settings(max_examples=20)
@given(keys=st.lists(st.floats(min_value=0.5, max_value=2.0), min_size=2, max_size=3))
def test_a_second_key_moves_no_traffic_between_models(keys: list[float]) -> None:
    """``weighted``: the share of a model is that of the id in the chain, its instances divide just that."""
    facts = _fleet(keys)
    leads = Counter(
        order_models(("a", "b"), RolePolicy(policy="weighted"), facts, _at(sample=sample)).models[0]
        for sample in _even(DRAWS)
    )
    share = keys[0] / (keys[0] + 3.0)
    assert leads["b"] / DRAWS == pytest.approx(1 - share, abs=1.5 / DRAWS)
    for name in leads.keys() - {"b"}:
        expected = share * facts[name].weight / sum(keys)
        assert leads[name] / DRAWS == pytest.approx(expected, abs=2.5 / DRAWS)


@pytest.mark.req("route.adapt")
@settings(max_examples=20)
@given(left=st.lists(st.integers(min_value=200, max_value=1_000), min_size=2, max_size=4))
def test_an_instance_with_less_left_gets_less(left: list[int]) -> None:
    """Equal weights: traffic follows the part that is left of each limit, the scarcer one counting."""
    facts = _fleet([1.0] * len(left))
    names = [name for name in facts if name != "b"]
    plenty = Quota(left=10_000, limit=10_000)
    limits = {
        n: RateLimits(requests=plenty, tokens=Quota(left=x, limit=1_000)) for n, x in zip(names, left, strict=True)
    }
    leads = Counter(
        order_models(("a",), RolePolicy(), facts, _at(sample=sample, limits=limits)).models[0]
        for sample in _even(DRAWS)
    )
    for name, tokens in zip(names, left, strict=True):
        assert leads[name] / DRAWS == pytest.approx(tokens / sum(left), abs=1.5 / DRAWS)


@pytest.mark.req("route.models")
@given(
    size=st.integers(min_value=1, max_value=6),
    rounds=st.integers(min_value=1, max_value=20),
    start=st.integers(0, 99),
)
def test_round_robin_gives_every_model_the_same_number_of_turns(size: int, rounds: int, start: int) -> None:
    """Exactly, from any turn on; behind the first the chain goes on in its order and around."""
    chain = tuple(f"m{index}" for index in range(size))
    facts = {name: ModelFact(can=CAN, weight=1.0, family=(name,)) for name in chain}
    leads: Counter[str] = Counter()
    for turn in range(start, start + rounds * size):
        models = order_models(chain, RolePolicy(policy="round_robin"), facts, _at(turn=turn)).models
        assert models == tuple(chain[(turn + step) % size] for step in range(size))
        leads[models[0]] += 1
    assert leads == dict.fromkeys(chain, rounds)


@pytest.mark.req("route.models")
def test_instances_of_the_preferred_region_are_asked_first() -> None:
    """Balanced there; the other region stands by, and takes over where the first has no room."""
    family = ("x", "x-eu", "x-eu2")
    facts = {
        "x": ModelFact(can=replace(CAN, region="us"), weight=1.0, family=family),
        "x-eu": ModelFact(can=replace(CAN, region="eu"), weight=1.0, family=family),
        "x-eu2": ModelFact(can=replace(CAN, region="eu"), weight=1.0, family=family),
    }
    policy = RolePolicy(policy="by_region", regions=("eu",))
    orders = {order_models(("x",), policy, facts, _at(sample=s)).models for s in _even(50)}
    assert orders == {("x-eu", "x-eu2", "x"), ("x-eu2", "x-eu", "x")}
    full = _at(limits={"x-eu": FULL, "x-eu2": FULL})
    assert order_models(("x",), policy, facts, full).models == ("x", "x-eu", "x-eu2")


@pytest.mark.req("route.adapt")
def test_an_instance_without_room_stands_behind_the_whole_chain() -> None:
    """Its sibling takes its traffic; it is asked only when everybody else has failed."""
    facts = _fleet([1.0, 1.0])
    for sample in _even(10):
        asked = _at(sample=sample, limits={"a1": FULL})
        assert order_models(("a", "b"), RolePolicy(), facts, asked).models == ("a", "b", "a1")


@pytest.mark.req("route.adapt")
def test_what_is_left_counts_as_a_part_of_each_ones_own_limit() -> None:
    """Half of a small limit is as much as half of a large one; an instance nobody spoke of counts as full."""
    facts = _fleet([1.0, 1.0, 1.0])
    limits = {
        "a": RateLimits(tokens=Quota(left=500, limit=1_000)),
        "a1": RateLimits(tokens=Quota(left=50_000, limit=100_000)),
    }
    leads = Counter(
        order_models(("a",), RolePolicy(), facts, _at(sample=sample, limits=limits)).models[0]
        for sample in _even(100)
    )
    assert leads == {"a": 25, "a1": 25, "a2": 50}


@pytest.mark.req("route.adapt")
def test_those_with_room_share_what_one_without_it_cannot_take() -> None:
    """By their own weights, as if it were not there."""
    facts = _fleet([1.0, 5.0, 3.0])
    leads = Counter(
        order_models(("a",), RolePolicy(), facts, _at(sample=sample, limits={"a1": FULL})).models[0]
        for sample in _even(100)
    )
    assert leads == {"a": 25, "a2": 75}


def _policy(name: str, table: dict[str, Any], rules: dict[str, Any]) -> RolePolicy:
    return RolePolicy.model_validate({"policy": name, **table, **rules})


def _policies() -> st.SearchStrategy[RolePolicy]:
    names = st.lists(st.sampled_from(["m0", "m1", "m2"]), min_size=1, max_size=3, unique=True).map(tuple)
    tables: dict[str, st.SearchStrategy[dict[str, Any]]] = {
        "by_complexity": st.fixed_dictionaries({"complexities": st.fixed_dictionaries({"simple": names})}),
        "by_length": st.fixed_dictionaries({"lengths": names.map(lambda n: [{"models": n}])}),
        "by_tier": st.fixed_dictionaries({"tiers": st.fixed_dictionaries({"free": names})}),
        "by_region": st.just({"regions": ["eu"]}),
    }
    rules = st.fixed_dictionaries(
        {},
        optional={
            "times": names.map(lambda n: [{"start": "08:00", "end": "13:00", "models": n}]),
            "budget_rules": names.map(lambda n: [{"from_share": 0.5, "models": n}]),
        },
    )
    return st.sampled_from(get_args(PolicyName)).flatmap(
        lambda name: st.builds(
            partial(_policy, name),
            tables.get(name, st.just({})),
            rules,
        )
    )


FACT = st.builds(
    ModelFact,
    can=st.builds(
        ModelFacts,
        local=st.booleans(),
        region=st.sampled_from([None, "eu", "us"]),
        context=st.sampled_from([None, 150, 10_000]),
        tools=st.booleans(),
    ),
    input_micros=st.integers(0, 10**7),
    output_micros=st.integers(0, 10**8),
    weight=st.floats(0.1, 9.0),
    unusable=st.sampled_from(["", "", "KEY is not set"]),
)
SITUATION = st.builds(
    _at,
    complexity=st.sampled_from([None, "simple", "complex"]),
    constraints=st.builds(
        Constraints,
        tier=st.sampled_from(list(Tier)),
        region=st.sampled_from([None, "eu"]),
        data_class=st.sampled_from(get_args(DataClass)),
        tokens=st.sampled_from([0, 200]),
    ),
    needs_tools=st.booleans(),
    turn=st.integers(0, 1_000),
    sample=st.floats(0.0, 1.0, exclude_max=True),
    averages=st.dictionaries(
        st.sampled_from(["m0", "m1"]),
        st.builds(Averages, success=st.floats(0, 1), latency_ms=st.none() | st.floats(1, 1e5)),
    ),
    limits=st.dictionaries(st.sampled_from(["m0", "i0", "m2"]), st.just(FULL)),
    spent=st.floats(0, 2),
)


@pytest.mark.req("route.models")
@given(policy=_policies(), facts=st.tuples(FACT, FACT, FACT, FACT), situation=SITUATION)
def test_any_policy_only_orders(policy: RolePolicy, facts: tuple[ModelFact, ...], situation: Situation) -> None:
    """Whoever is not ruled out stands in the chain once, the others do not, and equal inputs give one order."""
    names = ("m0", "m1", "m2", "i0")
    families = {"m0": ("m0", "i0"), "i0": ("m0", "i0"), "m1": ("m1",), "m2": ("m2",)}
    known = {name: replace(fact, family=families[name]) for name, fact in zip(names, facts, strict=True)}
    ordered = order_models(("m0", "m1", "m2"), policy, known, situation)
    assert sorted((*ordered.models, *ordered.ruled_out)) == sorted(names)
    assert ordered == order_models(("m0", "m1", "m2"), policy, known, situation)
    room = [model not in situation.limits for model in ordered.models]
    assert room == sorted(room, reverse=True)
    assert all(ordered.why)
