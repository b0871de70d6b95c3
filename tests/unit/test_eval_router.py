"""``eval router``: figures from literal tables, data that is absent or broken, the whole on a tiny folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.routing import TrainSettings
from configs.settings import Settings
from engine.evals.data import (
    BANKING_FILE,
    CLINC_FILE,
    FOLDER_VARIABLE,
    TASKS_FILE,
    IntentRow,
    TaskRow,
    eval_folder,
    intent_rows,
    task_rows,
)
from engine.evals.intents import few, split_intents
from engine.evals.router import Scored, confusions, evaluate, figures
from engine.evals.score import Answered, calibration_error, macro_f1, rejection_figures
from engine.evals.tasks import split_tasks
from engine.evals.vectors import KeptVectors
from tests.support.minilm import minilm, shipped


def _scored(agent: str, chosen: str, confidence: float = 1.0, origin: str = "public") -> Scored:
    return Scored(row=TaskRow(text="t", agent=agent, origin=origin), chosen=chosen, confidence=confidence)


def _folder(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (path / TASKS_FILE).write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.req("route.quality")
def test_figures_are_shares_of_right_rows() -> None:
    """Four of five overall, one of two authored, recall by agent; ``shipped.`` from the rows users would get."""
    rows = [
        *(_scored("sql", "sql"), _scored("sql", "sql"), _scored("viz", "viz")),
        *(_scored("viz", "sql", origin="authored"), _scored("viz", "viz", origin="authored")),
    ]
    perfect = [_scored("viz", "viz", 0.75, origin="authored")]
    assert figures(rows, perfect) == {
        "task_routing.zero_shot.accuracy": 0.8,
        "task_routing.zero_shot.authored.accuracy": 0.5,
        "shipped.task_routing.zero_shot.accuracy": 1.0,
        "shipped.task_routing.authored.accuracy": 1.0,
        "task_routing.zero_shot.recall.sql": 1.0,
        "task_routing.zero_shot.recall.viz": pytest.approx(2 / 3),
        "calibration.ece": pytest.approx(0.25),
    }


def test_a_slice_without_rows_has_no_figure() -> None:
    """An invented zero or one would look like a measurement."""
    rows = [_scored("sql", "sql")]
    assert not [name for name in figures(rows, rows) if "authored" in name]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("sql", "sql", 1.0)] * 4, 0.0),
        ([("sql", "viz", 1.0)] * 4, 1.0),
        ([("sql", "sql", 0.5), ("sql", "viz", 0.5)], 0.0),
        ([("sql", "sql", 0.9), ("sql", "viz", 0.1)], 0.1),
        ([("sql", "sql", 0.75), ("sql", "sql", 0.35)], 0.45),
    ],
)
def test_calibration_error_is_the_gap_between_confidence_and_accuracy(
    rows: list[tuple[str, str, float]], expected: float
) -> None:
    """Per bin of confidence, weighted by its rows."""
    scored = [_scored(*row) for row in rows]
    found = calibration_error([s.confidence for s in scored], [s.right for s in scored])
    assert found == pytest.approx(expected)


@pytest.mark.req("route.quality")
def test_a_rejected_row_in_scope_is_wrong_and_the_mix_is_that_of_clinc150() -> None:
    """Nine rows in scope and one out of it count as 4,500 and 1,000."""
    outside = np.arange(10) == 9
    right = np.array([True] * 8 + [False, False])
    rejected = np.array([True] + [False] * 8 + [True])
    answered = Answered(right=right, rejected=rejected, outside=outside, confidence=np.ones(10))
    assert rejection_figures(answered) == {
        "accuracy": pytest.approx(7 / 9),
        "argmax_accuracy": pytest.approx(8 / 9),
        "oos_f1": pytest.approx(2 * 1_000 / (1_000 + 500 + 1_000)),
        "overall": pytest.approx((3_500 + 1_000) / 5_500),
    }


def test_macro_f1_counts_every_label_the_same() -> None:
    """However many rows it has; a label nobody wanted is no label."""
    assert macro_f1(["a", "a", "a", "b"], ["a", "a", "c", "a"]) == pytest.approx((2 * 2 / (3 + 3) + 0.0) / 2)
    assert macro_f1(["a", "b"], ["a", "b"]) == 1.0


def test_confusions_are_counted_most_frequent_first() -> None:
    """Right rows do not appear."""
    rows = [_scored("a", "b"), _scored("b", "a"), _scored("b", "a"), _scored("a", "a")]
    assert confusions(rows) == ("   2 × b → a", "   1 × a → b")


def test_the_folder_is_named_or_set_or_beside_the_project(tmp_path: Path) -> None:
    """In this order; an absent one names the variable that would set it."""
    named, set_ = tmp_path / "named", tmp_path / "set"
    named.mkdir()
    set_.mkdir()
    assert eval_folder(named, {FOLDER_VARIABLE: str(set_)}) == named
    assert eval_folder(None, {FOLDER_VARIABLE: str(set_)}) == set_
    with pytest.raises(ConfigError, match="no evaluation data") as caught:
        eval_folder(None, {FOLDER_VARIABLE: str(tmp_path / "gone")})
    assert FOLDER_VARIABLE in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        (["{"], "task_routing.jsonl:1"),
        ([{"text": "t", "agent": "sql", "origin": "public"}, {"text": "t", "agent": "sql"}], ":2"),
        ([{"text": 1, "agent": "sql", "origin": "public"}], ":1"),
        (["[]"], ":1"),
        ([""], "has no rows"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, lines: list[object], where: str) -> None:
    """By file and line."""
    with pytest.raises(ConfigError, match=where):
        task_rows(_folder(tmp_path, *lines))


def test_only_a_line_feed_ends_a_row(tmp_path: Path) -> None:
    """U+2028, U+0085 and a vertical tab inside a text, a byte order mark, CRLF: two rows, texts untouched."""
    texts = ["a\u2028b\u0085c", "d\x1ce"]
    lines = [json.dumps({"text": t, "intent": "x", "split": "test"}, ensure_ascii=False) for t in texts]
    (tmp_path / CLINC_FILE).write_bytes(("\ufeff" + "\r\n".join(lines) + "\r\n").encode())
    assert [row.text for row in intent_rows(tmp_path, CLINC_FILE)] == texts


def test_a_folder_without_the_file_is_an_error(tmp_path: Path) -> None:
    """Not an empty result."""
    with pytest.raises(ConfigError, match="cannot read"):
        task_rows(tmp_path)


def test_an_intent_row_needs_its_three_texts(tmp_path: Path) -> None:
    """By file and line; a whole row is read."""
    row = {"text": "t", "intent": "oos", "split": "val"}
    (tmp_path / CLINC_FILE).write_text(f"{json.dumps(row)}\n{json.dumps({'text': 't'})}", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{CLINC_FILE}:2"):
        intent_rows(tmp_path, CLINC_FILE)
    (tmp_path / BANKING_FILE).write_text(json.dumps(row), encoding="utf-8")
    assert intent_rows(tmp_path, BANKING_FILE) == (IntentRow(text="t", intent="oos", split="val"),)


def test_rows_to_score_are_never_learned_from() -> None:
    """By the set's own split where it has one, else with a seed; of every agent some rows."""
    own = [IntentRow(text=str(i), intent="a", split="train" if i % 3 else "val") for i in range(9)]
    assert {row.text for row in split_intents(own, 0).test} == {"0", "3", "6"}
    test_only = [IntentRow(text=str(i), intent="a", split="test") for i in range(10)]
    sets = split_intents(test_only, 0)
    assert (len(sets.train), len(sets.test)) == (7, 3)
    assert sets == split_intents(test_only, 0)
    tasks = [TaskRow(text=f"{agent}{i}", agent=agent, origin="public") for agent in "ab" for i in range(9)]
    train, test = split_tasks(tasks, 0)
    assert {row.text for row in train} | {row.text for row in test} == {row.text for row in tasks}
    assert sorted(row.agent for row in test) == ["a", "a", "a", "b", "b", "b"]
    assert len(train) == 12


def test_ten_rows_of_a_label_are_drawn_with_a_seed() -> None:
    """Ten or what there is, and every row of the label that is kept whole."""
    labels = ["a"] * 30 + ["b"] * 4 + ["oos"] * 20
    drawn = [labels[i] for i in few(labels, 0, keep="oos")]
    assert {label: drawn.count(label) for label in set(drawn)} == {"a": 10, "b": 4, "oos": 20}
    assert few(labels, 1) == few(labels, 1) != few(labels, 2)


def test_vectors_are_kept_between_runs(tmp_path: Path) -> None:
    """Encoded once, also a text that occurs twice; a damaged file is made again, and no text is in it."""
    settings = shipped().model_copy(update={"data_dir": tmp_path})
    seen: list[tuple[str, int, int]] = []

    def step(what: str, done: int, of: int) -> None:
        seen.append((what, done, of))

    def kept() -> KeptVectors:
        return KeptVectors(settings, minilm(), step)

    first = kept().of(["a pie chart", "a median", "a pie chart"])
    assert seen == [("encoding", 2, 2)]
    assert np.array_equal(first[0], minilm().encode(["a pie chart"])[0])
    assert np.array_equal(kept().of(["a median", "a pie chart"]), first[[1, 0]])
    assert len(seen) == 1
    (file,) = (tmp_path / "eval").iterdir()
    assert b"pie chart" not in file.read_bytes()
    file.write_bytes(b"no such file")
    assert np.array_equal(kept().of(["a median"])[0], first[1])
    assert len(seen) == 2


@pytest.mark.req("route.quality")
def test_every_figure_is_there_for_a_folder_that_has_every_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real encoder and agents on made-up rows: heads are fitted on one folder and scored on the other."""
    train, test = tmp_path / "train", tmp_path / "test"
    for folder, words in ((train, ("draw", "plot", "show", "give me")), (test, ("make", "build"))):
        folder.mkdir()
        _folder(folder, *_tasks(words))
        for name, outside in ((CLINC_FILE, True), (BANKING_FILE, False)):
            rows = [{"text": f"{w} {thing}", "intent": thing, "split": "val"} for w in words for thing in THINGS]
            rows += [{"text": f"{w} of nothing", "intent": "oos", "split": "val"} for w in words] * outside
            (folder / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    settings = _quick(tmp_path, monkeypatch)
    steps: list[str] = []

    def step(what: str, _done: int, _of: int) -> None:
        steps.append(what)

    found = evaluate(settings, test_dir=test, train_dir=train, on_step=step).figures
    assert set(WANTED) <= set(found)
    assert found["shipped.authored_set.accuracy"] == 0.5
    assert all(0.0 <= value <= 1.0 for value in found.values())
    assert found["banking77.full.accuracy"] == found["engine.banking77.10shot.accuracy"] == 1.0
    assert found["task_routing.full.accuracy"] == 1.0
    assert {"encoding", "reading questions", "fitting CLINC150, all rows"} <= set(steps)


@pytest.mark.req("route.quality")
def test_what_is_absent_is_named_and_not_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One set, too few rows to learn from: zero-shot figures, and notes on the others."""
    rows = [
        {"text": "Draw a pie chart of the votes", "agent": "viz", "origin": "authored"},
        {"text": "Write a haiku", "agent": "sql", "origin": "public"},
    ]
    settings = _quick(tmp_path, monkeypatch)
    report = evaluate(settings, test_dir=_folder(tmp_path, *rows))
    assert report.name == "router"
    assert report.figures["task_routing.zero_shot.accuracy"] == 0.5
    assert report.figures["shipped.task_routing.authored.accuracy"] == 1.0
    assert report.notes[0] == "   1 × sql → general"
    assert not [name for name in report.figures if name.startswith(("clinc150", "banking77", "task_routing.full"))]
    notes = "\n".join(report.notes)
    assert CLINC_FILE in notes
    assert BANKING_FILE in notes
    assert "too few rows" in notes
    assert set(report.to_json()) == {"name", "figures", "environment"}


@pytest.mark.req("route.quality")
@pytest.mark.parametrize(
    ("intents", "said"),
    [
        ([("oos", "train"), ("oos", "val")], "fewer than two intents"),
        ([("a", "train"), ("a", "val")], "fewer than two intents"),
        ([("a", "train")], "fewer than two intents"),
        ([("a", "train"), ("b", "train"), ("oos", "val")], "no row of an intent to score"),
    ],
)
def test_a_set_that_no_figure_can_be_made_of_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intents: list[tuple[str, str]], said: str
) -> None:
    """Nothing in scope, one class, a single row, only out-of-scope rows to score: a note instead of a figure."""
    rows = [{"text": f"row {n}", "intent": i, "split": s} for n, (i, s) in enumerate(intents)]
    (tmp_path / CLINC_FILE).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    report = evaluate(_quick(tmp_path, monkeypatch), test_dir=tmp_path)
    assert not [name for name in report.figures if "clinc150" in name]
    assert [note for note in report.notes if CLINC_FILE in note and said in note], report.notes


def _quick(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Three of the shipped agents, short fits, and two questions for the project's own hundreds."""
    own = folder / "own.yaml"
    own.write_text("viz: [Draw a pie chart of the votes]\nsql: [Write a haiku]", encoding="utf-8")
    monkeypatch.setattr("engine.evals.router.OWN_SET", own)
    short = TrainSettings(words=64, iterations=5, folds=2)
    agents = tuple(agent for agent in shipped().agents if agent.name in ("viz", "sql", "general"))
    return shipped().model_copy(update={"data_dir": folder, "train": short, "agents": agents})


THINGS = ("a refund", "the weather", "my password")
LEVELS = ("simple", "medium", "complex")
WANTED = (
    *(f"task_routing.{part}.accuracy" for part in ("zero_shot", "10shot", "full", "authored")),
    *(f"clinc150.full.{name}" for name in ("accuracy", "oos_f1", "overall")),
    *("clinc150.10shot.overall", "banking77.10shot.accuracy", "banking77.full.accuracy"),
    *("complexity.macro_f1", "calibration.ece", "shipped.task_routing.zero_shot.accuracy"),
    *("shipped.authored_set.accuracy", "engine.clinc150.10shot.overall", "engine.banking77.10shot.accuracy"),
)


def _tasks(words: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of two agents, of every level, the first one authored."""
    asked = {"viz": "a pie chart of the votes", "sql": "a query that joins two tables"}
    rows = [
        {"text": f"{word} {what}", "agent": agent, "origin": "public", "complexity": LEVELS[i % 3]}
        for i, word in enumerate((*words, *(f"please {w}" for w in words)))
        for agent, what in asked.items()
    ]
    return [{**rows[0], "text": f"{rows[0]['text']}!", "origin": "authored"}, *rows]
