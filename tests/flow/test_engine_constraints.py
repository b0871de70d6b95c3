"""What a request demands of whoever answers it: data that stays here, regions, and the order of models."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.app import Engine
from engine.errors import AllRoutesUnavailable, EngineClosed, InvalidInput, NoAgentFits
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


@pytest.mark.req("admit.data")
async def test_a_request_within_a_request_is_as_sensitive_as_its_parent(tmp_path: Path):
    """A local handler that hands a patient's question on, as its own words, still stays at home."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        async with Engine.open(settings=await _settings(tmp_path, cloud, home)) as engine:

            async def hand_on(prompt: str) -> str:
                return (await engine.execute("Put it kindly", agent="general", cache="off")).text

            nurse = AgentCapability(name="nurse", description="Hands questions on.", local=True)
            engine.register_agent(nurse, hand_on)
            await engine.execute("How is he?", agent="nurse", data_class="phi")
            kept = (len(cloud.requests), len(home.requests))
            await engine.execute("How is he?", agent="nurse")
        assert (kept, len(cloud.requests)) == ((0, 1), 1)


@pytest.mark.req("route.models")
async def test_asking_who_would_answer_uses_nothing_up(tmp_path: Path):
    """Looking at the route takes no turn of a round robin; asking does."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(
            tmp_path,
            {"one": provider.url, "two": provider.url},
            policies={"general": {"policy": "round_robin"}},
            cache={"enabled": False},
            history={"enabled": False},
        )
        async with Engine.open(settings=settings) as engine:
            looked = [(await engine.route(PLAIN, agent="general")).legs[0].model for _ in range(3)]
            asked = [(await engine.execute(PLAIN, agent="general")).model for _ in range(2)]
    assert (looked, asked) == (["one"] * 3, ["one", "two"])


@pytest.mark.req("route.discover")
async def test_an_agent_is_registered_from_any_thread_and_from_no_closed_engine(tmp_path: Path):
    """It is there when the call returns; after the end of the engine it is a typed error."""
    tides = AgentCapability(name="tides", description="Tide times.", instructions="Answer with times.")
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        async with Engine.open(settings=await _settings(tmp_path, cloud, home)) as engine:
            await asyncio.to_thread(engine.register_agent, tides)
            assert "tides" in {agent.name for agent in engine.agents}
            assert await asyncio.to_thread(engine.unregister_agent, "tides")
        with pytest.raises(EngineClosed):
            engine.register_agent(tides)


@pytest.mark.req("route.train")
async def test_a_bad_artifact_costs_its_skill_and_not_the_service(tmp_path: Path):
    """The shipped head routes on, and ``degraded`` says why."""
    async with ScriptedProvider() as cloud, ScriptedProvider() as home:
        settings = await _settings(tmp_path, cloud, home)
        routing = settings.routing.model_copy(update={"artifact": tmp_path / "nowhere"})
        async with Engine.open(settings=settings.model_copy(update={"routing": routing})) as engine:
            decision = await engine.route("Write a Python function that sorts people by age")
            degraded = dict(engine.degraded)
    assert decision.agent == "python"
    assert decision.head
    assert "there is no trained router" in degraded["router"]


@pytest.mark.req("admit.data")
async def test_personal_data_deep_in_a_long_prompt_is_found(tmp_path: Path):
    """A hundred thousand characters with one address in the middle, across the border of two parts too."""
    async with (
        ScriptedProvider() as cloud,
        ScriptedProvider() as home,
        Engine.open(settings=await _settings(tmp_path, cloud, home)) as engine,
    ):
        for before in (8_180, 50_000):
            text = "cable " * (before // 6) + " grace.hopper@navy-yard.mil " + "cable " * 8_000
            assert (await engine.route(text, agent="general")).legs[0].model == "home"
        assert (await engine.route("cable " * 9_000, agent="general")).legs[0].model == "cloud"
