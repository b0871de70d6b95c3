"""``switchgear train router`` as people and scripts use it, with the real encoder and rows of our own."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from configs.settings import EncoderSettings, Settings
from engine.cli import console
from engine.cli import route as route_command
from engine.cli.main import main
from engine.routing import artifact
from engine.routing.artifact import load_artifact
from tests.support.trained import put_artifact, rows, train, write_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document."""
        return json.loads(self.out)


class Command:
    """The command in this process, in a folder of its own."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *args: str | Path) -> Ran:
        """Run it with ``args``."""
        for cached in (console.out, console.err):
            cached.cache_clear()
        with pytest.raises(SystemExit) as left:
            main([str(arg) for arg in args])
        said = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(code=left.value.code, out=said.out, err=said.err)


@pytest.fixture
def switchgear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return Command(capsys)


def _csv(path: Path, found: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "Question", "team"])
        writer.writerows([i, row["text"], row["agent"]] for i, row in enumerate(found))
    return path


@pytest.mark.req("route.train")
def test_a_csv_becomes_an_artifact_that_routes(switchgear: Command, tmp_path: Path) -> None:
    """Exit code 0, a table for people, four files, and a head that knows a question it has not seen."""
    found = [*rows(), rows()[0], {"text": "", "agent": "sql"}, {**rows()[1], "agent": "viz"}]
    data = _csv(tmp_path / "rows.csv", found)
    out = tmp_path / "out" / "router"
    ran = switchgear(
        "train", "router", data, "--out", out, "--text", "question", "--label", "team", "--licence", "CC0"
    )
    assert (ran.code, ran.err) == (0, "")
    for said in ("accuracy", "macro_f1", "ece", "35 of 39 rows are used", "1 repeated rows count once"):
        assert said in ran.out
    assert "1 texts have more than one label: the majority counts, 2 rows are dropped" in ran.out
    assert f"switchgear route --artifact {out}" in ran.out
    assert sorted(path.name for path in out.iterdir()) == ["MODEL_CARD.md", "card.json", "head.npz", "report.html"]
    artifact = load_artifact(out, EncoderSettings())
    assert artifact.card.rows["used"] == 35
    assert "| Licence of the rows | CC0 |" in (out / "MODEL_CARD.md").read_text(encoding="utf-8")


@pytest.mark.req("route.train")
def test_json_is_one_document_and_the_default_folder_is_in_the_data_folder(
    switchgear: Command, tmp_path: Path
) -> None:
    """The card as it was written, the notes, and where it is."""
    data = write_rows(tmp_path / "rows.jsonl", [*rows(4), {"text": "Pay my bill", "agent": "pyton"}])
    ran = switchgear("train", "router", data, "--json", "--seed", "7")
    assert ran.code == 0, ran.err
    out = tmp_path / "home" / "artifacts" / "router"
    assert ran.json["path"] == str(out)
    assert ran.json["card"] == json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert (ran.json["card"]["seed"], ran.json["card"]["labels"]) == (7, ["python", "pyton", "sql", "viz"])
    assert any("pyton (did you mean python?)" in note for note in ran.json["notes"])
    assert any("1 labels have too few rows to be tested: pyton" in note for note in ran.json["notes"])


@pytest.mark.req("route.train")
def test_one_example_per_label_trains_and_says_that_nothing_was_measured(tmp_path: Path) -> None:
    """No split, so no figures: neither the card nor the report invents one."""
    trained = train(write_rows(tmp_path / "rows.jsonl", rows(1)), tmp_path / "out")
    assert (trained.evaluation, trained.card.metrics) == (None, {})
    assert (trained.card.rows["train"], trained.card.rows["test"]) == (3, 0)
    assert any("there are no figures" in note for note in trained.notes)
    assert "No figures" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert load_artifact(tmp_path / "out", EncoderSettings()).card == trained.card


@pytest.mark.req("route.train")
def test_the_same_rows_and_seed_give_the_same_artifact(tmp_path: Path) -> None:
    """Version and head to the byte; other rows give another, in the place of the old one."""
    data = write_rows(tmp_path / "rows.jsonl", rows(2))
    first, second = (train(data, tmp_path / name) for name in ("a", "b"))
    assert first.card == second.card
    assert (tmp_path / "a" / "head.npz").read_bytes() == (tmp_path / "b" / "head.npz").read_bytes()
    fewer = train(write_rows(tmp_path / "rows.jsonl", rows(1)), tmp_path / "b")
    assert fewer.card.version != first.card.version
    assert load_artifact(tmp_path / "b", EncoderSettings()).card.version == fewer.card.version


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "data_empty"),
        ("text,label\na,python\nb,python\n", "data_single_class"),
        ("text,colour\na,python\n", "data_columns"),
        (b"text,label\n\xff\xfe,python\n", "data_encoding"),
        ("text,label\na,python\nb,billing\n", "data_unknown_agent"),
    ],
)
def test_bad_rows_leave_the_old_artifact_and_say_what_to_do(
    switchgear: Command, tmp_path: Path, content: str | bytes, code: str
) -> None:
    """Exit code 2, a stable code, a hint; the folder is as it was."""
    data = tmp_path / "rows.csv"
    data.write_bytes(content if isinstance(content, bytes) else content.encode())
    out = put_artifact(tmp_path / "router")
    before = load_artifact(out, EncoderSettings()).card
    ran = switchgear("train", "router", data, "--out", out, "--strict", "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
    assert ran.json["error"]["hint"]
    assert load_artifact(out, EncoderSettings()).card == before


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("args", "code"),
    [
        ((), "train_source"),
        (("rows.jsonl", "--from-history"), "train_source"),
        (("--from-history",), "data_empty"),
        (("none.csv",), "data_missing"),
        (("rows.jsonl", "--out", "mine"), "out_not_artifact"),
        (("rows.jsonl", "--finetune"), "train_extra"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    switchgear: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: str
) -> None:
    """No rows, two sources, no history, no file, a folder of somebody else, packages that are not installed."""
    monkeypatch.setattr("engine.training.finetune.NEEDED", ("a_package_nobody_has",))
    write_rows(tmp_path / "rows.jsonl", rows(4))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    ran = switchgear("train", "router", *args, "--json")
    assert (ran.code, ran.json["error"]["code"]) == (2, code)
    assert ran.json["error"]["hint"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "home" / "artifacts" / "router").exists()


@pytest.mark.req("route.train")
def test_route_with_an_artifact_passes_it_on_as_the_setting(
    switchgear: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--artifact`` is ``routing.artifact`` for this one question, even where trained heads are off."""
    seen: list[Settings] = []

    async def note(_question: str, settings: Settings, _as_json: bool) -> None:
        seen.append(settings)

    monkeypatch.setattr(route_command, "_route", note)
    monkeypatch.setattr(artifact, "load_artifact", lambda path, settings: None)
    monkeypatch.setenv("SWITCHGEAR_ROUTING__TRAINED", "false")
    assert switchgear("route", "--artifact", tmp_path / "router", "Add two numbers").code == 0
    assert switchgear("route", "Add two numbers").code == 0
    assert [(s.routing.artifact, s.routing.trained) for s in seen] == [(tmp_path / "router", True), (None, False)]
