"""The memory of remaining limits: the last word counts, until its reset, and the policies read it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from configs.catalogue import AgentCapability, ModelSettings, ProviderSettings
from configs.kernel import Message, Money, Principal, Tier
from configs.ratelimit_headers import Quota, RateLimits
from configs.settings import Settings
from engine.cost.prices import PriceBook
from engine.routing.constraints import Constraints, ModelFacts
from engine.routing.contract import Registered, Spending
from engine.routing.facts import facts_for_ordering, prompt_tokens
from engine.routing.limits import LimitBook
from engine.routing.models import ModelFact, Situation
from engine.routing.ordering import ModelOrders
from engine.routing.spending import NoBudget
from tests.support.clock import FakeClock

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AT = Situation(now=NOW, constraints=Constraints(tier=Tier.FREE), prompt_tokens=100, max_tokens=100)
NONE_LEFT = RateLimits(requests=Quota(left=0, reset_s=30.0))


@pytest.mark.req("route.adapt")
def test_an_observation_holds_until_its_reset() -> None:
    """Counted down from when it was heard; one without a reset is believed as long as the settings say."""
    book = LimitBook(believed_s=60.0)
    book.heard("a", RateLimits(requests=Quota(left=3, reset_s=30.0), tokens=Quota(left=9)), 100.0)
    assert book.at(110.0) == {
        "a": RateLimits(requests=Quota(left=3, reset_s=20.0), tokens=Quota(left=9, reset_s=50.0))
    }
    assert book.at(130.0) == {"a": RateLimits(tokens=Quota(left=9, reset_s=30.0))}
    assert book.at(160.0) == {}


@pytest.mark.req("route.adapt")
def test_a_later_observation_replaces_what_it_speaks_of() -> None:
    """A provider that tells only one of its limits has not taken the other one back."""
    book = LimitBook(believed_s=60.0)
    book.heard("a", RateLimits(requests=Quota(left=3, reset_s=30.0), tokens=Quota(left=9)), 0.0)
    book.heard("a", RateLimits(requests=Quota(left=2, reset_s=40.0)), 10.0)
    book.heard("b", RateLimits(requests=Quota(left=7, reset_s=0.0)), 10.0)
    assert book.at(10.0) == {
        "a": RateLimits(requests=Quota(left=2, reset_s=40.0), tokens=Quota(left=9, reset_s=50.0))
    }


@pytest.mark.req("route.adapt")
def test_a_request_under_way_counts_until_the_provider_counts_it() -> None:
    """Against every limit by what it may use; the next answer's own count replaces ours."""
    book = LimitBook(believed_s=60.0)
    some = Quota(left=1_000, reset_s=9.0)
    book.heard("a", RateLimits(requests=some, tokens=some, input_tokens=some, output_tokens=some), 0.0)
    book.took("a", 300, 500)
    book.took("unknown", 300, 500)
    expected = (("requests", 999), ("tokens", 200), ("input_tokens", 700), ("output_tokens", 1_000))
    assert book.at(0.0) == {"a": RateLimits(**{name: Quota(left=left, reset_s=9.0) for name, left in expected})}
    book.took("a", 300, 500)
    assert book.at(0.0)["a"].tokens == Quota(left=0, reset_s=9.0)
    book.heard("a", RateLimits(tokens=some), 1.0)
    assert book.at(1.0)["a"].tokens == some


@pytest.mark.req("route.adapt", "route.models")
def test_a_burst_takes_no_more_than_is_left() -> None:
    """Twelve at once, five left at one key: the sixth goes to whoever comes next, before any answer came."""
    book, clock = LimitBook(60.0), FakeClock()
    orders = _orders(_settings(), book, clock)
    book.heard("b", RateLimits(requests=Quota(left=5, reset_s=30.0)), clock())
    asked = [orders.plan([_agent("talk")], AT, asked=True).roles["talk"][0] for _ in range(12)]
    assert asked == ["b"] * 5 + ["c"] * 7


@pytest.mark.req("route.adapt")
def test_standing_by_uses_nothing_up() -> None:
    """Only the first model of the chosen agent is about to be asked."""
    book = LimitBook(60.0)
    orders = _orders(_settings(), book)
    for model in ("a", "b", "c"):
        book.heard(model, RateLimits(requests=Quota(left=9)), FakeClock()())
    orders.plan([_agent("talk"), _agent()], AT, asked=True)
    left = {model: limits.requests.left for model, limits in book.at(FakeClock()()).items() if limits.requests}
    assert left == {"a": 9, "b": 8, "c": 9}


def _settings(**sections: Any) -> Settings:
    """Models ``a`` and ``a2`` (one model, two keys), ``b``, and the local ``c``."""
    key = {"base_url": "https://x.test/v1", "api_key_env": "X_KEY"}
    given: dict[str, Any] = {
        "providers": {
            "x": ProviderSettings.model_validate({**key, "region": "eu"}),
            "x2": ProviderSettings.model_validate(key),
            "home": ProviderSettings(base_url="http://127.0.0.1:1/v1", local=True),
        },
        "models": {
            "a": ModelSettings(provider="x", model="m", quality=0.8, context_window=900),
            "a2": ModelSettings(provider="x2", model="m", same_as="a", weight=3.0),
            "b": ModelSettings(provider="x", model="n", tools=False),
            "c": ModelSettings(provider="home", model="o"),
        },
        "roles": {"default": ("a", "b", "c"), "talk": ("b", "c")},
        **sections,
    }
    return Settings.model_validate(given)


def _facts(settings: Settings, unusable: dict[str, str] | None = None) -> dict[str, ModelFact]:
    book = PriceBook(settings)
    return facts_for_ordering(
        settings, lambda m: book.per_million(m, now=NOW), book.context_window, {} if unusable is None else unusable
    )


@pytest.mark.req("route.models")
def test_facts_come_from_the_settings_and_the_price_list() -> None:
    """An instance has the quality and the context of its model; an unknown price is the ceiling, local is free."""
    facts = _facts(_settings(ceiling_price={"input": 100.0, "output": 500.0}), {"b": "X_KEY is not set"})
    dear: dict[str, Any] = {"input_micros": 100_000_000, "output_micros": 500_000_000}
    far = ModelFacts(local=False, region="eu", context=None, tools=True)
    both: dict[str, Any] = {**dear, "quality": 0.8, "family": ("a", "a2")}
    assert facts["a"] == ModelFact(can=replace(far, context=900), weight=1.0, **both)
    assert facts["a2"] == ModelFact(can=replace(far, region=None, context=900), weight=3.0, **both)
    assert facts["b"] == ModelFact(
        can=replace(far, tools=False), weight=1.0, **dear, family=("b",), unusable="X_KEY is not set"
    )
    assert facts["c"] == ModelFact(can=replace(far, local=True, region=None), weight=1.0, family=("c",))


@pytest.mark.req("route.models")
def test_the_prices_compared_are_the_dearest_ways_of_billing() -> None:
    """A cache that costs more to write than input costs counts; so do declared prices before listed ones."""
    price = {"input": 1.0, "output": 2.0, "cache_write": 1.25}
    models = {"m": {"provider": "x", "model": "m", "price": price}}
    settings = _settings(models=models, roles={})
    assert PriceBook(settings).per_million("m", now=NOW) == (Money(1_250_000), Money(2_000_000))


def test_a_prompt_is_estimated_by_its_bytes() -> None:
    """Over all messages, in UTF-8."""
    assert prompt_tokens((Message("system", "abcd"), Message("user", "ü" * 6)), 4.0) == 4


def _agent(role: str = "default", **fields: Any) -> Registered:
    own_handler = fields.pop("own_handler", False)
    capability = AgentCapability(name="n", description="d", role=role, **fields)
    return Registered(capability=capability, own_handler=own_handler)


def _orders(settings: Settings, book: LimitBook | None = None, clock: FakeClock | None = None) -> ModelOrders:
    return ModelOrders(
        settings,
        _facts(settings),
        LimitBook(60.0) if book is None else book,
        clock=FakeClock() if clock is None else clock,
        sample=lambda: 0.0,
    )


@pytest.mark.req("route.adapt")
def test_a_model_is_behind_the_others_until_its_reset() -> None:
    """And says so for as long; the clock is the book's own."""
    clock = FakeClock()
    book = LimitBook(60.0)
    orders = _orders(_settings(), book, clock)
    book.heard("b", NONE_LEFT, clock())
    clock.advance(29.0)
    plan = orders.plan([_agent("talk")], AT, asked=True)
    assert (plan.roles, plan.why) == (
        {"talk": ("c", "b")},
        ("talk: b: behind the others, 0 requests left for 1 s",),
    )
    clock.advance(1.0)
    assert orders.plan([_agent("talk")], AT, asked=True).roles == {"talk": ("b", "c")}


@pytest.mark.req("route.models")
def test_standing_by_takes_no_turn() -> None:
    """Who may only fall back on a role leaves its turns alone, or one model could get all that count."""
    orders = _orders(_settings(policies={"talk": {"policy": "round_robin"}}))
    first: Counter[str] = Counter()
    for _ in range(10):
        first[orders.plan([_agent("talk")], AT, asked=True).roles["talk"][0]] += 1
        orders.plan([_agent(), _agent("talk")], AT, asked=True)
    assert first == {"b": 5, "c": 5}


@pytest.mark.req("route.models")
def test_a_plan_has_a_chain_per_role_in_play() -> None:
    """With instances, without what its agent cannot use; handlers have none, unknown roles are the default."""
    orders = _orders(_settings())
    plan = orders.plan([_agent(needs_tools=True), _agent("talk"), _agent(own_handler=True)], AT, asked=True)
    assert plan.roles == {"default": ("a", "a2", "c"), "talk": ("b", "c")}
    assert plan.skipped == {"b": "calls no tools"}
    assert plan.why == ("default: b: calls no tools", "default: a: a of its 2 instances")
    own = orders.plan([_agent("talk", own_handler=True), _agent("gone")], AT, asked=True)
    assert (own.roles, own.skipped) == ({"default": ("a", "a2", "b", "c")}, {})
    twice = orders.plan([_agent(needs_tools=True), _agent()], AT, asked=True)
    assert twice.roles == {"default": ("a", "a2", "c")}


@pytest.mark.req("route.models")
def test_what_no_policy_ordered_meets_the_same_constraints() -> None:
    """Models that a caller names, and the last resort."""
    orders = _orders(_settings())
    personal = replace(AT, constraints=Constraints(tier=Tier.FREE, data_class="pii"))
    assert orders.forbidden("b", personal) == "not local, and pii data stays here"
    assert orders.forbidden("c", personal) == ""


@pytest.mark.req("route.adapt")
async def test_without_a_budget_nothing_of_it_is_spent() -> None:
    """The twin of the ledger's own ``Spending``."""
    spending: Spending = NoBudget()
    assert await spending.share(Principal(user_id="u")) == 0.0
