"""``switchgear split`` on a configuration with one experiment and a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from configs.load import load_settings
from configs.settings import Settings
from configs.splits import CONTROL
from engine.cli.main import main
from engine.redis_client import connect
from engine.splits.contract import ArmStats, Moments
from engine.splits.redis_splits import RedisSplits, key_of

Command = Callable[..., tuple[int, str]]
ARMS = [{"name": "new", "share": 0.25, "agents": {"sql": "viz"}}]


@pytest.fixture
def command(
    tmp_path: Path, redis_state_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs one on an experiment whose arm was rolled back; exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "data"))
    config = tmp_path / "mine.yaml"
    config.write_text(yaml.safe_dump({"experiments": [{"name": "flow", "arms": ARMS}]}))
    for name, value in (("CONFIG", str(config)), ("REDIS__STATE_URL", redis_state_url), ("REDIS__TIMEOUT_S", "5")):
        monkeypatch.setenv(f"SWITCHGEAR_{name}", value)
    settings = load_settings("local", config, {})
    asyncio.run(_rolled_back(redis_state_url, settings))

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["split", *arguments])
        shown = capsys.readouterr()
        return int(str(left.value.code)), shown.out + shown.err

    return run


async def _rolled_back(url: str, settings: Settings) -> None:
    flow = settings.experiments[0]
    client = connect(url, None, settings.redis.model_copy(update={"timeout_s": 5.0}))
    await client.delete(key_of(flow))
    state = RedisSplits(client, settings.splits)
    some = ArmStats(requests=200, errors=10, cost_micros=Moments(count=200, total=1_000.0, squares=6_000.0))
    await state.add(flow, {CONTROL: some, "new": ArmStats(requests=100, errors=40)})
    await state.halt(flow, "new", "errors 40.0%")
    await client.aclose()


@pytest.mark.req("route.split")
def test_experiments_are_listed_with_the_shares_they_have_now(command: Command):
    """An arm that was rolled back has none, and says why."""
    (listed,) = json.loads(command("list", "--json")[1])
    assert [(arm["arm"], arm["share"], arm["rolled_back"]) for arm in listed["arms"]] == [
        ("control", 1.0, False),
        ("new", 0.0, True),
    ]
    code, shown = command("list")
    assert (code, "errors 40.0%" in " ".join(shown.split())) == (0, True)


@pytest.mark.req("route.split")
def test_a_report_compares_the_arms_with_intervals(command: Command):
    """Requests, error rate and cost from the shared counters; nothing is made up where nothing was counted."""
    control, new = json.loads(command("report", "flow", "--json")[1])["arms"]
    assert (control["requests"], control["error_rate"]["mean"], control["verdict"]) == (200, 0.05, "")
    assert control["error_rate"]["low"] < 0.05 < control["error_rate"]["high"]
    assert control["cost_micros"]["mean"] == 5.0
    assert control["cost_micros"]["low"] < 5.0 < control["cost_micros"]["high"]
    assert (new["verdict"], new["reason"], new["error_rate"]["mean"]) == ("rolled_back", "errors 40.0%", 0.4)
    assert new["quality"] == {"mean": None, "low": None, "high": None}
    code, shown = command("report", "flow")
    assert (code, "rolled back" in shown) == (0, True)


@pytest.mark.req("route.split")
def test_a_person_gives_an_arm_its_traffic_back(command: Command):
    """Once; then it was not rolled back. Its counters begin anew."""
    assert json.loads(command("resume", "flow", "new", "--json")[1])["resumed"] is True
    assert json.loads(command("resume", "flow", "new", "--json")[1])["resumed"] is False
    control, new = json.loads(command("report", "flow", "--json")[1])["arms"]
    assert (control["requests"], new["requests"], new["share"], new["verdict"]) == (0, 0, 0.25, "keep")


@pytest.mark.req("route.split")
def test_a_name_that_is_not_there_is_refused_with_the_nearest(command: Command):
    """Of experiments and of arms."""
    assert command("report", "flwo") == (2, command("report", "flwo")[1])
    assert "'flow'" in command("report", "flwo")[1]
    assert "'new'" in command("resume", "flow", "nwe")[1]
