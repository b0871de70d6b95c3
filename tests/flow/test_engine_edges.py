"""What a review broke once: bursts, keys, re-registration, closing under way, a killed minder, a cold deadline."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from configs.catalogue import AgentCapability
from configs.kernel import Outcome
from configs.load import load_settings
from configs.settings import Settings
from engine.app import Engine
from engine.contract import BreakerState
from engine.errors import AllRoutesUnavailable, EngineClosed, UnknownName
from engine.sync import SyncEngine
from memory.embedded.status import status
from memory.embedded.values import BackendStatus
from tests.support.engines import closed_port, engine_settings
from tests.support.provider import Play, ScriptedProvider

ECHO = AgentCapability(name="echo", description="Says it again.", cacheable=True)


async def say_a(prompt: str) -> str:
    """One handler."""
    return "A"


async def say_b(prompt: str) -> str:
    """Another one."""
    return "B"


PATIENT = {"timeout_s": 5}
"""For Redis: a busy machine is not what is tested."""


@pytest.mark.req("cache.exact")
async def test_a_thousand_hits_at_once_are_all_hits_and_leave_the_breaker_closed(tmp_path: Path):
    """Waiting for a place at the cache is not the cache's failure."""
    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url}, redis=PATIENT)) as engine,
    ):
        await engine.execute("What is tea?")
        answers = await asyncio.gather(*(engine.execute("What is tea?") for _ in range(1_000)))
        view = (await engine.breakers(("store:redis.cache",)))["store:redis.cache"]
        assert len(provider.requests) == 1
    assert Counter(a.source for a in answers) == {"exact_cache": 1_000}
    assert view.state is BreakerState.CLOSED
    assert engine.degraded == {}


@pytest.mark.req("serve.providers", "cache.write")
async def test_a_model_whose_key_is_not_set_is_no_leg_and_its_absence_no_degradation(tmp_path: Path):
    """One key is enough: the rest of the chain is named as skipped, and repeats are hits."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(
            tmp_path,
            {"m": provider.url},
            roles={role: ["gpt-6-luna", "m"] for role in ("default", "general")},
        )
        async with Engine.open(settings=settings) as engine:
            first = await engine.execute("hello there", agent="general")
            again = await engine.execute("hello there", agent="general")
    assert [attempt.model for attempt in first.attempts] == ["m"]
    assert first.decision.skipped == ("gpt-6-luna: OPENAI_API_KEY is not set",)
    assert first.degraded == ()
    assert again.source == "exact_cache"


@pytest.mark.req("cache.write")
async def test_another_handler_server_or_registration_never_answers_from_the_old_ones_cache(tmp_path: Path):
    """The key covers who would answer now; a version declared by the operator survives a registration."""
    settings = await engine_settings(tmp_path, {"m": closed_port()})
    async with Engine.open(settings=settings) as engine:
        engine.register_agent(ECHO, say_a)
        assert (await engine.execute("x", agent="echo")).text == "A"
        assert (await engine.execute("x", agent="echo")).source == "exact_cache"
        engine.register_agent(ECHO, say_b, replace=True)
        assert (await engine.execute("x", agent="echo")).text == "B"
        versioned = ECHO.model_copy(update={"version": "1"})
        engine.register_agent(versioned, say_a, replace=True)
        assert (await engine.execute("x", agent="echo")).text == "A"
    async with Engine.open(settings=settings) as engine:
        engine.register_agent(versioned, say_b)
        assert (await engine.execute("x", agent="echo")).source == "exact_cache"
    async with ScriptedProvider() as one, ScriptedProvider() as two:
        for provider in (one, two):
            provider.script(reply=f"from {provider.port}")
            async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
                assert (await engine.execute("y", agent="general")).text == f"from {provider.port}"


@pytest.mark.req("cache.write")
async def test_an_answer_under_way_while_its_agent_is_replaced_is_not_stored(tmp_path: Path):
    """Nobody knows whose answer it is; the next one is the new agent's."""
    entered, gate = asyncio.Event(), asyncio.Event()

    async def slow(prompt: str) -> str:
        entered.set()
        await gate.wait()
        return "old"

    async with Engine.open(settings=await engine_settings(tmp_path, {"m": closed_port()})) as engine:
        capability = ECHO.model_copy(update={"version": "1"})
        engine.register_agent(capability, slow)
        asked = asyncio.create_task(engine.execute("x", agent="echo"))
        await entered.wait()
        engine.register_agent(capability.model_copy(update={"version": "2"}), say_b, replace=True)
        gate.set()
        assert (await asked).text == "old"
        engine.register_agent(capability, say_a, replace=True)
        assert (await engine.execute("x", agent="echo")).text == "A"


@pytest.mark.req("serve.python")
async def test_closing_an_engine_ends_its_requests_with_a_typed_error(tmp_path: Path):
    """Whoever waits gets ``EngineClosed``, from execute, stream and the synchronous twin alike."""
    settings = await engine_settings(tmp_path, {"m": closed_port()}, cache={"enabled": False})
    entered, never = asyncio.Event(), asyncio.Event()

    async def hang(prompt: str) -> str:
        entered.set()
        await never.wait()
        return ""

    async with Engine.open(settings=settings) as engine:
        engine.register_agent(ECHO, hang)
        asked = asyncio.create_task(engine.execute("x", agent="echo"))
        await entered.wait()
    with pytest.raises(EngineClosed):
        await asked

    def script() -> None:
        with SyncEngine.open(settings=settings) as engine:
            pass
        with pytest.raises(EngineClosed):
            engine.execute("x")

    await asyncio.to_thread(script)


@pytest.mark.req("brk.fallback")
async def test_a_cold_engine_keeps_the_deadline_too(tmp_path: Path):
    """Loading MiniLM and LangGraph is part of the request that waits for it, and goes on for the next one."""
    script = (
        "import asyncio, sys, time\n"
        "from engine.app import Engine\n"
        "from engine.errors import DeadlineExceeded\n"
        "async def main():\n"
        "    async with Engine.open('local') as engine:\n"
        "        began = time.monotonic()\n"
        "        try:\n"
        "            await engine.execute('hello', deadline_s=0.01)\n"
        "        except DeadlineExceeded:\n"
        "            print(time.monotonic() - began)\n"
        "asyncio.run(main())\n"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "SWITCHGEAR_HOME": str(tmp_path / "data")}
    command = [sys.executable, "-c", script]
    done = await asyncio.to_thread(subprocess.run, command, env=env, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2.0
    assert not (tmp_path / ".cache").exists()


@pytest.mark.req("serve.embedded")
async def test_a_killed_minder_is_replaced_by_the_engine_that_misses_it(tmp_path: Path):
    """Empty, or with what the dying server could still save, it works at once: nobody has to start anything."""
    async with ScriptedProvider() as provider:
        settings = await engine_settings(tmp_path, {"m": provider.url})
        async with Engine.open(settings=settings) as engine:
            await engine.execute("What is tea?")
            backend = await cache_of(settings)
            assert backend.minder_pid is not None
            gone = os.pidfd_open(backend.pid or 0)
            os.kill(backend.minder_pid, signal.SIGKILL)
            await asyncio.to_thread(_wait_for_end, gone)
            await engine.execute("What is tea?")
            again = await engine.execute("What is tea?")
            assert engine.degraded == {}
            new = await cache_of(settings)
    assert (again.source, new.minder_pid != backend.minder_pid) == ("exact_cache", True)


async def cache_of(settings: Settings) -> BackendStatus:
    """The embedded cache as it runs."""
    backends = await asyncio.to_thread(status, settings.data_dir)
    return next(backend for backend in backends if backend.name == "redis.cache")


def _wait_for_end(pidfd: int) -> None:
    import select  # noqa: PLC0415 - Linux only, like the file descriptor it waits on

    select.select([pidfd], [], [], 10.0)
    os.close(pidfd)


async def test_the_local_model_is_found_again_after_its_host_was_killed(tmp_path: Path):
    """kill -9 of the model's process: the next question waits for the new one instead of failing."""
    settings = await asyncio.to_thread(load_settings, "local", environ={}, overrides={"data_dir": str(tmp_path)})
    async with Engine.open(settings=settings) as engine:
        await engine.execute("Say hello.", agent="general", max_tokens=4, cache="off")
        backends = {b.name: b for b in await asyncio.to_thread(status, settings.data_dir)}
        host = backends["model"]
        for pid in (host.pid, host.minder_pid):
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        answer = await engine.execute("Say hello.", agent="general", max_tokens=4, cache="off")
    assert answer.attempts[-1].outcome is Outcome.OK


@pytest.mark.req("brk.manual")
async def test_an_agent_forced_open_is_recorded_as_such(tmp_path: Path):
    """The record shows the breaker that refused, not the one that was never asked."""
    async with ScriptedProvider() as provider:
        provider.script(Play(reply="ok"))
        async with Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine:
            await engine._parts.breakers.force(
                "agent:python", BreakerState.FORCED_OPEN, actor="test", reason="maintenance"
            )
            with pytest.raises(AllRoutesUnavailable) as caught:
                await engine.execute("hi", agent="python", models=["m"])
        assert provider.connections == 0
    attempt = caught.value.attempts[0]
    assert (attempt.outcome, attempt.called, attempt.breaker) == (Outcome.REFUSED, False, "forced_open")


async def test_batch_options_are_checked_before_anything_is_asked(tmp_path: Path):
    """A misspelt option is one error, not a list of them; a callback that raises stops the batch."""
    async with (
        ScriptedProvider() as provider,
        Engine.open(settings=await engine_settings(tmp_path, {"m": provider.url})) as engine,
    ):
        with pytest.raises(UnknownName, match="max_token"):
            await engine.execute_batch(["a", "b"], max_token=5)  # pyright: ignore[reportCallIssue]

        def stop(done: int, total: int) -> None:
            raise KeyError(done)

        with pytest.raises(KeyError):
            await engine.execute_batch(["a", "b", "c"], concurrency=1, on_done=stop)
        assert len(provider.requests) < 3
