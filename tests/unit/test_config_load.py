"""Where settings come from, who wins, and how the user's records lie on the shipped ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configs.errors import ConfigError
from configs.load import find_config_file, load_settings, profiles
from configs.settings import Settings
from tests.support.config import load_text


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_file_the_local_profile_and_the_defaults_hold() -> None:
    """Nothing has to be configured, and nothing leaves the machine."""
    settings = load_settings(environ={})
    assert settings.profile == "local"
    assert settings.cache == Settings().cache
    assert {model for chain in settings.roles.values() for model in chain} == {"smollm2"}


def test_each_layer_beats_the_one_below(tmp_path: Path) -> None:
    """Default < profile < file < environment < argument, on one setting."""
    default = load_settings(environ={})
    profile = load_settings("premium", environ={})
    (tmp_path / "switchgear.yaml").write_text("roles: {code: [gpt-6-luna]}\ncache: {ttl_s: 60}")
    file = load_settings("premium", environ={})
    variable = {"SWITCHGEAR_ROLES__CODE": "[claude-haiku-5-5, smollm2]"}
    environ = load_settings("premium", environ=variable)
    argument = load_settings("premium", environ=variable, overrides={"roles": {"code": ("smollm2",)}})
    assert [s.roles["code"] for s in (default, profile, file, environ, argument)] == [
        ("smollm2",),
        ("claude-opus-5-5", "gpt-6-astra", "claude-sonnet-5-5", "smollm2"),
        ("gpt-6-luna",),
        ("claude-haiku-5-5", "smollm2"),
        ("smollm2",),
    ]
    assert (argument.cache.ttl_s, argument.cache.enabled) == (60, True)


def test_the_profile_is_chosen_by_argument_then_overrides_then_variable_then_file() -> None:
    """And ``settings.profile`` says which one it was."""
    Path("switchgear.yaml").write_text("profile: budget")
    variable = {"SWITCHGEAR_PROFILE": "balanced"}
    chosen = [
        load_settings(environ={}),
        load_settings(environ=variable),
        load_settings(environ=variable, overrides={"profile": "premium"}),
        load_settings("local", environ=variable, overrides={"profile": "premium"}),
    ]
    assert [s.profile for s in chosen] == ["budget", "balanced", "premium", "local"]
    assert [s.roles["default"][0] for s in chosen] == [
        "gpt-6-luna",
        "gpt-6.1-terra",
        "claude-opus-5-5",
        "smollm2",
    ]


def test_an_unknown_profile_names_the_nearest_and_is_the_only_problem() -> None:
    """A wrong profile must not also be reported as forty missing names."""
    with pytest.raises(ConfigError) as caught:
        load_settings("ballanced", environ={})
    (problem,) = caught.value.problems
    assert problem.key == "profile"
    assert "did you mean 'balanced'?" in problem.reason


@pytest.mark.parametrize("name", ["", "../budget", "budget.yaml", "no\0pe"])
def test_a_profile_is_a_name_and_never_a_path(name: str) -> None:
    """Nothing outside the shipped folder is read."""
    with pytest.raises(ConfigError, match="unknown profile"):
        load_settings(name, environ={})


def test_a_named_file_must_exist_and_the_one_in_the_working_folder_need_not(tmp_path: Path) -> None:
    """``--config`` and ``SWITCHGEAR_CONFIG`` are promises, ``switchgear.yaml`` is an offer."""
    gone = tmp_path / "gone.yaml"
    assert find_config_file(None, {}) is None
    assert find_config_file(gone, {"SWITCHGEAR_CONFIG": "other.yaml"}) == gone
    assert find_config_file(None, {"SWITCHGEAR_CONFIG": "other.yaml"}) == Path("other.yaml")
    for config_file, environ in ((gone, {}), (None, {"SWITCHGEAR_CONFIG": str(gone)})):
        with pytest.raises(ConfigError, match=r"gone\.yaml: there is no such file"):
            load_settings(config_file=config_file, environ=environ)


def test_a_file_with_the_other_suffix_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    """``switchgear.yml`` would look as if it worked."""
    (tmp_path / "switchgear.yml").write_text("profile: budget")
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={})
    assert "switchgear.yaml" in caught.value.hint


@pytest.mark.parametrize("kind", ["folder", "device", "unreadable"])
def test_what_is_not_a_readable_file_is_refused(kind: str, tmp_path: Path) -> None:
    """A folder, an endless device, a file without permission."""
    path = tmp_path / "config.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(path)
    with pytest.raises(ConfigError, match=r"config\.yaml: (a folder|not a regular file|cannot be read)"):
        load_settings(config_file=path, environ={})


def test_a_known_name_changes_only_the_fields_it_gives(tmp_path: Path) -> None:
    """The rest of a shipped agent, model or provider stays."""
    before = load_settings(environ={})
    after = load_text(
        tmp_path,
        """
        agents: [{name: sql, temperature: 0.5}]
        providers: {openai: {base_url: 'https://eu.api.openai.com/v1'}}
        tools: [{name: git, read_only: false}]
        """,
    )
    sql = {s.name: s for s in before.agents}["sql"]
    assert {s.name: s for s in after.agents}["sql"] == sql.model_copy(update={"temperature": 0.5})
    assert after.providers["openai"].api_key_env == "OPENAI_API_KEY"
    assert {t.name: t for t in after.tools}["git"].providers == ("git",)
    assert [a.name for a in after.agents] == [a.name for a in before.agents]


def test_a_new_name_adds_a_record_and_enabled_false_takes_one_away(tmp_path: Path) -> None:
    """Which is how a shipped agent is disabled."""
    before = {agent.name for agent in load_settings(environ={}).agents}
    after = load_text(
        tmp_path,
        """
        agents:
        - {name: contracts, description: Reads contracts.}
        - {name: rust, enabled: false}
        - {name: python, enabled: true}
        teams: [{name: code, agents: [python, javascript]}]
        """,
    )
    assert {agent.name for agent in after.agents} == before - {"rust"} | {"contracts"}
    assert {team.name: team.agents for team in after.teams}["code"] == ("python", "javascript")


def test_overrides_take_python_values_and_name_themselves_in_problems() -> None:
    """Paths and tuples are fine; anything else that no file could hold is refused."""
    settings = load_settings(environ={}, overrides={"data_dir": Path("here"), "cache": {"enabled": False}})
    assert (settings.data_dir, settings.cache.enabled) == (Path("here"), False)
    with pytest.raises(ConfigError, match=r"argument: cache\.ttl_s: must be greater than 0; got -1"):
        load_settings(environ={}, overrides={"cache": {"ttl_s": -1}})
    for value, reason in ((object(), "cannot be a object"), ("\ud800", "UTF-8"), (10**5_000, "a number beyond")):
        with pytest.raises(ConfigError, match=reason):
            load_settings(environ={}, overrides={"cache": {"ttl_s": value}})


def test_settings_are_frozen_and_their_repr_hides_urls() -> None:
    """Read once; a Redis URL may carry a password."""
    settings = load_settings(environ={"SWITCHGEAR_REDIS__STATE_URL": "redis://:hunter2@h:6379"})
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.cache.ttl_s = 5  # pyright: ignore[reportAttributeAccessIssue] - that is the point


def test_loading_does_not_touch_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in .env must not reach child processes."""
    monkeypatch.setenv("SWITCHGEAR_PROFILE", "budget")
    Path(".env").write_text("OPENAI_API_KEY=from-the-file\nSWITCHGEAR_CACHE__TTL_S=77\n")
    before = dict(os.environ)
    settings = load_settings()
    assert (settings.profile, settings.cache.ttl_s) == ("budget", 77)
    assert dict(os.environ) == before


def test_every_shipped_profile_loads() -> None:
    """All four of cost.presets, each under its own name."""
    assert profiles() == ("balanced", "budget", "local", "premium")
    assert [load_settings(name, environ={}).profile for name in profiles()] == list(profiles())
