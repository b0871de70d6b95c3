"""A benchmark that cannot measure says so in the one tree of errors, and leaves the user's own stores alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from configs.catalogue import AgentCapability
from configs.errors import SwitchgearError
from configs.settings import EmbeddedSettings, RedisSettings, Settings
from engine.app import Engine
from engine.bench import cache, startup
from engine.errors import BenchFailed


def _at_once(command: Sequence[str], folder: Path) -> float:
    del command, folder
    return 0.0


def _no_round(folder: Path) -> dict[str, float]:
    del folder
    return {"help_s": 1.0}


async def _nothing_near(engine: Engine, *_: object) -> dict[str, float]:
    return {"bytes": float((await engine.cache.stats()).bytes_used)}


GENERAL = AgentCapability(name="general", description="Anything.", instructions="Answer.")


@pytest.mark.req("serve.cli")
def test_bench_cache_measures_the_embedded_cache_and_not_the_users(monkeypatch: pytest.MonkeyPatch):
    """With a cache of the user's configured, and switched off, it still hits: in a folder of its own."""
    monkeypatch.setattr(cache, "ROUNDS", 20)
    monkeypatch.setattr(cache, "WARM_UP", 1)
    monkeypatch.setattr(cache, "PROCESSES", ())
    monkeypatch.setattr(cache, "semantic", _nothing_near)
    settings = Settings(
        agents=(GENERAL,),
        redis=RedisSettings(cache_url=SecretStr("unix:///nowhere/users.sock")),
        cache=Settings().cache.model_copy(update={"enabled": False}),
    )
    report = cache.run(settings)
    assert report.figures["exact.p50_ms"] > 0
    assert report.figures["bytes"] > 0


@pytest.mark.req("serve.cli")
def test_bench_cache_without_its_redis_says_why():
    """A start that is given no time: the reason, not a claim about hits."""
    with pytest.raises(BenchFailed, match=r"the embedded cache did not start: .+"):
        cache.run(Settings(agents=(GENERAL,), embedded=EmbeddedSettings(start_s=0.001)))


@pytest.mark.req("serve.cli")
@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('first\\nno such model')", "exit code 1: no such model"),
        ("""import sys; print('{"error": {"message": "no route"}}'); sys.exit(3)""", "exit code 3: no route"),
        ("import sys; sys.exit(4)", "exit code 4: it said nothing"),
    ],
)
def test_a_process_that_fails_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
):
    """Not ``CalledProcessError``, which the command would report as a bug of its own."""
    monkeypatch.setattr(startup, "OPEN", program)
    monkeypatch.setattr(startup, "_wall_s", _at_once)
    with pytest.raises(BenchFailed) as caught:
        startup.one_round(tmp_path)
    assert said in str(caught.value)
    assert isinstance(caught.value, SwitchgearError)
    assert sys.executable not in str(caught.value)


@pytest.mark.req("serve.cli")
def test_the_report_says_what_its_memory_figure_is(monkeypatch: pytest.MonkeyPatch):
    """The largest child: neither Redis nor the model host is a child of the benchmark."""
    monkeypatch.setattr(startup, "one_round", _no_round)
    report = startup.run(Settings())
    assert report.figures["rss_mb"] > 0
    assert any("largest single child" in note and "model host" in note for note in report.notes)
