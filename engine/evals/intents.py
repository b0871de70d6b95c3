"""CLINC150 and Banking77: heads fitted on their training rows and scored on the others. Not the shipped router."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.evals.data import OUT_OF_SCOPE, IntentRow
from engine.evals.score import Answered, accuracy, calibration_error, rejection_figures
from engine.evals.vectors import KeptVectors
from engine.routing.head import Head
from engine.training.about import about_names, with_about
from engine.training.fit import Labelled, fit_labelled

SHOTS: Final = 10
SEEDS: Final = (0, 1, 2)
TEST_SHARE: Final = 0.3
OnFit = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sets:
    """Rows to learn from and rows to score."""

    train: Sequence[IntentRow]
    test: Sequence[IntentRow]


def split_intents(rows: Sequence[IntentRow], seed: int) -> Sets:
    """By the set's own split where it has one (train, and val or test), else at random, 30 % to score."""
    train = [row for row in rows if row.split == "train"]
    if train and len(train) < len(rows):
        return Sets(train=train, test=[row for row in rows if row.split != "train"])
    order: list[int] = np.random.default_rng(seed).permutation(len(rows)).tolist()
    cut = int(len(rows) * TEST_SHARE)
    return Sets(train=[rows[i] for i in sorted(order[cut:])], test=[rows[i] for i in sorted(order[:cut])])


def lacking(sets: Sets) -> str:
    """What is not there for a figure to be made, in words; empty when nothing is missing."""
    labels = {row.intent for row in sets.train} - {OUT_OF_SCOPE}
    if len(labels) < 2:
        return "fewer than two intents to learn from"
    return "" if any(row.intent != OUT_OF_SCOPE for row in sets.test) else "no row of an intent to score"


def few(labels: Sequence[str], seed: int, *, keep: str | None = None) -> list[int]:
    """Places of ``SHOTS`` rows of every label, and of all rows of the label ``keep``."""
    order: list[int] = np.random.default_rng(seed).permutation(len(labels)).tolist()
    seen: dict[str, int] = {}
    chosen: list[int] = []
    for place in order:
        label = labels[place]
        seen[label] = seen.get(label, 0) + 1
        if label == keep or seen[label] <= SHOTS:
            chosen.append(place)
    return sorted(chosen)


def clinc_figures(sets: Sets, vectors: KeptVectors, settings: TrainSettings, on_fit: OnFit) -> dict[str, float]:
    """``clinc150.full.{accuracy,argmax_accuracy,oos_f1,overall,ece}`` and the same of ``10shot``, mean of 3 draws.

    In the ten-shot figures every intent has ten rows; the out-of-scope rows of the training part, of which no
    intent is learned, all take part in choosing when to reject.
    """
    on_fit("fitting CLINC150, all rows")
    full = _rejecting(_fit(sets.train, vectors, settings), sets, vectors)
    found = {f"clinc150.full.{name}": value for name, value in full.items()}
    draws: list[dict[str, float]] = []
    for seed in SEEDS:
        on_fit(f"fitting CLINC150, ten rows an intent, draw {seed + 1}")
        rows = [sets.train[i] for i in few([row.intent for row in sets.train], seed, keep=OUT_OF_SCOPE)]
        draws.append(_rejecting(_fit(rows, vectors, settings), sets, vectors))
    return found | {f"clinc150.10shot.{name}": _mean([draw[name] for draw in draws]) for name in draws[0]}


def banking_figures(sets: Sets, vectors: KeptVectors, settings: TrainSettings, on_fit: OnFit) -> dict[str, float]:
    """``banking77.full.{accuracy,ece}`` and the same of ``10shot``, mean of 3 draws. Nothing is rejected."""
    on_fit("fitting Banking77, all rows")
    full = _plain(_fit(sets.train, vectors, settings), sets, vectors)
    found = {f"banking77.full.{name}": value for name, value in full.items()}
    draws: list[dict[str, float]] = []
    for seed in SEEDS:
        on_fit(f"fitting Banking77, ten rows an intent, draw {seed + 1}")
        rows = [sets.train[i] for i in few([row.intent for row in sets.train], seed)]
        draws.append(_plain(_fit(rows, vectors, settings), sets, vectors))
    return found | {f"banking77.10shot.{name}": _mean([draw[name] for draw in draws]) for name in draws[0]}


def with_names(rows: Sequence[IntentRow], vectors: KeptVectors) -> Labelled:
    """``rows`` to fit a head on, and the names of their intents."""
    texts, labels = [row.text for row in rows], [row.intent for row in rows]
    data = Labelled(vectors=vectors.of(texts), texts=texts, labels=labels)
    return with_about(data, about_names(label for label in labels if label != OUT_OF_SCOPE), vectors.of)


def _fit(rows: Sequence[IntentRow], vectors: KeptVectors, settings: TrainSettings) -> Head:
    return fit_labelled(with_names(rows, vectors), settings, seed=settings.seed)


def answered(head: Head, rows: Sequence[IntentRow], vectors: KeptVectors) -> Answered:
    """What ``head`` says of ``rows``."""
    texts = [row.text for row in rows]
    said = head.judge(vectors.of(texts), texts)
    best = said.probabilities.argmax(axis=1)
    wanted = np.array([row.intent for row in rows])
    chosen: NDArray[np.str_] = np.array(head.labels)[best]
    return Answered(
        right=np.asarray(chosen == wanted),
        rejected=said.scope < head.reject_below,
        outside=np.asarray(wanted == OUT_OF_SCOPE),
        confidence=said.probabilities.max(axis=1),
    )


def _plain(head: Head, sets: Sets, vectors: KeptVectors) -> dict[str, float]:
    found = answered(head, sets.test, vectors)
    inside = ~found.outside
    return {"accuracy": accuracy(found), "ece": calibration_error(found.confidence[inside], found.right[inside])}


def _rejecting(head: Head, sets: Sets, vectors: KeptVectors) -> dict[str, float]:
    found = answered(head, sets.test, vectors)
    figures = _plain(head, sets, vectors)
    return figures | rejection_figures(found) if found.outside.any() else figures


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
