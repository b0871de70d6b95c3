"""Experiments in a configuration file: names in them are checked like all others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import load_settings
from configs.settings import Settings


def loaded(path: Path, *arms: dict[str, object], names: tuple[str, ...] = ("trial",)) -> Settings:
    """Settings with these arms in an experiment of each name."""
    file = path / "mine.yaml"
    file.write_text(json.dumps({"experiments": [{"name": name, "arms": list(arms)} for name in names]}))
    return load_settings("local", file, {})


@pytest.mark.req("route.split")
@pytest.mark.parametrize("swap", [{"sqll": "viz"}, {"sql": "vizz"}])
def test_an_arm_that_names_an_unknown_agent_is_refused(tmp_path: Path, swap: dict[str, str]):
    """On either side, with the nearest name; agents that there are load."""
    with pytest.raises(ConfigError, match=r"experiments\[0\]\.arms\[0\]\.agents\..*did you mean '(sql|viz)'"):
        loaded(tmp_path, {"name": "new", "share": 0.1, "agents": swap})
    assert loaded(tmp_path, {"name": "new", "share": 0.1, "agents": {"sql": "viz"}}).experiments[0].by == "user"


@pytest.mark.req("route.split")
def test_an_arm_that_names_an_unknown_model_is_refused(tmp_path: Path):
    """Both names are reported."""
    with pytest.raises(ConfigError, match="unknown model") as caught:
        loaded(tmp_path, {"name": "new", "share": 0.1, "models": {"no-such": "nor-such"}})
    assert len(caught.value.problems) == 2


@pytest.mark.req("route.split")
def test_two_experiments_of_one_name_are_refused(tmp_path: Path):
    """They would share label and counters; two names are fine."""
    arm: dict[str, object] = {"name": "new", "share": 0.1, "agents": {"sql": "viz"}}
    with pytest.raises(ConfigError, match="two experiments"):
        loaded(tmp_path, arm, names=("trial", "trial"))
    assert len(loaded(tmp_path, arm, names=("trial", "other")).experiments) == 2
