"""``eval router``: figures from literal tables, data that is absent or broken, the whole on a tiny folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from configs.errors import ConfigError
from engine.evals.data import FOLDER_VARIABLE, TASKS_FILE, TaskRow, eval_folder, task_rows
from engine.evals.router import Scored, calibration_error, confusions, evaluate, figures
from tests.support.minilm import shipped


def _scored(agent: str, chosen: str, confidence: float = 1.0, origin: str = "public") -> Scored:
    return Scored(row=TaskRow(text="t", agent=agent, origin=origin), chosen=chosen, confidence=confidence)


def _folder(path: Path, *rows: object) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (path / TASKS_FILE).write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.req("route.quality")
def test_figures_are_shares_of_right_rows() -> None:
    """Four of five overall, one of two authored, recall by agent, the same under ``shipped.``."""
    found = figures(
        [
            *(_scored("sql", "sql"), _scored("sql", "sql"), _scored("viz", "viz")),
            *(_scored("viz", "sql", origin="authored"), _scored("viz", "viz", origin="authored")),
        ]
    )
    assert found == {
        "task_routing.zero_shot.accuracy": 0.8,
        "task_routing.authored.accuracy": 0.5,
        "shipped.task_routing.zero_shot.accuracy": 0.8,
        "shipped.task_routing.authored.accuracy": 0.5,
        "task_routing.zero_shot.recall.sql": 1.0,
        "task_routing.zero_shot.recall.viz": pytest.approx(2 / 3),
        "calibration.ece": pytest.approx(0.2),
    }


def test_a_slice_without_rows_has_no_figure() -> None:
    """An invented zero or one would look like a measurement."""
    assert "task_routing.authored.accuracy" not in figures([_scored("sql", "sql")])


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
    assert calibration_error([_scored(*row) for row in rows]) == pytest.approx(expected)


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


def test_a_folder_without_the_file_is_an_error(tmp_path: Path) -> None:
    """Not an empty result."""
    with pytest.raises(ConfigError, match="cannot read"):
        task_rows(tmp_path)


@pytest.mark.req("route.quality")
def test_the_shipped_router_is_scored_on_a_folder_of_rows(tmp_path: Path) -> None:
    """Real encoder, real agents, progress to the last row; what is not built is said and not filled in."""
    rows = [
        {"text": "Draw a pie chart of the votes", "agent": "viz", "origin": "authored"},
        {"text": "What is the median of the column?", "agent": "analytics", "origin": "public"},
        {"text": "Write a haiku", "agent": "sql", "origin": "public"},
    ]
    seen: list[tuple[int, int]] = []
    folder = _folder(tmp_path, *rows)
    report = evaluate(
        shipped(), test_dir=folder, train_dir=folder, on_done=lambda done, of: seen.append((done, of))
    )
    assert report.name == "router"
    assert report.figures["task_routing.zero_shot.accuracy"] == pytest.approx(2 / 3)
    assert report.figures["task_routing.authored.accuracy"] == 1.0
    assert report.notes[0] == "   1 × sql → general"
    assert "task_routing.full.accuracy" in report.notes[-1]
    assert "task_routing.full.accuracy" not in report.figures
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert set(report.to_json()) == {"name", "figures", "environment"}
