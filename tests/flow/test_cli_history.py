"""``switchgear history`` on a data folder that an engine has written to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.cli.main import main
from engine.history.store import RowStore
from tests.support.history import EMPTY, NOW_S, SETTINGS, row

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs one on a history of three rows; exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "data"))
    store = RowStore(SETTINGS, tmp_path / "data", EMPTY)
    plain = {"decision": "{}", "cost_micros": 1}
    store.write([row(1, **plain), row(2, agent="viz", **plain), row(3, outcome="no_route", **plain)], NOW_S)
    store.close()

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as left:
            main(["history", *arguments])
        shown = capsys.readouterr()
        return int(str(left.value.code)), shown.out + shown.err

    return run


@pytest.mark.req("route.history")
def test_the_latest_requests_are_listed_without_their_texts(command: Command):
    """For a person as a table, for a program as JSON, the newest first; filters narrow it down."""
    code, shown = command("--json", "--limit", "2")
    rows = json.loads(shown)
    assert (code, [one["id"] for one in rows]) == (0, ["row-3", "row-2"])
    assert not {"prompt", "answer", "embedding", "decision"} & set(rows[0])
    assert [one["id"] for one in json.loads(command("--json", "--agent", "viz")[1])] == ["row-2"]
    code, shown = command()
    assert (code, "no_route" in shown, "question" in shown) == (0, True, False)


@pytest.mark.req("route.history")
def test_an_export_is_json_lines_for_its_owner_only(command: Command, tmp_path: Path):
    """Every row with its texts, oldest first; a file that cannot be written leaves none half written."""
    file = tmp_path / "rows.jsonl"
    assert command("export", str(file), "--json") == (
        0,
        json.dumps({"rows": 3, "file": str(file)}, indent=2) + "\n",
    )
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["prompt"][0]["content"] for one in rows] == ["question 1", "question 2", "question 3"]
    assert file.stat().st_mode & 0o777 == 0o600
    code, shown = command("export", str(tmp_path / "none" / "rows.jsonl"))
    assert (code, "cannot be written" in shown) == (2, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "rows.jsonl"]


@pytest.mark.req("route.history", "obs.privacy")
def test_a_user_is_forgotten_by_hand(command: Command, tmp_path: Path):
    """The tenant counts: the same name elsewhere is somebody else."""
    assert json.loads(command("forget", "ada", "--json")[1]) == {"rows": 0}
    assert json.loads(command("forget", "ada", "--tenant", "acme", "--json")[1]) == {"rows": 3}
    command("export", str(tmp_path / "rows.jsonl"))
    assert "question" not in (tmp_path / "rows.jsonl").read_text()


@pytest.mark.req("obs.privacy")
def test_an_export_follows_no_link_that_somebody_put_in_its_way(command: Command, tmp_path: Path):
    """The file that the link names is not written to, and the export is whole all the same."""
    folder = tmp_path / "shared"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (folder / ".rows.jsonl.part").symlink_to(victim)
    assert command("export", str(folder / "rows.jsonl"))[0] == 0
    assert victim.read_text() == "mine"
    assert len((folder / "rows.jsonl").read_text().splitlines()) == 3
    assert {one.name for one in folder.iterdir()} == {".rows.jsonl.part", "rows.jsonl"}


@pytest.mark.req("route.history", "obs.privacy")
@pytest.mark.parametrize("who", [[""], [" "], ["ada", "--tenant", ""]])
def test_nobody_is_forgotten_by_an_empty_name(command: Command, who: list[str]):
    """A variable that a script forgot to set is refused by name, not taken for somebody without rows."""
    code, shown = command("forget", *who)
    assert (code, "an empty id is nobody's" in shown) == (2, True)


@pytest.mark.req("route.history", "obs.privacy")
def test_a_name_without_rows_is_said_with_its_tenant(command: Command):
    """A user of another tenant looks the same; the twin says how many."""
    code, shown = command("forget", "ada")
    assert (code, " ".join(shown.split())) == (
        0,
        "nobody of the name ada has rows with content (tenant default)",
    )
    assert "3 rows of ada" in command("forget", "ada", "--tenant", "acme")[1]


@pytest.mark.req("route.history")
def test_an_option_before_a_subcommand_is_refused(command: Command):
    """It would be lost otherwise."""
    assert command("--json", "export", "x")[0] == 2
