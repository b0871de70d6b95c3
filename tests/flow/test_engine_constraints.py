"""What a request demands of whoever answers it: data that stays here, regions, and the order of models."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.settings import Settings
from engine.app import Engine
from engine.errors import AllRoutesUnavailable, InvalidInput, NoAgentFits
from tests.support.engines import engine_settings
from tests.support.provider import Play, ScriptedProvider

PLAIN = "Write a haiku about relays"
PERSONAL = "Write a reminder to grace.hopper@navy-yard.mil about her invoice"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_KEY", "k" * 20)


async def _settings(folder: Path, cloud: ScriptedProvider, home: ScriptedProvider) -> Settings:
    """A chain whose first model is in a cloud and whose second is at home."""
    return await engine_settings(
        folder,
        {"cloud": cloud.url, "home": home.url},
        providers={"p-cloud": {"local": False, "api_key_env": "CLOUD_KEY", "region": "eu"}},
        shield={"retries": 0},
        history={"enabled": False},
    )


@pytest.mark.req("admit.data")
async def test_personal_data_is_asked_of_local_models_only(tmp_path: Path):
    """The same chain: everyday questions go to the cloud, a question with an address never does."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        async with Engine.open(settings=await _settings(tmp_path, cloud, home)) as engine:
            plain = await engine.execute(PLAIN)
            personal = await engine.execute(PERSONAL)
            declared = await engine.execute("Who is it?", data_class="phi")
            with pytest.raises(NoAgentFits) as refused:
                await engine.execute(PERSONAL, models=["cloud"])
            with pytest.raises(NoAgentFits):
                await engine.execute(PERSONAL, region="eu")
        assert (len(cloud.requests), len(home.requests)) == (1, 2)
    assert plain.model == "cloud"
    assert [leg.model for leg in personal.decision.legs] == ["home"]
    assert personal.decision.skipped == ("cloud: not local, and pii data stays here",)
    assert personal.degraded == ()
    assert declared.model == "home"
    assert "grace" not in str(refused.value)


@pytest.mark.req("admit.data")
async def test_no_fallback_carries_personal_data_away(tmp_path: Path):
    """Home is down: an everyday question has the cloud, a personal one has nobody."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        home.script(Play(status=500))
        settings = await _settings(tmp_path, cloud, home)
        turned = settings.model_copy(update={"roles": dict.fromkeys(settings.roles, ("home", "cloud"))})
        async with Engine.open(settings=turned) as engine:
            plain = await engine.execute(PLAIN)
            with pytest.raises(AllRoutesUnavailable) as nobody:
                await engine.execute(PERSONAL)
        assert len(cloud.requests) == 1
    assert plain.model == "cloud"
    assert {attempt.model for attempt in nobody.value.attempts} == {"home"}


@pytest.mark.req("admit.data")
async def test_what_is_not_looked_for_is_believed(tmp_path: Path):
    """With the detector off the caller's word counts, and only that."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        settings = await _settings(tmp_path, cloud, home)
        blind = settings.model_copy(update={"data": settings.data.model_copy(update={"detect": False})})
        async with Engine.open(settings=blind) as engine:
            believed = await engine.execute(PERSONAL)
            told = await engine.execute(PERSONAL, data_class="pii")
    assert (believed.model, told.model) == ("cloud", "home")


@pytest.mark.req("admit.data")
async def test_an_answer_about_a_person_is_posted_nowhere(tmp_path: Path):
    """A webhook would carry it away, so the request is refused before anything is asked."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        settings = await _settings(tmp_path, cloud, home)
        queue = settings.queue.model_copy(update={"webhook_hosts": ("hooks.example.com",)})
        async with Engine.open(settings=settings.model_copy(update={"queue": queue})) as engine:
            with pytest.raises(InvalidInput) as refused:
                await engine.execute(PERSONAL, on_unavailable="queue", webhook="https://hooks.example.com/x")
            fine = await engine.execute(PLAIN, on_unavailable="queue", webhook="https://hooks.example.com/x")
    assert refused.value.code == "invalid_webhook"
    assert fine.model == "cloud"


@pytest.mark.req("route.models")
async def test_a_region_is_kept(tmp_path: Path):
    """Only models of the region are asked; where there is none, the reason is named."""
    async with (
        ScriptedProvider() as cloud,
        ScriptedProvider() as home,
        Engine.open(settings=await _settings(tmp_path, cloud, home)) as engine,
    ):
        answer = await engine.execute(PLAIN, region="eu")
        with pytest.raises(NoAgentFits) as refused:
            await engine.execute(PLAIN, region="mars")
    assert [leg.model for leg in answer.decision.legs] == ["cloud"]
    assert "mars" in str(refused.value)


@pytest.mark.req("route.models", "route.adapt")
async def test_a_policy_orders_the_models_of_each_request(tmp_path: Path):
    """Round robin takes turns, a used-up rate limit stands back, and the record says why."""
    async with ScriptedProvider() as one, ScriptedProvider() as two:
        settings = await engine_settings(
            tmp_path,
            {"one": one.url, "two": two.url},
            policies={"general": {"policy": "round_robin"}},
            history={"enabled": False},
            cache={"enabled": False},
        )
        async with Engine.open(settings=settings) as engine:
            turns = [await engine.execute(PLAIN, agent="general") for _ in range(4)]
            used_up = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "600s"}
            two.script(Play(headers=used_up))
            later = [await engine.execute(PLAIN, agent="general") for _ in range(4)]
    assert [answer.model for answer in turns] == ["one", "two", "one", "two"]
    assert [answer.model for answer in later] == ["one", "two", "one", "one"]
    assert any("round_robin" in why for why in turns[0].decision.models_why)
    assert any("two: behind the others" in why for why in later[-1].decision.models_why)
