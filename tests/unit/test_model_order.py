"""The order of a role's models: the nine policies, constraints, limits, time and budget, by literal tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from configs.kernel import Tier
from configs.policies import RolePolicy
from configs.ratelimit_headers import Quota, RateLimits
from engine.routing.constraints import Constraints, ModelFacts
from engine.routing.models import ModelFact, Ordered, Situation, order_models
from engine.types import Averages

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AT = Situation(now=NOON, constraints=Constraints(tier=Tier.FREE), prompt_tokens=1_000, max_tokens=500)
US = ModelFacts(local=False, region="us", context=None, tools=True)
EU = replace(US, region="eu")
FACTS = {
    "big": ModelFact(can=US, input_micros=5_000_000, output_micros=20_000_000, quality=0.9, weight=2.0),
    "mid": ModelFact(can=EU, input_micros=1_000_000, output_micros=9_000_000, quality=0.7, weight=1.0),
    "lean": ModelFact(can=US, input_micros=3_000_000, output_micros=3_000_000, quality=0.6, weight=5.0),
    "home": ModelFact(can=ModelFacts(local=True, region=None, context=4_096, tools=False), weight=1.0),
}
CHAIN = ("big", "mid", "lean", "home")


def _order(policy: dict[str, Any], situation: Situation = AT) -> Ordered:
    return order_models(CHAIN, RolePolicy.model_validate(policy), FACTS, situation)


def _averages(**latency_ms: float | None) -> dict[str, Averages]:
    return {model: Averages(success=1.0, latency_ms=ms) for model, ms in latency_ms.items()}


@pytest.mark.req("route.models")
@pytest.mark.parametrize(
    ("policy", "asked", "expected", "why"),
    [
        pytest.param({}, {}, "big mid lean home", (), id="fixed"),
        pytest.param(
            {"policy": "cheapest"}, {}, "home lean mid big", ("cheapest: for at most 1500 tokens",), id="cheapest"
        ),
        pytest.param(
            {"policy": "cheapest"},
            {"prompt_tokens": 4_000, "max_tokens": 50},
            "home mid lean big",
            ("cheapest: for at most 4050 tokens",),
            id="cheapest depends on the request",
        ),
        pytest.param(
            {"policy": "cheapest", "quality_min": 0.7},
            {},
            "mid big lean home",
            ("cheapest: for at most 1500 tokens",),
            id="cheapest that is good enough",
        ),
        pytest.param(
            {"policy": "fastest"},
            {"averages": _averages(big=900.0, mid=300.0, lean=500.0, home=2_000.0)},
            "mid lean big home",
            ("fastest: mid, 300 ms",),
            id="fastest",
        ),
        pytest.param(
            {"policy": "fastest"},
            {"averages": _averages(big=900.0, mid=300.0, lean=None, home=2_000.0)},
            "lean mid big home",
            ("fastest: lean, not measured yet",),
            id="fastest measures who is unknown",
        ),
        pytest.param(
            {"policy": "fastest"},
            {
                "averages": _averages(big=900.0, lean=500.0, home=2_000.0)
                | {"mid": Averages(success=0.5, latency_ms=300.0)}
            },
            "lean mid big home",
            ("fastest: lean, 500 ms",),
            id="fastest counts failures as time",
        ),
        pytest.param(
            {"policy": "fastest"},
            {
                "averages": _averages(big=900.0, lean=500.0, home=2_000.0)
                | {"mid": Averages(success=0.0, latency_ms=1.0)}
            },
            "lean big home mid",
            ("fastest: lean, 500 ms",),
            id="fastest to fail is last",
        ),
        pytest.param(
            {"policy": "fastest"},
            {
                "averages": _averages(big=900.0, lean=500.0, home=2_000.0)
                | {"mid": Averages(success=0.01, count=60)}
            },
            "lean big home mid",
            ("fastest: lean, 500 ms",),
            id="fastest puts one that has never answered last",
        ),
        pytest.param(
            {"policy": "fastest", "probe_every": 10},
            {"averages": _averages(big=900.0, mid=300.0, lean=500.0, home=2_000.0), "turn": 19},
            "lean mid big home",
            ("fastest: lean is asked first to measure it",),
            id="fastest probes in turn",
        ),
        pytest.param(
            {"policy": "weighted"},
            {"sample": 0.0},
            "big mid lean home",
            ("weighted: big was drawn",),
            id="weighted",
        ),
        pytest.param(
            {"policy": "weighted"},
            {"sample": 0.5},
            "lean big mid home",
            ("weighted: lean was drawn",),
            id="weighted draws one and leaves the rest",
        ),
        pytest.param(
            {"policy": "round_robin"},
            {"turn": 6},
            "lean home big mid",
            ("round_robin: it is the turn of lean",),
            id="round robin",
        ),
        pytest.param(
            {"policy": "by_complexity", "complexities": {"complex": ["lean", "mid"]}},
            {"complexity": "complex"},
            "lean mid big home",
            ("by_complexity: complex, lean, mid first",),
            id="by complexity",
        ),
        pytest.param(
            {"policy": "by_complexity", "complexities": {"complex": ["lean"]}},
            {},
            "big mid lean home",
            ("by_complexity: unknown, no rule",),
            id="by a complexity nobody knows",
        ),
        pytest.param(
            {"policy": "by_length", "lengths": [{"up_to": 999, "models": ["home"]}, {"models": ["lean"]}]},
            {},
            "lean big mid home",
            ("by_length: about 1000 tokens, lean first",),
            id="by length",
        ),
        pytest.param(
            {"policy": "by_length", "lengths": [{"up_to": 1_000, "models": ["home"]}]},
            {},
            "home big mid lean",
            ("by_length: about 1000 tokens, home first",),
            id="by length, the bound included",
        ),
        pytest.param(
            {"policy": "by_length", "lengths": [{"up_to": 10, "models": ["home"]}]},
            {},
            "big mid lean home",
            ("by_length: about 1000 tokens, no rule",),
            id="longer than every rule",
        ),
        pytest.param(
            {"policy": "by_tier", "tiers": {"free": ["home"], "pro": ["mid"]}},
            {"constraints": Constraints(tier=Tier.PRO)},
            "mid big lean home",
            ("by_tier: pro, mid first",),
            id="by tier",
        ),
        pytest.param(
            {"policy": "by_region", "regions": ["eu", "us"]},
            {},
            "mid big lean home",
            ("by_region: eu, us first",),
            id="by region",
        ),
    ],
)
def test_each_policy_orders_the_chain(
    policy: dict[str, Any], asked: dict[str, Any], expected: str, why: tuple[str, ...]
) -> None:
    """Every model stays, ties keep the order of the chain, and one line says what decided."""
    ordered = _order(policy, replace(AT, **asked))
    assert ordered == Ordered(models=tuple(expected.split()), why=why)


def _constrained(**fields: Any) -> dict[str, Constraints]:
    return {"constraints": Constraints(tier=Tier.FREE, **fields)}


CLOUD = ("big", "mid", "lean")
NO_TOOLS = {"home": "calls no tools"}
PHI = dict.fromkeys(CLOUD, "not local, and phi data stays here")


@pytest.mark.req("route.models")
@pytest.mark.parametrize(
    ("asked", "expected", "out"),
    [
        (_constrained(tokens=5_000), "big mid lean", {"home": "holds 4096 tokens of 5000"}),
        ({"needs_tools": True}, "big mid lean", NO_TOOLS),
        (
            _constrained(region="eu"),
            "mid",
            {**dict.fromkeys(("big", "lean"), "in region us, not eu"), "home": "in region unknown, not eu"},
        ),
        (_constrained(local_only=True), "home", dict.fromkeys(CLOUD, "not local, and the data stays here")),
        (_constrained(data_class="phi"), "home", PHI),
        ({**_constrained(data_class="phi"), "needs_tools": True}, "", PHI | NO_TOOLS),
    ],
)
def test_only_constraints_take_models_out(asked: dict[str, Any], expected: str, out: dict[str, str]) -> None:
    """The same that rule out agents, each with its reason; nobody may be left."""
    ordered = _order({}, replace(AT, **asked))
    assert ordered.models == tuple(expected.split())
    assert ordered.ruled_out == out
    assert sorted(ordered.why) == sorted(f"{model}: {reason}" for model, reason in out.items())


@pytest.mark.req("route.models")
def test_models_without_a_key_are_left_out_unless_nobody_has_one() -> None:
    """Then they stay, so that the error of the chain names every reason."""
    lacking = {m: replace(FACTS[m], unusable="X_KEY is not set") for m in ("big", "lean", "mid")}
    ordered = order_models(CHAIN, RolePolicy(), {**FACTS, **lacking}, AT)
    assert ordered.models == ("home",)
    assert ordered.ruled_out == dict.fromkeys(("big", "mid", "lean"), "X_KEY is not set")
    alone = order_models(("big", "mid"), RolePolicy(), lacking, AT)
    assert (alone.models, alone.ruled_out) == (("big", "mid"), {})


def _limits(**quotas: Quota) -> RateLimits:
    return RateLimits(**quotas)


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    ("limits", "lack"),
    [
        (_limits(requests=Quota(left=0, limit=60, reset_s=12.4)), "0 requests left for 12 s"),
        (_limits(requests=Quota(left=1)), ""),
        (_limits(tokens=Quota(left=1_499)), "1499 tokens left"),
        (_limits(tokens=Quota(left=1_500, reset_s=3.0)), ""),
        (_limits(input_tokens=Quota(left=999, reset_s=3.0)), "999 input tokens left for 3 s"),
        (_limits(input_tokens=Quota(left=1_000)), ""),
        (_limits(output_tokens=Quota(left=0, reset_s=3.0)), "0 output tokens left for 3 s"),
        (_limits(output_tokens=Quota(left=1)), ""),
    ],
)
def test_a_model_without_room_goes_behind_all_others(limits: RateLimits, lack: str) -> None:
    """Prompt and answer count against tokens, the prompt against input tokens; the line says what is left."""
    ordered = _order({}, replace(AT, limits={"big": limits}))
    assert ordered.models == (("mid", "lean", "home", "big") if lack else CHAIN)
    assert ordered.why == ((f"big: behind the others, {lack}",) if lack else ())


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize("policy", ["fixed", "weighted", "round_robin", "cheapest", "fastest"])
def test_no_policy_puts_a_model_without_room_first(policy: str) -> None:
    """Whatever the draw or the turn; with nobody left who has room, the order is the policy's own."""
    none_left = RateLimits(requests=Quota(left=0))
    for step in range(8):
        asked = replace(AT, turn=step, sample=step / 8, limits=dict.fromkeys(("big", "home"), none_left))
        assert set(_order({"policy": policy}, asked).models[:2]) == {"mid", "lean"}
        asked = replace(asked, limits=dict.fromkeys(CHAIN, none_left))
        assert set(_order({"policy": policy}, asked).models) == set(CHAIN)


NIGHT = {"start": "22:00", "end": "06:30", "zone": "Europe/Zurich", "models": ["lean"]}
ZURICH = ZoneInfo("Europe/Zurich")


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    ("now", "applies"),
    [
        (datetime(2026, 11, 21, 21, 59, 59, tzinfo=ZURICH), False),
        (datetime(2026, 11, 21, 22, 0, tzinfo=ZURICH), True),
        (datetime(2026, 11, 22, 0, 0, tzinfo=ZURICH), True),
        (datetime(2026, 11, 22, 6, 29, 59, tzinfo=ZURICH), True),
        (datetime(2026, 11, 22, 6, 30, tzinfo=ZURICH), False),
        # The same hour of UTC before and after the clocks change, on both edges.
        (datetime(2026, 3, 28, 5, 15, tzinfo=UTC), True),
        (datetime(2026, 3, 29, 4, 15, tzinfo=UTC), True),
        (datetime(2026, 3, 29, 4, 45, tzinfo=UTC), False),
        (datetime(2026, 10, 24, 4, 45, tzinfo=UTC), False),
        (datetime(2026, 10, 25, 4, 45, tzinfo=UTC), True),
    ],
)
def test_a_rule_of_the_night_goes_by_the_clock_on_the_wall(now: datetime, applies: bool) -> None:
    """Over midnight, end excluded, and through both changes of summer time."""
    ordered = _order({"times": [NIGHT]}, replace(AT, now=now))
    assert ordered.models[0] == ("lean" if applies else "big")
    assert ordered.why == (("22:00 to 06:30 Europe/Zurich: lean first",) if applies else ())


@pytest.mark.req("route.adapt")
def test_an_hour_that_comes_twice_applies_twice_and_one_that_is_skipped_not_at_all() -> None:
    """02:00 to 03:00 in Zurich: four half hours on the last Sunday of October, none on the last of March."""
    rule = {"start": "02:00", "end": "03:00", "zone": "Europe/Zurich", "models": ["lean"]}

    def half_hours(day: datetime) -> int:
        halves = [replace(AT, now=day.replace(hour=h, minute=m)) for h in range(6) for m in (0, 30)]
        return sum(_order({"times": [rule]}, half).models[0] == "lean" for half in halves)

    assert half_hours(datetime(2026, 10, 25, tzinfo=UTC)) == 4
    assert half_hours(datetime(2026, 3, 29, tzinfo=UTC)) == 0
    assert half_hours(datetime(2026, 3, 28, tzinfo=UTC)) == 2


@pytest.mark.req("route.adapt")
def test_the_first_rule_of_the_time_that_applies_counts() -> None:
    """Later ones are for the time that earlier ones leave."""
    rules = [
        {"start": "11:00", "end": "13:00", "models": ["mid"]},
        {"start": "00:00", "end": "23:59", "models": ["lean"]},
    ]
    assert _order({"times": rules}).models[0] == "mid"
    assert _order({"times": rules}, replace(AT, now=NOON.replace(hour=13))).models[0] == "lean"


BUDGET = {
    "budget_rules": [
        {"from_share": 0.8, "models": ["lean", "mid"]},
        {"from_share": 0.95, "models": ["home"], "local_only": True},
    ],
    "times": [{"start": "00:00", "end": "23:59", "models": ["mid"]}],
    "policy": "cheapest",
}


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    ("spent", "expected", "line"),
    [
        (0.0, "mid home lean big", None),
        (0.79, "mid home lean big", None),
        (0.8, "lean mid home big", "80% of the daily budget is spent: lean, mid first"),
        (0.95, "home", "95% of the daily budget is spent: home first; local models only"),
        (7.0, "home", "700% of the daily budget is spent: home first; local models only"),
    ],
)
def test_the_budget_comes_before_the_time_and_that_before_the_policy(
    spent: float, expected: str, line: str | None
) -> None:
    """The last rule that is reached counts."""
    ordered = _order(BUDGET, replace(AT, spent=spent))
    assert ordered.models == tuple(expected.split())
    away = () if len(ordered.models) > 1 else CLOUD
    assert ordered.ruled_out == dict.fromkeys(away, "not local, and the budget leaves nothing else")
    assert [text for text in ordered.why if "budget is spent" in text] == ([] if line is None else [line])


def test_a_moment_without_a_time_zone_is_refused() -> None:
    """It would be read in the zone of whatever machine this runs on."""
    with pytest.raises(ValueError, match="time zone"):
        replace(AT, now=datetime(2026, 11, 21, 12, 0))  # noqa: DTZ001 - what is refused here
