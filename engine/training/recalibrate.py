"""How sure a head may be and whom it turns away, chosen again on rows that it has not seen.

Two cases that cross-validation cannot judge. A fine-tuned encoder puts the rows it learned from where they belong,
so a head checked on those believes itself too much. And without out-of-scope rows a head learns what is foreign
from labels that were left out, which are far too near when labels are few. Not the first calibration (``fit``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.routing.contract import Vectors
from engine.routing.head import Head
from engine.training.calibrate import fit_blend
from engine.training.reject import Doubts, fit_rejection

ROWS_MIN: Final = 10
"""Fewer rows say nothing about confidence."""


def recalibrated(
    head: Head, vectors: Vectors, texts: Sequence[str], labels: Sequence[str], settings: TrainSettings
) -> Head:
    """``head`` with blend, and where out-of-scope rows are among these, rejection, fitted to them."""
    signals = head.signals(vectors, texts)
    place = {label: i for i, label in enumerate(head.labels)}
    wanted = np.array([place.get(label, -1) for label in labels], dtype=np.int64)
    inside = wanted >= 0
    if inside.sum() < ROWS_MIN:
        return head
    blend, _ = fit_blend(signals.parts[:, inside], wanted[inside])
    weights = replace(head.weights, blend=blend)
    if (~inside).sum() >= ROWS_MIN:
        best: NDArray[np.int64] = np.tensordot(blend, signals.parts, 1).argmax(axis=1)
        doubts = Doubts(signals=signals.scope, inside=inside, right=best == wanted)
        found = fit_rejection(doubts, settings.out_of_scope_share)
        weights = replace(
            weights,
            scope=np.stack([found.mean, found.spread, found.weight]),
            scope_bias=np.array(found.bias),
            reject_below=np.array(found.reject_below),
        )
    return Head(head.labels, weights)


def lenient(
    head: Head, vectors: Vectors, texts: Sequence[str], labels: Sequence[str], settings: TrainSettings
) -> Head:
    """``head`` with a threshold that turns at most ``settings.reject_max`` of these in-scope rows away."""
    inside = [i for i, label in enumerate(labels) if label != settings.out_of_scope]
    if len(inside) < ROWS_MIN:
        return head
    scope = head.judge(vectors[inside], [texts[i] for i in inside]).scope
    bar = float(np.quantile(scope, settings.reject_max, method="lower"))
    return Head(head.labels, replace(head.weights, reject_below=np.array(min(head.reject_below, bar))))
