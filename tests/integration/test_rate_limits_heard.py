"""What a provider says about its limits reaches the engine through the real client, whatever the answer is."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agents.model import OpenAIChat, open_model
from configs.catalogue import AgentCapability, ModelSettings, ProviderSettings
from configs.kernel import Tier
from configs.ratelimit_headers import Quota, RateLimits
from configs.settings import Settings
from engine.cost.prices import PriceBook
from engine.routing.constraints import Constraints
from engine.routing.contract import Registered
from engine.routing.facts import facts_for_ordering
from engine.routing.limits import LimitBook
from engine.routing.models import Situation
from engine.routing.ordering import ModelOrders
from tests.support.clock import FakeClock
from tests.support.provider import RESET, Play, ScriptedProvider, token
from tests.support.routes import KEY, KEY_NAME, listen, settings_for

Heard = list[tuple[str, RateLimits]]
HEADERS = {"X-RateLimit-Remaining-Requests": "2", "X-RateLimit-Reset-Requests": "30s"}
TOLD = RateLimits(requests=Quota(left=2, reset_s=30.0))


async def _route(url: str, heard: Heard) -> OpenAIChat:
    route = open_model(
        "m", settings_for(url), {KEY_NAME: KEY}, hear=lambda model, said: heard.append((model, said))
    )
    await route.warm()  # seconds of imports on a busy machine, which are no part of the answer
    return route


@pytest.mark.req("route.adapt")
@pytest.mark.parametrize(
    "play",
    [
        pytest.param(Play(headers=HEADERS), id="an answer"),
        pytest.param(Play(status=429, headers=HEADERS), id="too many requests"),
        pytest.param(Play(status=500, headers=HEADERS), id="an error of the server"),
        pytest.param(Play(headers=HEADERS, stream=[token("one "), RESET]), id="a stream that breaks"),
    ],
)
async def test_every_answer_tells_what_is_left(provider: ScriptedProvider, play: Play) -> None:
    """Once per answer, under the id of the model, also when the answer is of no use."""
    provider.script(play)
    heard: Heard = []
    model = await _route(provider.url, heard)
    await listen(model)
    assert heard == [("m", TOLD)]
    await model.aclose()


@pytest.mark.req("route.adapt")
async def test_a_provider_that_says_nothing_is_not_reported(provider: ScriptedProvider) -> None:
    """No observation is not an observation of nothing."""
    heard: Heard = []
    model = await _route(provider.url, heard)
    assert (await listen(model)).text == "ok"
    assert heard == []
    await model.aclose()


@pytest.mark.req("route.adapt", "route.models")
async def test_a_key_that_is_used_up_hands_over_to_the_other_one_until_its_reset(
    provider: ScriptedProvider,
) -> None:
    """Two keys of one provider, one model: the second key answers meanwhile, nobody meets a refusal."""
    keys = {"FIRST_KEY": "sk-first", "SECOND_KEY": "sk-second"}
    settings = Settings(
        providers={name.lower(): ProviderSettings(base_url=provider.url, api_key_env=name) for name in keys},
        models={
            "m": ModelSettings(provider="first_key", model="a"),
            "m-second": ModelSettings(provider="second_key", model="a", same_as="m"),
        },
        roles={"default": ("m",)},
    )
    prices, now, clock = PriceBook(settings), datetime(2026, 11, 21, tzinfo=UTC), FakeClock()
    book = LimitBook(settings.routing.limits_s)
    facts = facts_for_ordering(settings, lambda m: prices.per_million(m, now=now), prices.context_window, {})
    orders = ModelOrders(settings, facts, book, clock=clock, sample=lambda: 0.0)
    routes = {
        name: open_model(name, settings, keys, hear=lambda model, said: book.heard(model, said, clock()))
        for name in settings.models
    }
    for route in routes.values():
        await route.warm()
    asker = Registered(capability=AgentCapability(name="n", description="d"))

    async def ask() -> str:
        plan = orders.plan(
            [asker],
            Situation(now=now, constraints=Constraints(tier=Tier.LOCAL), prompt_tokens=10, max_tokens=10),
            asked=True,
        )
        assert (await listen(routes[plan.roles["default"][0]])).text == "ok"
        return provider.requests[-1].headers["authorization"]

    used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "20s"}
    provider.script(Play(headers=used_up), Play())
    assert [await ask() for _ in range(3)] == ["Bearer sk-first", "Bearer sk-second", "Bearer sk-second"]
    clock.advance(20.0)
    assert await ask() == "Bearer sk-first"
    for route in routes.values():
        await route.aclose()
