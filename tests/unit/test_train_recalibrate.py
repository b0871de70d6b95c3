"""Confidence and threshold chosen again on rows that a head has not seen."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest

from configs.routing import TrainSettings
from configs.settings import EncoderSettings
from engine.routing.artifact import HEAD, read_arrays
from engine.routing.contract import Vectors
from engine.routing.encoder import load_encoder
from engine.routing.head import Head
from engine.training.recalibrate import ROWS_MIN, lenient, recalibrated
from tests.support.trained import PER_AGENT, artifact_files, rows

SETTINGS = TrainSettings()


@functools.cache
def _head() -> Head:
    return Head.from_arrays(read_arrays(artifact_files()[HEAD]))


@functools.cache
def _unseen() -> tuple[Vectors, tuple[str, ...], tuple[str, ...]]:
    """Rows of the same agents that the head was not trained on."""
    found = rows(40)[3 * PER_AGENT :]
    texts = tuple(row["text"] for row in found)
    return load_encoder(EncoderSettings()).encode(texts), texts, tuple(row["agent"] for row in found)


def _strict(reject_below: float) -> Head:
    return Head(_head().labels, replace(_head().weights, reject_below=np.array(reject_below)))


@pytest.mark.req("route.train")
def test_without_out_of_scope_rows_few_are_turned_away() -> None:
    """A head that turned everybody away lets all but two in a hundred of these through; a mild one stays."""
    vectors, texts, labels = _unseen()
    softened = lenient(_strict(1.0), vectors, texts, labels, SETTINGS)
    scope = softened.judge(vectors, texts).scope
    assert 0.0 < (scope < softened.reject_below).mean() <= SETTINGS.reject_max
    assert lenient(_strict(0.0), vectors, texts, labels, SETTINGS).reject_below == 0.0


def test_too_few_rows_change_nothing() -> None:
    """Nine of them say nothing about confidence, however many out-of-scope rows stand beside them."""
    vectors, texts, _ = _unseen()
    labels = ["sql"] * (ROWS_MIN - 1) + [SETTINGS.out_of_scope] * (len(texts) - ROWS_MIN + 1)
    for change in (lenient, recalibrated):
        assert change(_strict(1.0), vectors, texts, labels, SETTINGS).weights.reject_below == 1.0


@pytest.mark.req("route.train")
def test_a_head_that_is_often_wrong_becomes_less_sure() -> None:
    """Half of the labels turned round: mean confidence comes down to the share that is right; the choices stay."""
    vectors, texts, labels = _unseen()
    turned = [_head().labels[(_head().labels.index(lab) + i % 2) % 3] for i, lab in enumerate(labels)]
    head = recalibrated(_head(), vectors, texts, turned, SETTINGS)
    before, after = (h.judge(vectors, texts).probabilities for h in (_head(), head))
    right = np.mean([head.labels[int(i)] == lab for i, lab in zip(after.argmax(axis=1), turned, strict=True)])
    assert abs(after.max(axis=1).mean() - right) < 0.08 < abs(before.max(axis=1).mean() - right)
    assert head.reject_below == _head().reject_below


@pytest.mark.req("route.train")
def test_with_out_of_scope_rows_the_threshold_is_fitted_to_them() -> None:
    """Texts of a label that the head does not know are turned away, most of its own are not."""
    vectors, texts, labels = _unseen()
    known = [lab if lab != "viz" else SETTINGS.out_of_scope for lab in labels]
    head = recalibrated(_head(), vectors, texts, known, SETTINGS)
    kept = head.judge(vectors, texts).scope >= head.reject_below
    foreign = np.array([lab == SETTINGS.out_of_scope for lab in known])
    assert kept[~foreign].mean() > kept[foreign].mean() + 0.2
    assert not np.array_equal(head.weights.scope, _head().weights.scope)
