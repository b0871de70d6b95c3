"""``doctor``'s checks on whole engines: what is free is asked for real, what costs money is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.app import Engine
from engine.health import Check, check_engine
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import Play, ScriptedProvider


async def checks_of(
    folder: Path, urls: dict[str, str], environ: dict[str, str], **sections: Any
) -> dict[str, Check]:
    """Every check of an engine on these models, by name."""
    settings = await engine_settings(folder, urls, **sections)
    async with Engine.open(settings=settings, preload=False) as engine:
        return {check.name: check for check in await check_engine(engine, environ, lambda _: None)}


@pytest.mark.req("obs.health")
async def test_a_local_server_is_asked_for_real_and_a_cloud_one_is_not(tmp_path: Path):
    """One answers, one is not there and says so, one costs money: only its key is looked at."""
    async with ScriptedProvider() as up, ScriptedProvider() as cloud:
        up.script(Play(reply="Hello there."))
        checks = await checks_of(
            tmp_path,
            {"up": up.url, "down": closed_port(), "cloud": cloud.url},
            {"CLOUD_KEY": "k"},
            providers={"p-cloud": {"local": False, "api_key_env": "CLOUD_KEY"}},
        )
        assert len(up.requests) == 1
        assert cloud.connections == 0
    assert (checks["model up"].verdict, checks["model up"].detail) == ("ok", "answered 2 tokens")
    assert checks["model down"].verdict == "fail"
    assert "down" in checks["model down"].detail
    assert checks["model cloud"].verdict == "ok"
    assert checks["model cloud"].detail == "key is set; not asked, since that costs money"


@pytest.mark.req("obs.health")
async def test_a_local_server_that_hangs_costs_no_more_than_the_checks_own_time(tmp_path: Path):
    """It accepts and says nothing: a failure after ``request.check_s``, not after the request's two minutes."""
    async with ScriptedProvider() as mute:
        mute.script(Play(gate=asyncio.Event()))
        checks = await checks_of(tmp_path, {"mute": mute.url}, {}, request={"check_s": 3.0})
    assert checks["model mute"].verdict == "fail"
    assert "deadline" in checks["model mute"].detail  # not the 30 s that the shield gives a first token


@pytest.mark.req("obs.health", "brk.shared")
async def test_breakers_without_their_state_are_named(tmp_path: Path):
    """Shared: fine. A named server that is not there: a failure. Switched off: said, and fine."""
    async with ScriptedProvider() as up:
        shared = await checks_of(tmp_path / "a", {"up": up.url}, {})
        gone = await checks_of(tmp_path / "b", {"up": up.url}, {}, redis={"state_url": "redis://127.0.0.1:1"})
        off = await checks_of(tmp_path / "c", {"up": up.url}, {}, breaker={"shared": False})
    assert [checks["breakers"].verdict for checks in (shared, gone, off)] == ["ok", "fail", "ok"]
    assert "redis.state" in gone["breakers"].detail
    assert "breaker.shared" in off["breakers"].detail
