"""Several engines on one state: one breaker for all of them, and a hand on it from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.kernel import Outcome
from engine.app import Engine
from engine.contract import BreakerState
from engine.errors import InvalidInput
from tests.flow.test_cli import config_for, switchgear
from tests.support.engines import engine_settings
from tests.support.provider import ScriptedProvider

BAD = "model:p-bad/bad#none"


@pytest.mark.req("brk.shared")
async def test_what_one_engine_learns_spares_the_other_the_calls(tmp_path: Path):
    """Five failures seen by the first: the second makes no call at all, and says that the breaker is open."""
    async with ScriptedProvider() as provider:
        provider.script(status=500, body="{}", model="bad")
        urls = {"bad": provider.url, "good": provider.url}
        settings = await engine_settings(tmp_path, urls, shield={"retries": 0})
        async with Engine.open(settings=settings) as first, Engine.open(settings=settings) as second:
            for n in range(5):
                await first.execute(f"Tell me about day {n}", cache="off")
            answer = await second.execute("Tell me about day 9", cache="off")
            view = (await second.breakers((BAD,)))[BAD]
        assert len(provider.requests_for("bad")) == 5
    assert (answer.model, answer.attempts[0].outcome, answer.attempts[0].called) == (
        "good",
        Outcome.REFUSED,
        False,
    )
    assert view.state is BreakerState.OPEN


@pytest.mark.req("brk.shared")
async def test_each_engine_on_its_own_learns_for_itself(tmp_path: Path):
    """The twin, with ``breaker.shared`` off: the second engine has to find out too."""
    async with ScriptedProvider() as provider:
        provider.script(status=500, body="{}", model="bad")
        urls = {"bad": provider.url, "good": provider.url}
        settings = await engine_settings(tmp_path, urls, shield={"retries": 0}, breaker={"shared": False})
        async with Engine.open(settings=settings) as first, Engine.open(settings=settings) as second:
            for n in range(5):
                await first.execute(f"Tell me about day {n}", cache="off")
            answer = await second.execute("Tell me about day 9", cache="off")
            assert (first.degraded, second.degraded) == ({}, {})
        assert len(provider.requests_for("bad")) == 6
    assert answer.attempts[0].called is True


@pytest.mark.req("brk.shared")
async def test_an_engine_without_its_state_works_alone_and_says_so(tmp_path: Path):
    """§6: nobody listens at ``redis.state_url``; answers come, and ``degraded`` names what is not shared."""
    async with ScriptedProvider() as provider:
        urls = {"m": provider.url}
        settings = await engine_settings(tmp_path, urls, redis={"state_url": "redis://127.0.0.1:1"})
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute("What is tea?", cache="off")
            degraded = dict(engine.degraded)
    assert answer.text == "ok"
    assert list(degraded) == ["breakers", "registry"]
    assert degraded["breakers"] == "each process is on its own: ConnectionError while talking to the shared state"


@pytest.mark.req("brk.manual", "serve.cli")
async def test_the_command_takes_a_model_out_of_a_running_engine_and_gives_it_back(tmp_path: Path):
    """open: not called any more. clear: called again. Both stand in the history with who and why."""
    async with ScriptedProvider() as provider:
        config = config_for(tmp_path, provider.url)
        listed = await switchgear(tmp_path, "breakers", "--json", config=config)
        (model,) = [row["subject"] for row in json.loads(listed.out) if row["subject"].startswith("model:")]
        asking = ("ask", "What is tea?", "--no-cache", "--json")
        opened = await switchgear(
            tmp_path, "breakers", "open", model, "-r", "drill", "--actor", "ada", config=config
        )
        refused = await switchgear(tmp_path, *asking, config=config)
        seen = await switchgear(tmp_path, "breakers", config=config)
        cleared = await switchgear(tmp_path, "breakers", "clear", model, "--actor", "bob", config=config)
        answered = await switchgear(tmp_path, *asking, config=config)
        moves = await switchgear(tmp_path, "breakers", "history", model, "--json", config=config)
    assert (opened.code, refused.code, cleared.code, answered.code) == (0, 1, 0, 0), refused.err
    assert json.loads(refused.out)["error"]["code"] == "all_routes_unavailable"
    assert "forced_open" in seen.out
    assert "drill (by ada)" in seen.out
    assert json.loads(answered.out)["text"] == "ok"
    assert [(m["after"], m["actor"], m["reason"]) for m in json.loads(moves.out)] == [
        ("forced_open", "ada", "drill"),
        ("closed", "bob", ""),
    ]


@pytest.mark.req("brk.manual", "serve.cli")
async def test_a_breaker_that_nobody_has_is_refused_by_name(tmp_path: Path):
    """A typing error opens nothing; exit code 2 and the nearest name."""
    async with ScriptedProvider() as provider:
        config = config_for(tmp_path, provider.url)
        ran = await switchgear(tmp_path, "breakers", "open", "agent:pyton", config=config)
        watched = await switchgear(tmp_path, "breakers", "watch", "--times", "1", config=config)
    assert (ran.code, watched.code) == (2, 0), ran.err
    assert "did you mean 'agent:python'?" in ran.err
    assert "agent:python" in watched.out


@pytest.mark.req("brk.shared", "brk.manual")
async def test_a_forced_state_outlives_every_process(tmp_path: Path):
    """B16: forced open, everybody leaves and the server stops; the next engine still does not call it."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url, "n": provider.url})
        subject = "model:p-m/m#none"
        async with Engine.open(settings=settings) as engine:
            await engine.force_breaker(subject, BreakerState.FORCED_OPEN, actor="ada", reason="drill")
        async with Engine.open(settings=settings) as engine:
            answer = await engine.execute("What is tea?", cache="off")
            view = (await engine.breakers((subject,)))[subject]
    assert (answer.model, view.state, view.actor) == ("n", BreakerState.FORCED_OPEN, "ada")


@pytest.mark.req("brk.manual")
async def test_orders_from_python_are_taken_as_words_and_refused_by_name(tmp_path: Path):
    """B16: "forced_open" will do; a wrong state, an unknown key and a text that breaks tables will not."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as engine:
            view = await engine.force_breaker("agent:general", "forced_open", actor="ada", reason="drill")
            wrong: dict[str, dict[str, str]] = {
                "invalid_breaker_state": {"state": "opn"},
                "unknown_breaker": {"subject": "agent:generl"},
                "invalid_reason": {"reason": "a\nb"},
                "invalid_actor": {"actor": "x" * 201},
            }
            for code, change in wrong.items():
                order = {"subject": "agent:general", "state": "closed", "actor": "ada", "reason": "", **change}
                with pytest.raises(InvalidInput) as caught:
                    await engine.force_breaker(order.pop("subject"), order.pop("state"), **order)
                assert caught.value.code == code
            after = (await engine.breakers(("agent:general",)))["agent:general"]
    assert (view.state, after.generation) == (BreakerState.FORCED_OPEN, view.generation)
