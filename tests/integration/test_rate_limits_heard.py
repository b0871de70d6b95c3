"""What a provider says about its limits reaches the engine through the real client, whatever the answer is."""

from __future__ import annotations

import pytest

from agents.model import OpenAIChat, open_model
from configs.ratelimit_headers import Quota, RateLimits
from tests.support.provider import RESET, Play, ScriptedProvider, token
from tests.support.routes import KEY, KEY_NAME, listen, settings_for

Heard = list[tuple[str, RateLimits]]
HEADERS = {"X-RateLimit-Remaining-Requests": "2", "X-RateLimit-Reset-Requests": "30s"}
TOLD = RateLimits(requests=Quota(left=2, reset_s=30.0))


def _route(url: str, heard: Heard) -> OpenAIChat:
    return open_model(
        "m", settings_for(url), {KEY_NAME: KEY}, hear=lambda model, said: heard.append((model, said))
    )


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
    model = _route(provider.url, heard)
    await listen(model)
    assert heard == [("m", TOLD)]
    await model.aclose()


@pytest.mark.req("route.adapt")
async def test_a_provider_that_says_nothing_is_not_reported(provider: ScriptedProvider) -> None:
    """No observation is not an observation of nothing."""
    heard: Heard = []
    model = _route(provider.url, heard)
    assert (await listen(model)).text == "ok"
    assert heard == []
    await model.aclose()
