"""A trained head at run time: one text or many, arrays out and in, and what it refuses."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import ArtifactRefused, InvalidInput
from engine.routing.features import buckets
from engine.routing.head import Head
from engine.training.fit import fit_labelled
from tests.support.clusters import centre, labelled, near

SMALL = TrainSettings(words=64)


@functools.cache
def _head(labels: int = 4, each: int = 8) -> Head:
    data = replace(labelled(labels, each), cues={"a": ["alpha"]}, keywords={"b": ["beta", "c++"]})
    return fit_labelled(data, SMALL, seed=0)


@pytest.mark.req("route.train")
@pytest.mark.parametrize("labels", [4, 20])
def test_a_text_gets_the_same_alone_and_in_any_batch(labels: int) -> None:
    """To 1e-9, with fewer and with more labels than are compared by example."""
    head = _head(labels, 4)
    data = labelled(labels, 5, seed=7, noise=0.1)
    together = head.judge(data.vectors, data.texts)
    for i, text in enumerate(data.texts):
        alone = head.judge(data.vectors[i : i + 1], [text])
        assert np.abs(alone.probabilities[0] - together.probabilities[i]).max() < 1e-9
        assert abs(alone.scope[0] - together.scope[i]) < 1e-9
    backwards = head.judge(data.vectors[::-1], list(data.texts)[::-1])
    assert np.abs(backwards.probabilities[::-1] - together.probabilities).max() < 1e-9


@pytest.mark.req("route.train")
@pytest.mark.parametrize("labels", [4, 20])
def test_the_short_way_to_a_decision_says_what_judging_says(labels: int) -> None:
    """Probabilities of one text without its scope, also where a part has no weight."""
    head, data = _head(labels, 4), labelled(labels, 2, seed=7, noise=0.1)
    for blend in (head.weights.blend, np.array([1.0, 0.0, 0.0, 0.5]), np.array([1.0, 3.0, 1.0, 0.0])):
        other = Head(head.labels, replace(head.weights, blend=blend))
        judged = other.judge(data.vectors, ["Alpha and beta"] * len(data.texts)).probabilities
        for vector, row in zip(data.vectors, judged, strict=True):
            assert np.abs(other.probabilities(vector, "Alpha and beta") - row).max() < 1e-9


@pytest.mark.req("route.train")
def test_probabilities_are_probabilities() -> None:
    """Rows sum to 1, nothing leaves [0, 1], also far from every example and without a text."""
    said = _head().judge(
        np.concatenate([near(0, 3), near(99, 3), -near(1, 1)]), ["", "worda", "é", "x" * 9_999, *"yzw"]
    )
    assert said.probabilities.shape == (7, 4)
    assert np.abs(said.probabilities.sum(axis=1) - 1.0).max() < 1e-12
    assert said.probabilities.min() >= 0.0
    assert ((said.scope >= 0.0) & (said.scope <= 1.0)).all()


@pytest.mark.req("route.train")
def test_near_texts_are_kept_and_far_ones_rejected() -> None:
    """The rejecting has its twin: of forty unseen texts of the labels at least 38 are kept."""
    head = _head(8, 12)
    kept = head.judge(np.concatenate([near(i, 5, seed=3) for i in range(8)]), ["hello"] * 40).scope
    far = head.judge(np.stack([centre(100 + i) for i in range(40)]), ["hello"] * 40).scope
    assert (kept >= head.reject_below).sum() >= 38
    assert (far < head.reject_below).sum() >= 38


def test_words_cues_and_keywords_count() -> None:
    """The same vector between two labels goes to the one that the text names."""
    head = _head()
    between = centre(0) + centre(1)
    vector = (between / np.linalg.norm(between))[None, :].astype(np.float32)
    for text, label in (("worda", "a"), ("wordb", "b")):
        named = head.judge(vector, [text]).probabilities[0]
        plain = head.judge(vector, ["hm"]).probabilities[0]
        assert named[head.labels.index(label)] > plain[head.labels.index(label)]
    parts = head.signals(vector, ["Alpha and alpha, c++ and beta"]).parts[:, 0]
    assert parts[1].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert parts[2].tolist() == [0.0, 2.0, 0.0, 0.0]


@pytest.mark.req("route.train")
def test_a_head_says_the_same_after_its_arrays_were_stored() -> None:
    """Bit for bit: what is rounded for the file is rounded before."""
    head, data = _head(), labelled(4, 3, seed=5)
    arrays = head.to_arrays()
    again = Head.from_arrays(arrays)
    assert again.labels == head.labels
    assert again.reject_below == head.reject_below
    first, second = head.judge(data.vectors, data.texts), again.judge(data.vectors, data.texts)
    assert first.probabilities.tobytes() == second.probabilities.tobytes()
    assert first.scope.tobytes() == second.scope.tobytes()
    assert all(array.dtype.kind in "fiU" for array in arrays.values())


def _broken(**changes: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {**_head().to_arrays(), **changes}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"linear": np.zeros((3, 4))}, "shapes of linear"),
        ({"bias": np.full(4, np.nan)}, "bias not finite"),
        ({"bias": np.zeros(9)}, "do not fit"),
        ({"labels": np.array(["a", "a", "b", "c"])}, "twice"),
        ({"labels": np.array(["a"])}, "fewer than two"),
        ({"labels": np.array([1, 2, 3, 4])}, "labels of another type"),
        ({"starts": np.array([0, 9, 9, 16, 32])}, "no examples"),
        ({"starts": np.array([0.0, 8, 16, 24, 32])}, "starts of another type"),
        ({"scope": np.zeros((3, 6))}, "not positive"),
        ({"blend": np.zeros(3)}, "shapes of blend"),
        ({"term_labels": np.array([0, 1, 7])}, "belongs to no label"),
        ({"more": np.zeros(1)}, "its arrays are"),
    ],
)
def test_arrays_that_are_no_head_are_refused(changes: dict[str, NDArray[Any]], why: str) -> None:
    """With the reason, before anything is compared."""
    with pytest.raises(ArtifactRefused, match=why):
        Head.from_arrays(_broken(**changes))


def test_objects_are_refused() -> None:
    """An array of objects would be code."""
    with pytest.raises(ArtifactRefused, match="another type"):
        Head.from_arrays(_broken(labels=np.array(["a", "b", "c", None], dtype=object)))


@pytest.mark.parametrize("vectors", [np.zeros((2, 384)), np.zeros((1, 3)), np.full((1, 384), np.nan)])
def test_vectors_that_do_not_fit_are_refused(vectors: NDArray[np.float32]) -> None:
    """Another number, another length, or not finite."""
    with pytest.raises(InvalidInput):
        _head().judge(vectors.astype(np.float32), ["one text"])


def test_no_texts_get_no_judgement() -> None:
    """Empty in, empty out."""
    said = _head().judge(np.empty((0, 384), dtype=np.float32), [])
    assert said.probabilities.shape == (0, 4)
    assert said.scope.shape == (0,)


def test_buckets_are_words_and_pairs_of_a_text_each_once() -> None:
    """Case does not matter, order of words does; without a table there is nothing to look at."""
    assert len(buckets("one two one two", 1 << 20)) == 4  # one, two, one two, two one
    assert buckets("One TWO", 1 << 20) == buckets("one two", 1 << 20)
    assert buckets("one two", 1 << 20) != buckets("two one", 1 << 20)
    assert buckets("half a pair \ud800 is no error", 64)
    assert buckets("one two", 0) == buckets("", 64) == []
