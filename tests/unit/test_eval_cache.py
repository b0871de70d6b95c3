"""``eval cache``: figures from literal tables, broken data, the whole on a tiny folder of our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.errors import ConfigError
from configs.settings import Settings
from engine.evals.cache import evaluate
from engine.evals.data import PAIRS_FILE, pair_rows
from engine.evals.pair_score import GRID, Judged, curve_figures, pair_figures, plot
from engine.training.pairs.pair import Pair
from engine.training.verifier_job import Learned, learn_from

FRAMES = ("How do I {}?", "How can I {}?", "What is the best way to {}?")
TOPICS = (
    "repair a bike chain",
    "bake rye bread",
    "learn to swim",
    "paint a door",
    "run a marathon",
    "plant tulips",
)
OTHERS = ("Which {} is cheapest?", "Who invented it: {}?")


def _judged() -> Judged:
    rows = [
        Pair(a="a", b="b", duplicate=same, kind=kind, group=0)
        for same, kind in (
            (True, "natural"),
            (True, "easy_positive/synonym"),
            (True, "easy_positive/synonym"),
            (False, "hard_negative/number"),
            (False, "hard_negative/number"),
            (False, "natural"),
            (False, "natural"),
        )
    ]
    scores = np.array([0.9, 0.9, 0.3, 0.9, -1.0, 0.3, 0.1])
    return Judged.of(rows, scores, np.asarray(scores >= 0.5))


@pytest.mark.req("cache.verify")
def test_every_figure_counts_the_pairs_it_names() -> None:
    """Hits over duplicates, false hits over the others, by slice; each with its interval around it."""
    found = pair_figures("shipped.", _judged())
    assert found["shipped.cache.recall"] == pytest.approx(2 / 3)
    assert found["shipped.cache.false_hit_rate"] == 0.25
    assert found["shipped.cache.hard_negative_false_hit_rate"] == 0.5
    assert found["shipped.cache.synonym_recall"] == 0.5
    assert found["shipped.cache.edit.number.false_hit_rate"] == 0.5
    assert found["shipped.cache.wrong_of_hits"] == pytest.approx(1 / 3)
    assert found["shipped.cache.natural.recall"] == 1.0
    assert found["shipped.cache.natural.false_hit_rate"] == 0.0
    assert found["shipped.cache.natural.wrong_of_hits"] == 0.0
    assert "shipped.cache.edit.number.recall" not in found
    assert "shipped.cache.edit.synonym.false_hit_rate" not in found
    for name in [name for name in found if not name.endswith((".low", ".high"))]:
        assert found[f"{name}.low"] <= found[name] <= found[f"{name}.high"]


@pytest.mark.req("cache.verify")
def test_the_curve_has_hits_and_false_hits_at_every_threshold() -> None:
    """What is refused by a rule is a hit at no threshold."""
    found = curve_figures("", _judged())
    assert len(found) == 2 * len(GRID)
    assert (found["cache.curve.5.recall"], found["cache.curve.5.false_hit_rate"]) == (1.0, 0.75)
    assert (found["cache.curve.50.recall"], found["cache.curve.50.false_hit_rate"]) == (pytest.approx(2 / 3), 0.25)
    assert (found["cache.curve.95.recall"], found["cache.curve.95.false_hit_rate"]) == (0.0, 0.0)


def _folder(path: Path) -> Path:
    rows: list[dict[str, object]] = []
    for topic in TOPICS:
        first = FRAMES[0].format(topic)
        for same, texts in ((True, FRAMES[1:]), (False, OTHERS)):
            rows.extend(
                {"a": first, "b": text.format(topic), "is_duplicate": same, "kind": "natural", "edit": None}
                for text in texts
            )
        rows.append(
            {
                "a": f"{first} In 5 days?",
                "b": f"{first} In 6 days?",
                "is_duplicate": False,
                "kind": "hard_negative",
                "edit": "number",
            }
        )
    path.mkdir(exist_ok=True)
    (path / PAIRS_FILE).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.req("cache.verify")
def test_an_evaluation_scores_all_three_on_the_same_pairs(tmp_path: Path) -> None:
    """The shipped and the fitted verifier refuse what plain cosine takes for the same; the picture is drawn."""
    folder = _folder(tmp_path / "data")
    settings = Settings(data_dir=tmp_path / "home")
    found = evaluate(settings, test_dir=folder, train_dir=folder)
    assert found.figures["plain_085.cache.edit.number.false_hit_rate"] == 1.0
    assert found.figures["shipped.cache.edit.number.false_hit_rate"] == 0.0
    assert found.figures["cache.edit.number.false_hit_rate"] == 0.0
    assert found.figures["shipped.cache.recall"] > 0.5
    assert found.figures["cache.recall"] >= 0.5
    assert 0.0 <= found.figures["shipped.calibration.ece"] <= 1.0
    plot(found.figures, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.req("cache.verify")
def test_without_training_rows_no_question_is_on_both_sides(tmp_path: Path) -> None:
    """Halves by connected questions: every pair is judged, and there are figures for it."""
    found = evaluate(Settings(data_dir=tmp_path / "home"), test_dir=_folder(tmp_path / "data"))
    assert {"cache.recall", "cache.false_hit_rate", "shipped.cache.recall"} <= found.figures.keys()


class _Taught:
    """What each fit was given."""

    def __init__(self) -> None:
        self.pairs: list[list[Pair]] = []

    def learn(self, pairs: Sequence[Pair], *rest: Any) -> Learned:
        self.pairs.append(list(pairs))
        return learn_from(pairs, *rest)


def _texts(pairs: Sequence[Pair]) -> set[str]:
    return {text for pair in pairs for text in (pair.a, pair.b)}


@pytest.mark.req("cache.verify")
def test_a_question_that_taught_is_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each half is fitted to the other, and connected questions stay together; given rows to train on are used."""
    folder, taught = _folder(tmp_path / "data"), _Taught()
    monkeypatch.setattr("engine.evals.cache.learn_from", taught.learn)
    settings, rows = Settings(data_dir=tmp_path / "home"), pair_rows(folder)
    evaluate(settings, test_dir=folder)
    one, other = taught.pairs
    assert len(one) + len(other) == len(rows)
    assert not _texts(one) & _texts(other)
    taught.pairs.clear()
    evaluate(settings, test_dir=folder, train_dir=folder)
    assert [len(pairs) for pairs in taught.pairs] == [len(rows)]


@pytest.mark.req("cache.verify")
def test_settings_count_in_the_evaluation(tmp_path: Path) -> None:
    """The least probability of the shipped one, the least cosine of both: nothing reaches what nothing can."""
    folder, home = _folder(tmp_path / "data"), tmp_path / "home"
    usual = Settings(data_dir=home)

    def run(**changed: float) -> Mapping[str, float]:
        semantic = usual.cache.semantic.model_copy(update=changed)
        settings = usual.model_copy(update={"cache": usual.cache.model_copy(update={"semantic": semantic})})
        return evaluate(settings, test_dir=folder, train_dir=folder).figures

    strict, near = run(accept=0.9999), run(similarity_min=0.9999)
    assert strict["shipped.cache.recall"] == 0.0
    assert strict["cache.recall"] >= 0.5
    assert near["shipped.cache.recall"] == 0.0
    assert near["cache.recall"] == 0.0


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("line", ["{", "[]", '{"a": "x", "b": "y", "kind": "natural", "is_duplicate": "yes"}'])
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    """File and line; a folder without the file says so."""
    (tmp_path / PAIRS_FILE).write_text(line, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"{PAIRS_FILE}:1"):
        pair_rows(tmp_path)
    with pytest.raises(ConfigError, match="no evaluation data"):
        evaluate(Settings(data_dir=tmp_path), test_dir=tmp_path / "none")
