"""How layers lie on each other, and what a broken shipped file looks like."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from configs import load
from configs.errors import ConfigError
from configs.layers import Layer, Stack, dotted, layer_from, nearest
from configs.yaml_tree import parse_yaml
from tests.support.config import refusal


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shipped files that a test may break."""
    folder = tmp_path / "shipped"
    shutil.copytree(load.SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    monkeypatch.setattr(load, "SHIPPED", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_an_agent_in_two_shipped_files_is_refused_and_both_places_are_named(shipped: Path) -> None:
    """Only the user may change a shipped record; between shipped files it is a mistake."""
    (shipped / "agents" / "z.yaml").write_text("agents:\n- {name: sql, description: Another.}\n")
    with pytest.raises(ConfigError) as caught:
        load.load_settings(environ={})
    (problem,) = caught.value.problems
    assert problem.where == "configs/agents/z.yaml, line 2"
    assert problem.key == "agents.sql"
    assert problem.reason.startswith("the name is taken, see configs/agents/data.yaml, line ")


def test_a_profile_may_not_redefine_a_shipped_agent(shipped: Path) -> None:
    """A profile chooses models; an agent that depends on it would be a second catalogue."""
    path = shipped / "profiles" / "budget.yaml"
    path.write_text(path.read_text() + "agents: [{name: sql, role: code}]\n")
    with pytest.raises(ConfigError, match=r"budget\.yaml, line \d+: agents\.sql: the name is taken"):
        load.load_settings("budget", environ={})


def test_a_profile_without_the_default_role_is_refused(shipped: Path) -> None:
    """Agents that name no role would have no model."""
    (shipped / "profiles" / "local.yaml").write_text(
        "roles: {general: [smollm2], code: [smollm2], research: [smollm2], data: [smollm2]}"
    )
    with pytest.raises(ConfigError, match=r"local\.yaml, line 1: roles: the role 'default' is required"):
        load.load_settings(environ={})


def test_a_missing_shipped_file_is_named(shipped: Path) -> None:
    """A broken installation says so instead of starting without tools."""
    (shipped / "tools.yaml").unlink()
    with pytest.raises(ConfigError, match=r"configs/tools\.yaml: there is no such file"):
        load.load_settings(environ={})


def test_a_variable_may_name_the_file_below_the_home_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``.env`` has no shell that expands ``~``."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load.find_config_file(None, {"SWITCHGEAR_CONFIG": "~/c.yaml"}) == tmp_path / "c.yaml"


def test_a_key_that_is_a_secret_is_not_repeated(tmp_path: Path) -> None:
    """Somebody pasted a key where a name belongs."""
    said = refusal(tmp_path, "models: {sk-abcdefghijklmnopqrstuvw7: {provider: openai}}")
    assert "(hidden): is required" in said
    assert "abcdefghij" not in said


def test_key_paths_read_like_code() -> None:
    """Names by dot, numbers in brackets."""
    assert dotted(("roles", "code", 1)) == "roles.code[1]"
    assert dotted(("agents", 0)) == "agents[0]"


def test_the_nearest_name_is_offered_and_all_of_them_when_none_is_near() -> None:
    """Also when there is nothing to choose from."""
    assert nearest("prmium", ["local", "premium"]) == "did you mean 'premium'?"
    assert nearest("xyz", ["local", "budget"]) == "known: budget, local"
    assert nearest("xyz", []) == "there are none"


def test_mappings_merge_and_everything_else_is_replaced() -> None:
    """A list in a later layer is the whole list; a mapping adds to what is there; null is a value."""
    stack = Stack()
    stack.add(Layer({"a": {"x": 1, "y": [1, 2]}, "b": {"k": 1}, "c": 3}, {("a",): "one", ("a", "x"): "one"}))
    stack.add(Layer({"a": {"y": [3]}, "b": None, "d": {"e": {}}}, {("a",): "two"}))
    assert stack.values == {"a": {"x": 1, "y": [3]}, "b": None, "c": 3, "d": {"e": {}}}
    assert [stack.where(path) for path in (("a", "x"), ("a", "y", 0), ("c",))] == ["one", "two", "settings"]


def test_every_problem_of_a_layer_says_its_line() -> None:
    """Records keep their lines when they are found by name."""
    tree, _ = parse_yaml("agents:\n\n- name: b\n  role: x\n", "f.yaml")
    layer, problems = layer_from(tree, "f.yaml", is_file=True)
    assert problems == []
    assert layer.values == {"agents": {"b": {"name": "b", "role": "x"}}}
    assert layer.places["agents", "b", "role"] == "f.yaml, line 4"
