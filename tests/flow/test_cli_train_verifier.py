"""``switchgear train verifier`` as people use it, with the real encoder and pairs of our own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.settings import EncoderSettings, Settings
from engine.cache.question import Question
from engine.cache.verifier_file import CARD, FILE, load_verifier
from engine.cli import console
from engine.cli.main import main
from engine.routing.encoder import load_encoder
from engine.training.pairs.read import read_pairs
from engine.training.verifier_job import cleaned, fitted_verifier, learn_from

TOPICS = (
    "repair a bike chain",
    "bake rye bread",
    "learn to swim",
    "paint a door",
    "run a marathon",
    "plant tulips",
)


def _run(capsys: pytest.CaptureFixture[str], *args: str | Path) -> tuple[int, str, str]:
    for cached in (console.out, console.err):
        cached.cache_clear()
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    said = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, said.out, said.err


def _pairs(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["q1", "q2", "same"])
        for topic in TOPICS:
            out.writerow([f"How do I {topic}?", f"What is the best way to {topic}?", 1])
            out.writerow([f"How do I {topic}?", f"How long does it take to {topic}?", 0])
    return path


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWITCHGEAR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.req("cache.verify")
def test_pairs_of_ones_own_become_a_verifier_that_can_be_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns are named, JSON is one document, the card says what it was made from; an older one is replaced."""
    pairs, out_dir = _pairs(tmp_path / "mine.csv"), tmp_path / "verifier"
    (tmp_path / "few.yaml").write_text("train: {verifier_edits: 3}", encoding="utf-8")
    command = ("train", "verifier", pairs, "--columns", "q1,q2,same", "--licence", "CC0-1.0", "--out", out_dir)
    code, out, _ = _run(capsys, *command, "--config", tmp_path / "few.yaml", "--json")
    assert code == 0
    told: Any = json.loads(out)
    card: Any = told["card"]
    assert card["pairs"]["dup.unnamed"] == len(TOPICS)
    assert card["licence"] == "CC0-1.0"
    assert sorted(file.name for file in (tmp_path / "verifier").iterdir()) == [CARD, FILE]
    assert "mine.csv" in (tmp_path / "verifier" / CARD).read_text(encoding="utf-8")
    page = (tmp_path / "verifier" / CARD).read_text(encoding="utf-8")
    assert f"| {card['metrics']['cross_validated.recall']:.3f} |" in page.split("## Figures")[1]
    assert {"cross_validated.false_hit_rate", "cross_validated.recall.high"} <= card["metrics"].keys()
    above = [name for name, value in card["metrics"].items() if name.endswith(".false_hit_rate") and value > 0.016]
    assert ("Taken for the same more often" in page) == bool([name for name in above if ".kind." in name])
    for part in ("small edit", "rewording"):
        assert any(note.startswith(f"no {part} is ever accepted") for note in told["notes"])
        assert f"no {part} is ever accepted" in page
    made = load_verifier(tmp_path / "verifier", EncoderSettings())
    same = Question(text="How do I bake rye bread?", vector=np.ones(1, np.float32))
    other = Question(text="how do i bake rye bread", vector=np.ones(1, np.float32))
    assert made.probability(same, other) < made.accept


@pytest.mark.req("cache.verify")
def test_what_is_written_is_what_the_pairs_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thresholds and their name are those of the library on the same pairs."""
    pairs, out_dir = _pairs(tmp_path / "mine.csv"), tmp_path / "verifier"
    changed = {"verifier_edits": 3, "verifier_negatives_min": 1, "verifier_passed_edits": 0.5}
    (tmp_path / "few.yaml").write_text(json.dumps({"train": changed}), encoding="utf-8")
    command = ("train", "verifier", pairs, "--columns", "q1,q2,same", "--out", out_dir)
    code, _, _ = _run(capsys, *command, "--config", tmp_path / "few.yaml")
    assert code == 0
    settings = Settings().train.model_copy(update=changed)
    kept, _ = cleaned(read_pairs((pairs,), ("q1", "q2", "same")))
    learned = learn_from(kept, (), settings, settings.seed, load_encoder(EncoderSettings()).encode)
    expected, made = fitted_verifier(learned, settings, settings.seed), load_verifier(out_dir, EncoderSettings())
    assert made.accept == expected.accept
    for one, other in ((made.edit, expected.edit), (made.rewording, expected.rewording)):
        assert one.bias == pytest.approx(other.bias, abs=1e-3)
        assert one.weights == pytest.approx(other.weights, abs=1e-3)
    assert made.edit.weights.any()


@pytest.mark.req("cache.verify")
def test_what_cannot_be_trained_on_is_refused_by_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong columns, one label alone, a folder with something else in it: nothing is written."""
    pairs = _pairs(tmp_path / "mine.csv")
    alone = tmp_path / "alone.tsv"
    alone.write_text("a\tb\tdup\tx\n", encoding="utf-8")
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "letter.txt").write_text("dear", encoding="utf-8")
    for args, said in (
        ((pairs,), "no column 'a'"),
        ((alone,), "same label"),
        ((pairs, "--columns", "q1,q2,same", "--out", taken), "would be lost"),
        ((tmp_path / "none.csv",), "cannot be read"),
    ):
        code, out, err = _run(capsys, "train", "verifier", *args)
        assert code != 0
        assert out == ""
        assert said in " ".join(err.split())
    assert [file.name for file in taken.iterdir()] == ["letter.txt"]
