"""How good a head is on rows it has not seen: figures, confusions, reliability, and what a threshold costs.

Arithmetic over judgements that were already made; no model, no file, no page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 15
CURVE_POINTS: Final = 60
EXAMPLES_MAX: Final = 3
PAIRS_MAX: Final = 12
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Rows of the test part after the head has judged them."""

    texts: Sequence[str]
    wanted: Sequence[str]
    labels: Sequence[str]
    """Of the head, in the order of the columns of ``probabilities``."""
    probabilities: Floats
    """Shape (rows, labels)."""
    scope: Floats
    """Shape (rows,); below ``reject_below`` the answer is «none of these»."""
    reject_below: float
    out_of_scope: str
    """The label of rows that belong to none of the others, and the answer «none of these»."""

    @property
    def best(self) -> list[str]:
        """The most probable label of each row, whether it would be rejected or not."""
        return [self.labels[int(i)] for i in self.probabilities.argmax(axis=1)]

    @property
    def answers(self) -> list[str]:
        """What a user would get for each row."""
        none = self.out_of_scope
        return [none if s < self.reject_below else b for s, b in zip(self.scope, self.best, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFigures:
    """One line of the table of labels."""

    label: str
    rows: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Rows of about the same confidence: how sure the head was, how often it was right."""

    confidence: float
    accuracy: float
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """What would happen with another threshold."""

    threshold: float
    answered: float
    """Share of the in-scope rows that would get an answer."""
    accuracy: float
    """Share of the answered in-scope rows that are right."""
    caught: float | None
    """Share of the out-of-scope rows that would be turned away; ``None`` without such rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """A pair of labels that was mixed up."""

    wanted: str
    answer: str
    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that the card and the report show."""

    metrics: Mapping[str, float]
    labels: tuple[LabelFigures, ...]
    names: tuple[str, ...]
    """Rows and columns of ``matrix``."""
    matrix: NDArray[np.int64]
    """Wanted down, answered across."""
    bins: tuple[Bin, ...]
    curve: tuple[CurvePoint, ...]
    confusions: tuple[Confusion, ...]
    reject_below: float


def evaluate(judged: Judged) -> Evaluation:
    """Figures of at least one row.

    ``accuracy`` counts a row as right when the user gets its label, or «none of these» for an out-of-scope one;
    ``turned_away`` is the share of in-scope rows that get «none of these»; ``macro_f1`` is over the labels that
    occur; ``in_scope_accuracy`` and ``oos_f1`` are there when out-of-scope rows are; ``ece`` is the expected
    calibration error of the most probable label over in-scope rows, 15 bins (Guo et al. 2017).
    """
    answers, none = judged.answers, judged.out_of_scope
    names = tuple(sorted({*judged.wanted, *answers} - {none}))
    if none in {*judged.wanted, *answers}:
        names += (none,)
    matrix = _matrix(judged.wanted, answers, names)
    table = _table(matrix, names)
    bins, ece = _reliability(judged)
    metrics = {
        "rows": float(len(answers)),
        "accuracy": float(np.trace(matrix)) / len(answers),
        "macro_f1": float(np.mean([line.f1 for line in table if line.rows])),
        "ece": ece,
    }
    kept = [a != none for w, a in zip(judged.wanted, answers, strict=True) if w != none]
    if kept:
        metrics["turned_away"] = 1.0 - sum(kept) / len(kept)
    inside = [w == a for w, a in zip(judged.wanted, answers, strict=True) if w != none]
    if inside and len(inside) < len(answers):
        metrics["in_scope_accuracy"] = sum(inside) / len(inside)
        metrics["oos_f1"] = next(line.f1 for line in table if line.label == none)
    return Evaluation(
        metrics=metrics,
        labels=table,
        names=names,
        matrix=matrix,
        bins=bins,
        curve=_curve(judged),
        confusions=_confusions(judged, answers),
        reject_below=judged.reject_below,
    )


def _matrix(wanted: Sequence[str], answers: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    place = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(names), len(names)), dtype=np.int64)
    for want, answer in zip(wanted, answers, strict=True):
        matrix[place[want], place[answer]] += 1
    return matrix


def _table(matrix: NDArray[np.int64], names: Sequence[str]) -> tuple[LabelFigures, ...]:
    lines: list[LabelFigures] = []
    for i, name in enumerate(names):
        hits, rows, answered = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
        lines.append(
            LabelFigures(
                label=name,
                rows=rows,
                precision=hits / answered if answered else 0.0,
                recall=hits / rows if rows else 0.0,
                f1=2 * hits / (rows + answered) if rows + answered else 0.0,
            )
        )
    return tuple(lines)


def _inside(judged: Judged) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are in scope, and of which the most probable label is right."""
    wanted = np.array(judged.wanted)
    return wanted != judged.out_of_scope, wanted == np.array(judged.best)


def _reliability(judged: Judged) -> tuple[tuple[Bin, ...], float]:
    inside, right = _inside(judged)
    confidence, right = judged.probabilities.max(axis=1)[inside], right[inside]
    if not len(confidence):
        return (), 0.0
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins: list[Bin] = []
    for i in np.unique(place):
        here = place == i
        bins.append(
            Bin(
                confidence=float(confidence[here].mean()),
                accuracy=float(right[here].mean()),
                rows=int(here.sum()),
            )
        )
    return tuple(bins), sum(b.rows * abs(b.confidence - b.accuracy) for b in bins) / len(confidence)


def _curve(judged: Judged) -> tuple[CurvePoint, ...]:
    inside, right = _inside(judged)
    if not inside.any():
        return ()
    shares = np.linspace(0.0, 1.0, CURVE_POINTS)
    thresholds = np.unique(np.append(np.quantile(judged.scope, shares), judged.reject_below))
    points: list[CurvePoint] = []
    for threshold in thresholds:
        kept = judged.scope >= threshold
        answered = kept & inside
        if answered.any():
            points.append(
                CurvePoint(
                    threshold=float(threshold),
                    answered=float(answered.sum() / inside.sum()),
                    accuracy=float(right[answered].mean()),
                    caught=None if inside.all() else float((~kept)[~inside].mean()),
                )
            )
    return tuple(points)


def _confusions(judged: Judged, answers: Sequence[str]) -> tuple[Confusion, ...]:
    wrong = [(w, a, i) for i, (w, a) in enumerate(zip(judged.wanted, answers, strict=True)) if w != a]
    pairs = Counter((w, a) for w, a, _ in wrong)
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))[:PAIRS_MAX]
    sure = judged.probabilities.max(axis=1)
    found: list[Confusion] = []
    for (wanted, answer), rows in ordered:
        # The surest mistakes first: they say most about the rows, or about their labels.
        places = sorted((i for w, a, i in wrong if (w, a) == (wanted, answer)), key=lambda i: (-sure[i], i))
        examples = tuple(judged.texts[i] for i in places[:EXAMPLES_MAX])
        found.append(Confusion(wanted=wanted, answer=answer, rows=rows, examples=examples))
    return tuple(found)
