"""``bench dead-backend``: every figure has its name, and the dead provider itself says how often it was asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from configs.settings import Settings
from engine.bench import dead_backend, peers
from engine.bench.dead_backend import Scenario, measure
from engine.bench.drive import Ask, drive, success
from engine.bench.ours import settings_for, switchgear
from engine.bench.peers import FALLBACK, PRIMARY, Targets
from engine.bench.upstream import Manner, open_upstream
from engine.chaos.provider import ScriptedProvider

TINY = Scenario(
    requests=6,
    concurrency=3,
    warm_up=3,
    rounds=1,
    slow_requests=3,
    model_s=0.001,
    timeout_s=0.05,
    replicas=1,
    open_s=0.001,
    back_s=0.001,
    storm_s=0.001,
)
OF_A_SYSTEM = {"success", "wasted_calls", "p50_ms", "p95_ms", "p95_over_floor"}
PEERS = peers.installed()


@asynccontextmanager
async def _stubborn(settings: Settings, chain: tuple[str, ...] = (PRIMARY, FALLBACK)) -> AsyncGenerator[Ask]:
    """Asks the first of the chain for ever, and the fallback whenever it fails."""
    async with httpx.AsyncClient(timeout=TINY.timeout_s) as client:

        async def ask() -> str | None:
            for model in chain:
                url = f"{settings.providers[model].base_url}/chat/completions"
                try:
                    reply = await client.post(url, json={"model": model, "messages": []})
                except httpx.TimeoutException:
                    continue
                if reply.status_code == httpx.codes.OK:
                    return model
            return None

        yield ask


async def _no_replicas(stage: dead_backend.Stage) -> int:
    del stage
    return 0


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without a breaker in place of the engine, and no processes but the providers'."""
    monkeypatch.setattr(dead_backend, "switchgear", _stubborn)
    monkeypatch.setattr(dead_backend.Stage, "wasted_by_replicas", _no_replicas)


@pytest.mark.req("serve.cli")
async def test_every_figure_of_the_plan_is_there_and_calls_are_counted_by_who_got_them(
    stubborn: None, tmp_path: Path
):
    """Six requests through a chain without a breaker: six calls to the dead one, none by the floors, no peers."""
    steps: list[str] = []
    figures = await measure(Settings(), TINY, tmp_path, {}, steps.append)
    systems = ("floor", "switchgear_floor", "switchgear")
    assert {name.partition(".")[0] for name in figures} == {*systems, "switchgear_1_replicas"}
    for kind in ("error", "hang"):
        assert {f"{system}.{kind}.{name}" for system in systems for name in OF_A_SYSTEM} < set(figures)
        assert figures[f"switchgear.{kind}.success"] == 1.0
        assert figures[f"switchgear.{kind}.wasted_calls"] == TINY.requests
        assert figures[f"floor.{kind}.wasted_calls"] == figures[f"switchgear_floor.{kind}.wasted_calls"] == 0
        assert figures[f"floor.{kind}.p95_over_floor"] == 1.0
        assert figures[f"switchgear_floor.{kind}.p95_over_own_floor"] == 1.0
    assert figures["switchgear.error.recovered_share_within_open_plus_5s"] == 1.0
    assert figures["switchgear.storm.amplification"] == 1.0
    assert figures["switchgear_1_replicas.error.wasted_calls"] == 0
    assert any(step.startswith("hang, round 1: switchgear") for step in steps)


@pytest.mark.req("serve.cli")
async def test_a_provider_in_a_process_of_its_own_says_what_it_was_asked_since_the_last_time():
    """Counts start anew whenever its manner changes; a crowded one answers 503 beyond places and line."""
    async with open_upstream(PRIMARY, FALLBACK) as upstream, httpx.AsyncClient() as client:
        url = f"{upstream.urls[PRIMARY]}/chat/completions"
        await upstream.answer(primary=Manner(status=500))
        statuses = [(await client.post(url, json={"model": PRIMARY})).status_code for _ in range(3)]
        assert statuses == [500] * 3
        assert await upstream.answer(primary=Manner()) == {PRIMARY: 3, FALLBACK: 0}
        assert (await client.post(url, json={"model": PRIMARY, "messages": []})).status_code == 200
        assert await upstream.calls(PRIMARY) == 1
        assert await upstream.calls(PRIMARY) == 0


@pytest.mark.req("serve.cli")
async def test_each_breaker_library_stops_asking_the_dead_one():
    """One after the other, five failures open each of them, and every request is answered by the fallback."""
    libraries = [name for name in peers.LIBRARIES if name in PEERS]
    if not libraries:
        pytest.skip("extra `bench` is not installed")
    async with ScriptedProvider() as dead, ScriptedProvider() as well:
        dead.script(status=500)
        targets = Targets(urls={PRIMARY: dead.url, FALLBACK: well.url}, timeout_s=5.0)
        for name in libraries:
            before = dead.calls[PRIMARY]
            async with PEERS[name](targets) as ask:
                assert success(await drive(ask, 8, 1)) == 1.0
            assert dead.calls[PRIMARY] - before == 5, name
        assert well.calls[FALLBACK] == 8 * len(libraries)


@pytest.mark.req("serve.cli")
def test_a_library_that_is_not_installed_is_not_listed(monkeypatch: pytest.MonkeyPatch):
    """Nothing is imported that is not there, and the report can say what is missing."""
    monkeypatch.setattr(peers, "find_spec", {"langchain_openai": object()}.get)
    assert set(peers.installed()) == {"langchain"}
    assert peers.missing() == ("pybreaker", "circuitbreaker", "purgatory")


@pytest.mark.req("serve.cli")
async def test_the_engine_is_measured_through_its_public_api_on_stores_of_its_own(tmp_path: Path):
    """A dead primary: the answer names the fallback. What the user configured is neither asked nor written."""
    async with ScriptedProvider() as dead, ScriptedProvider() as well:
        dead.script(status=500)
        targets = Targets(urls={PRIMARY: dead.url, FALLBACK: well.url}, timeout_s=5.0)
        settings = settings_for(Settings(), targets, tmp_path, hedge=True)
        assert settings.shield.hedge
        assert not settings.cache.enabled
        assert settings.data_dir == tmp_path
        alone = settings.model_copy(update={"breaker": settings.breaker.model_copy(update={"shared": False})})
        async with switchgear(alone, preload=False) as ask:
            assert await ask() == FALLBACK
        assert dead.calls[PRIMARY] >= 1
        assert well.calls[FALLBACK] == 1
