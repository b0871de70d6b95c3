"""Variables and ``.env``: what they set, what is refused, and that their values stay hidden."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from configs.environment import Environment, read_environment
from configs.errors import ConfigError
from configs.load import load_settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "path", "arrives"),
    [
        ("SWITCHGEAR_CACHE__TTL_S", "60", ("cache", "ttl_s"), 60),
        ("SWITCHGEAR_REQUEST__DEADLINE_S", "1.5", ("request", "deadline_s"), 1.5),
        ("SWITCHGEAR_CACHE__ENABLED", "false", ("cache", "enabled"), False),
        ("SWITCHGEAR_CACHE__ENABLED", "0", ("cache", "enabled"), False),
        ("SWITCHGEAR_CACHE__ENABLED", "Yes", ("cache", "enabled"), True),
        ("SWITCHGEAR_HOME", "/data", ("data_dir",), Path("/data")),
        ("SWITCHGEAR_DATA_DIR", "/data", ("data_dir",), Path("/data")),
        ("SWITCHGEAR_HOME", "~/data", ("data_dir",), Path("~/data").expanduser()),
        (
            "SWITCHGEAR_ROUTING__FALLBACK_AGENTS",
            "[sql, general]",
            ("routing", "fallback_agents"),
            ("sql", "general"),
        ),
        ("SWITCHGEAR_REDIS__CACHE_URL", "redis://h", ("redis", "cache_url"), SecretStr("redis://h")),
        ("SWITCHGEAR_HOME", "6379", ("data_dir",), Path("6379")),
        ("SWITCHGEAR_CACHE__TTL_S", "", ("cache", "ttl_s"), 86_400),
        ("SWITCHGEAR_CACHE", "{ttl_s: 5, enabled: false}", ("cache", "ttl_s"), 5),
    ],
)
def test_a_variable_sets_its_setting(name: str, value: str, path: tuple[str, ...], arrives: object) -> None:
    """Texts as they are, everything else as YAML; an empty variable is none."""
    here: object = load_settings(environ={name: value})
    for key in path:
        here = getattr(here, key)
    assert here == arrives


def test_variables_reach_into_catalogues() -> None:
    """A provider's URL, a model's price and an agent's role, by name."""
    settings = load_settings(
        environ={
            "SWITCHGEAR_PROVIDERS__OLLAMA__BASE_URL": "http://gpu:11434/v1",
            "SWITCHGEAR_MODELS__SMOLLM2__CONTEXT_WINDOW": "2048",
            "SWITCHGEAR_AGENTS__SQL__ROLE": "code",
            "SWITCHGEAR_AGENTS__SQL__TEMPERATURE": "0.7",
        }
    )
    sql = {agent.name: agent for agent in settings.agents}["sql"]
    assert settings.providers["ollama"].base_url == "http://gpu:11434/v1"
    assert settings.models["smollm2"].context_window == 2048
    assert (sql.role, sql.temperature) == ("code", 0.7)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SWITCHGEAR_REDIS_CACHE_URL", "did you mean SWITCHGEAR_REDIS__CACHE_URL?"),
        ("SWITCHGEAR_CASHE__TTL_S", "did you mean SWITCHGEAR_CACHE__TTL_S?"),
        ("SWITCHGEAR_PROFIL", "did you mean SWITCHGEAR_PROFILE?"),
        ("SWITCHGEAR_CONFG", "did you mean SWITCHGEAR_CONFIG?"),
        ("SWITCHGEAR_PROVIDERS__OLLAMA__URLL", "did you mean"),
        ("SWITCHGEAR_", "did you mean"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_one(name: str, hint: str) -> None:
    """A variable that does nothing would look as if it worked."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={name: "x"})
    (problem,) = caught.value.problems
    assert problem.where == f"variable {name}"
    assert problem.reason.startswith("no such setting; ")
    assert hint in problem.reason


def test_a_wrong_value_names_the_variable_and_the_setting() -> None:
    """Both, because the operator typed one and reads about the other."""
    with pytest.raises(ConfigError, match=r"variable SWITCHGEAR_CACHE__TTL_S: cache\.ttl_s: .*; got 'soon'"):
        load_settings(environ={"SWITCHGEAR_CACHE__TTL_S": "soon"})


def test_the_two_names_of_the_data_folder_may_not_contradict_each_other() -> None:
    """The same value twice is fine."""
    both = {"SWITCHGEAR_HOME": "/a", "SWITCHGEAR_DATA_DIR": "/a"}
    assert load_settings(environ=both).data_dir == Path("/a")
    with pytest.raises(ConfigError, match="SWITCHGEAR_HOME: data_dir: contradicts SWITCHGEAR_DATA_DIR"):
        load_settings(environ=both | {"SWITCHGEAR_DATA_DIR": "/b"})


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    """The file's path, the evaluation folder, and a provider's key that happens to carry our prefix."""
    (tmp_path / "c.yaml").write_text(
        "providers: {mine: {base_url: 'https://h/v1', api_key_env: SWITCHGEAR_MINE_KEY}}\n"
    )
    settings = load_settings(
        environ={
            "SWITCHGEAR_CONFIG": str(tmp_path / "c.yaml"),
            "SWITCHGEAR_EVAL_DATA": "/data",
            "SWITCHGEAR_MINE_KEY": "k",
            "OPENAI_API_KEY": "k",
        }
    )
    assert settings.providers["mine"].api_key_env == "SWITCHGEAR_MINE_KEY"


def test_dotenv_is_read_below_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quotes, comments and ``export`` as everywhere; a variable of the process wins."""
    Path(".env").write_text(
        "# keys\nexport OPENAI_API_KEY='from file'  # the team's\nSWITCHGEAR_CACHE__TTL_S=\"77\"\n"
        "GROQ_API_KEY=file\nEMPTY=\n"
    )
    monkeypatch.setenv("GROQ_API_KEY", "process")
    environ = read_environment()
    names = ("OPENAI_API_KEY", "SWITCHGEAR_CACHE__TTL_S", "GROQ_API_KEY", "EMPTY")
    assert [environ[name] for name in names] == ["from file", "77", "process", ""]


def test_the_mark_that_some_editors_put_first_is_not_part_of_a_name() -> None:
    """A byte order mark would turn the first key into one that nobody asks for."""
    Path(".env").write_bytes(b"\xef\xbb\xbfFIRST=1\n")
    assert read_environment()["FIRST"] == "1"


def test_dotenv_of_another_folder_is_not_read(tmp_path: Path) -> None:
    """Only the working folder's, or the one that is named."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / ".env").write_text("FROM_SUB=1")
    assert "FROM_SUB" not in read_environment()
    assert read_environment(tmp_path / "sub")["FROM_SUB"] == "1"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"OPENAI_API_KEY sk-abcdefghijklmnopqrstuvwx\nB='x\n", "line 2: not a `NAME=value` line"),
        (b"A=\xff", "not UTF-8"),
        (b"#" * 1_048_577, "larger than"),
    ],
)
def test_a_broken_dotenv_is_refused_without_repeating_a_line_of_it(content: bytes, reason: str) -> None:
    """File and line are named; the line itself may be a key."""
    Path(".env").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_environment()
    assert ".env" in str(caught.value)
    assert reason in str(caught.value)
    assert "sk-abc" not in str(caught.value)


def test_the_environment_does_not_show_its_values() -> None:
    """A stray repr in a log must not leak keys."""
    environ = Environment({"OPENAI_API_KEY": "hunter2", "B": "other"})
    assert repr(environ) == "Environment(B, OPENAI_API_KEY: (hidden))"
    assert (environ["B"], len(environ), sorted(environ)) == ("other", 2, ["B", "OPENAI_API_KEY"])


def test_no_misspelt_variable_shows_its_value() -> None:
    """Somebody put a key into the wrong variable."""
    with pytest.raises(ConfigError) as caught:
        load_settings(environ={"SWITCHGEAR_OPENAI_API_KEY": "hunter2", "SWITCHGEAR_CACHE__TTL_S": "a1" * 12})
    assert "hunter2" not in str(caught.value)
    assert "a1a1" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused_without_repeating_anything() -> None:
    """The shell hands over what is not UTF-8 as lone surrogates; no other setting may appear in the message."""
    with pytest.raises(ConfigError) as caught:
        load_settings(
            environ={
                "SWITCHGEAR_REDIS__CACHE_URL": "redis://\udcff",
                "SWITCHGEAR_REDIS__STATE_URL": "redis://hunter2",
            }
        )
    assert str(caught.value) == "variable SWITCHGEAR_REDIS__CACHE_URL: redis.cache_url: must be valid UTF-8"
