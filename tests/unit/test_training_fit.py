"""Fitting a head: it finds what is there, is sure as often as it is right, and says no to rows it cannot use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.evals.score import calibration_error
from engine.routing.head import Head
from engine.training.about import About, about_agents, about_names, with_about
from engine.training.calibrate import fit_blend
from engine.training.fit import Labelled, fit_labelled
from engine.training.reject import Doubts, fit_rejection
from tests.support.clusters import centre, labelled, near
from tests.support.minilm import shipped

SMALL = TrainSettings(words=64)


def _accuracy(head: Head, data: Labelled) -> float:
    best = head.judge(data.vectors, data.texts).probabilities.argmax(axis=1)
    return float(np.mean([head.labels[int(i)] == label for i, label in zip(best, data.labels, strict=True)]))


@pytest.mark.req("route.train")
@pytest.mark.parametrize(("labels", "each"), [(2, 1), (2, 2), (2, 30), (6, 1), (6, 10), (24, 3)])
def test_a_head_learns_from_one_row_a_label_on(labels: int, each: int) -> None:
    """Unseen rows of clear labels are right, from two labels with one row each."""
    head = fit_labelled(labelled(labels, each), SMALL, seed=0)
    assert _accuracy(head, labelled(labels, 4, seed=9)) > 0.9
    assert 0.0 <= head.reject_below <= 1.0


@pytest.mark.req("route.train")
def test_the_same_rows_and_seed_give_the_same_head() -> None:
    """To the bit; another seed shares the rows out otherwise."""
    data = labelled(5, 9, noise=0.12)
    first, second, other = (fit_labelled(data, SMALL, seed=seed).to_arrays() for seed in (3, 3, 4))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert any(first[name].tobytes() != other[name].tobytes() for name in first)


@pytest.mark.req("route.train")
def test_a_head_is_as_sure_as_it_is_right() -> None:
    """On noisy labels: the gap stays small on unseen rows, and surer rows are right more often."""
    data = labelled(5, 60, noise=0.4)
    head = fit_labelled(replace(data, texts=["x"] * 300), SMALL, seed=0)
    test = labelled(5, 200, seed=4, noise=0.4)
    said = head.judge(test.vectors, ["x"] * 1_000).probabilities
    right = np.array([head.labels[int(i)] == w for i, w in zip(said.argmax(axis=1), test.labels, strict=True)])
    sure = said.max(axis=1)
    assert right.mean() < 0.99
    assert calibration_error(sure, right) < 0.06
    order = np.argsort(sure)
    thirds = [right[part].mean() for part in np.array_split(order, 3)]
    assert thirds[0] < thirds[1] <= thirds[2]


@pytest.mark.req("route.train")
def test_rows_out_of_scope_teach_what_to_reject() -> None:
    """What is like them is rejected though it lies near a label, and rows of the labels are kept."""
    inside = labelled(6, 20)
    lures = np.concatenate([near(0, 30, seed=5) + 0.9 * near(77, 30, seed=5)])
    lures /= np.linalg.norm(lures, axis=1, keepdims=True)
    rows = Labelled(
        vectors=np.concatenate([inside.vectors, lures[:20]]).astype(np.float32),
        texts=[*inside.texts, *["hm"] * 20],
        labels=[*inside.labels, *["oos"] * 20],
    )
    learned = fit_labelled(rows, SMALL, seed=0)
    assert "oos" not in learned.labels
    assert (learned.judge(lures[20:].astype(np.float32), ["hm"] * 10).scope < learned.reject_below).all()
    test = labelled(6, 5, seed=8)
    assert (learned.judge(test.vectors, test.texts).scope >= learned.reject_below).mean() > 0.9


def test_rows_nobody_asked_are_learned_from_and_not_measured_on() -> None:
    """A label known by such rows alone is found; wrong ones do not make the head doubt itself less."""
    data = labelled(4, 10)
    made_up = near(50, 3)
    mixed = Labelled(
        vectors=np.concatenate([data.vectors, made_up]),
        texts=[*data.texts, "x", "y", "z"],
        labels=[*data.labels, *["only"] * 3],
        asked=[True] * 40 + [False] * 3,
    )
    head = fit_labelled(mixed, SMALL, seed=0)
    said = head.judge(near(50, 5, seed=2), ["hm"] * 5).probabilities
    assert {head.labels[int(i)] for i in said.argmax(axis=1)} == {"only"}


def test_progress_reaches_its_end() -> None:
    """One step a fit: each part in turn, then all rows."""
    seen: list[tuple[int, int]] = []
    fit_labelled(labelled(3, 5), SMALL, seed=0, on_step=lambda done, of: seen.append((done, of)))
    assert seen == [(i, 6) for i in range(1, 7)]


def test_of_many_rows_a_sample_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of them stays bounded; learned from are all, and the head is as good."""
    monkeypatch.setattr("engine.training.fit.JUDGED_CELLS", 7 * 3 * 20)
    seen: list[int] = []

    def spy(parts: NDArray[np.float64], wanted: NDArray[np.int64]) -> tuple[NDArray[np.float64], int]:
        seen.append(len(wanted))
        return fit_blend(parts, wanted)

    monkeypatch.setattr("engine.training.fit.fit_blend", spy)
    head = fit_labelled(labelled(3, 30), SMALL, seed=0)
    assert 10 <= seen[0] <= 20
    assert len(head.weights.examples) == 90
    assert _accuracy(head, labelled(3, 4, seed=9)) == 1.0


def test_examples_are_kept_up_to_a_limit_and_one_for_every_label() -> None:
    """The same share of every label."""
    data = labelled(4, 10)
    head = fit_labelled(data, TrainSettings(words=0, examples_max=8), seed=0)
    assert np.diff(head.weights.starts).tolist() == [2, 2, 2, 2]
    assert (
        np.diff(fit_labelled(data, TrainSettings(words=0, examples_max=1), seed=0).weights.starts).tolist()
        == [1] * 4
    )
    assert head.weights.words.shape == (0, 4)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (Labelled(vectors=np.zeros((0, 384), np.float32), texts=[], labels=[]), "here is none"),
        (Labelled(vectors=near(0, 2), texts=["a", "b"], labels=["x", "x"]), "only 'x'"),
        (Labelled(vectors=near(0, 2), texts=["a", "b"], labels=["x", "oos"]), "only 'x'"),
        (Labelled(vectors=near(0, 3), texts=["a", "b"], labels=["x", "y"]), "do not fit"),
        (Labelled(vectors=near(0, 2), texts=["a", "b"], labels=["x", "y"], asked=[True]), "do not fit"),
        (Labelled(vectors=near(0, 2) * np.float32(np.nan), texts=["a", "b"], labels=["x", "y"]), "not finite"),
    ],
)
def test_rows_that_teach_nothing_are_refused(data: Labelled, why: str) -> None:
    """No label, one label, arrays that do not belong together, values that are none."""
    with pytest.raises(TrainingRefused, match=why):
        fit_labelled(data, SMALL, seed=0)


def test_the_blend_follows_the_part_that_is_right() -> None:
    """A part that knows the labels outweighs one that guesses, and is trusted as far as it is right."""
    wanted = np.arange(90) % 3
    guess = np.random.default_rng(0).normal(size=(90, 3))
    knows = np.eye(3)[wanted] * 5.0
    nothing = np.zeros((90, 3))
    weights, best = fit_blend(np.stack([guess, nothing, nothing, guess, knows]), wanted)
    assert best == 1
    assert weights[3] > 5 * weights[0]


def test_the_threshold_follows_the_expected_share() -> None:
    """Where more is expected to be out of scope, more is turned away; probabilities move with it."""
    draw = np.random.default_rng(0)
    inside = np.arange(400) < 300
    signals = np.where(inside, 1.0, 0.0)[:, None] + draw.normal(size=(400, 1))
    doubts = Doubts(signals=signals, inside=inside, right=inside)
    turned: list[float] = []
    for share in (0.05, 0.2, 0.6):
        found = fit_rejection(doubts, share)
        logit = (signals - found.mean) / found.spread @ found.weight + found.bias
        scope = 1.0 / (1.0 + np.exp(-logit))
        turned.append(float((scope < found.reject_below).mean()))
        expected = (1 - share) * scope[inside].mean() + share * scope[~inside].mean()
        assert expected == pytest.approx(1 - share, abs=0.01)
    assert turned == sorted(turned)
    assert turned[0] < turned[2]


def test_labels_and_agents_speak_for_themselves() -> None:
    """Names become texts, agents bring theirs with cues and keywords; only for labels that have rows."""
    assert about_names(["card_arrival", "card_arrival", "x"]).texts == [
        ("card arrival", "card_arrival"),
        ("x", "x"),
    ]
    about = about_agents(shipped().agents, shipped().routing)
    assert "sql" in about.cues["sql"]
    assert len(about.texts) > 100
    assert about_agents(shipped().agents, shipped().routing, texts=False).texts == []
    mixed = About(texts=[("t", "a"), ("u", "zz")], cues={"a": ["q"], "zz": ["r"]})
    data = with_about(labelled(2, 3), mixed, lambda texts: np.stack([centre(0) for _ in texts]))
    assert (list(data.texts)[-1], list(data.labels)[-1], data.cues) == ("t", "a", {"a": ["q"]})
    assert data.asked == [True] * 6 + [False]
