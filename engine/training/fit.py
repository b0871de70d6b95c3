"""Fits a head (``engine/routing/head.py``) to labelled vectors and texts (route.train). No file, no encoder.

Everything that says how sure the head is comes from rows it had not seen when it judged them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.routing.head import DIMENSIONS, SIGNALS, STEP, Head, Weights
from engine.training.calibrate import fit_blend
from engine.training.linear import Inputs, read_inputs, solve
from engine.training.reject import Doubts, Rejection, fit_rejection, start_rejection

OUTSIDE: Final = -1
"""Class of an out-of-scope row."""
UNSEEN: Final = -20.0
"""Log-probability of a label that a fold's head did not know."""
JUDGED_CELLS: Final = 20_000_000
"""Numbers kept of unseen rows, 160 MB; of more rows a sample is judged."""
LABELS_TO_LEAVE_OUT: Final = 4
"""With fewer of them, leaving one out says little."""
FEW: Final = 10
"""Fewer unseen rows than this say nothing about confidence, and the starting values stay."""
OnStep = Callable[[int, int], None]
Places = NDArray[np.int64]
Floats = NDArray[np.float64]
START_BLEND: Final = (1.0, 3.0, 1.0, 0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Rows to learn from."""

    vectors: NDArray[np.float32]
    """Unit vectors, shape (n, 384)."""
    texts: Sequence[str]
    labels: Sequence[str]
    asked: Sequence[bool] | None = None
    """Which rows people ask like. The others (descriptions, examples somebody made up) are learned from, and
    nothing is measured on them; ``None``: all of them."""
    cues: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    keywords: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Of the labels that have some: words that name the label, and words that point to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Everything that is known, as numbers."""

    labels: tuple[str, ...]
    classes: Places
    asked: NDArray[np.bool_]
    inputs: Inputs
    texts: Sequence[str]
    cues: Mapping[str, Sequence[str]]
    keywords: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen:
    """What heads of the folds said of rows they had not seen."""

    rows: Places
    """Which rows these are, ascending."""
    parts: Floats
    scope: Floats
    known: NDArray[np.bool_]
    """Rows whose label the fold's head knew."""
    judged: NDArray[np.bool_]


def fit_labelled(data: Labelled, settings: TrainSettings, *, seed: int, on_step: OnStep | None = None) -> Head:
    """A head for the labels of ``data``.

    Rows labelled ``settings.out_of_scope`` belong to none of them. Without such rows, rows whose label was left
    out stand in for them. ``on_step(done, of)`` follows each fit. Same rows, settings and seed: same head.
    Raises ``TrainingRefused`` for fewer than two labels, or vectors that do not fit the texts or are not finite.
    """
    rows = _read(data, settings)
    parts = _parts(rows, settings, seed)
    steps = int(parts.max()) + 2

    def tick(done: int) -> None:
        if on_step is not None:
            on_step(done, steps)

    unseen = _judge_unseen(rows, parts, settings, seed, tick)
    blend = _blend(rows, unseen)
    rejection = _rejection(rows, unseen, blend, settings)
    head = _head(rows, np.arange(len(rows.texts)), settings)
    tick(steps)
    return Head(
        head.labels,
        replace(
            head.weights,
            blend=blend[0],
            sharpness=np.array(settings.sharpness[blend[1]]),
            scope=np.stack([rejection.mean, rejection.spread, rejection.weight]),
            scope_bias=np.array(rejection.bias),
            reject_below=np.array(rejection.reject_below),
        ),
    )


def _read(data: Labelled, settings: TrainSettings) -> _Rows:
    names = tuple(sorted(set(data.labels) - {settings.out_of_scope}))
    if len(names) < 2:
        raise TrainingRefused(
            f"a head tells labels apart, and here is {'only ' + repr(names[0]) if names else 'none'}",
            hint="give rows of at least two labels",
        )
    count, vectors = len(data.texts), data.vectors
    asked = np.ones(count, dtype=np.bool_) if data.asked is None else np.array(data.asked, dtype=np.bool_)
    if vectors.shape != (count, DIMENSIONS) or not count == len(data.labels) == len(asked):
        raise TrainingRefused(
            f"{count} texts, {len(data.labels)} labels and vectors of shape {vectors.shape} do not fit",
            hint=f"every text needs one label and one vector of {DIMENSIONS}",
        )
    if not np.isfinite(vectors).all():
        raise TrainingRefused("a vector is not finite", hint="encode the texts again")
    place = {name: i for i, name in enumerate(names)} | {settings.out_of_scope: OUTSIDE}
    return _Rows(
        labels=names,
        classes=np.array([place[label] for label in data.labels], dtype=np.int64),
        asked=asked,
        inputs=read_inputs(vectors.astype(np.float32), data.texts, settings),
        texts=data.texts,
        cues=data.cues,
        keywords=data.keywords,
    )


def _parts(rows: _Rows, settings: TrainSettings, seed: int) -> Places:
    """Which fold judges each row: every label is shared out over all folds."""
    folds = settings.folds if len(rows.texts) < settings.large_rows else settings.folds_large
    order = np.random.default_rng(seed).permutation(len(rows.texts))
    ranked = order[np.argsort(rows.classes[order], kind="stable")]
    parts = np.empty(len(order), dtype=np.int64)
    parts[ranked] = np.arange(len(order)) % folds
    return parts


def _judge_unseen(
    rows: _Rows, parts: Places, settings: TrainSettings, seed: int, tick: Callable[[int], None]
) -> _Unseen:
    count, folds, depth = len(rows.labels), int(parts.max()) + 1, 3 + len(settings.sharpness)
    chosen = np.flatnonzero(rows.asked)
    most = max(FEW, JUDGED_CELLS // (depth * count))
    if len(chosen) > most:
        chosen = np.sort(np.random.default_rng(seed).permutation(chosen)[:most])
    n = len(chosen)
    shape = (depth, n, count)
    found = _Unseen(
        rows=chosen,
        parts=np.zeros(shape),
        scope=np.zeros((n, SIGNALS)),
        known=np.zeros(n, dtype=np.bool_),
        judged=np.zeros(n, dtype=np.bool_),
    )
    found.parts[[0, *range(3, shape[0])]] = UNSEEN
    leave_out = bool((rows.classes != OUTSIDE).all()) and count >= LABELS_TO_LEAVE_OUT
    for fold in range(folds):
        left = (np.arange(count) % folds == fold) & leave_out
        dropped = left[rows.classes] & (rows.classes != OUTSIDE)
        inside = np.flatnonzero((parts != fold) & ~dropped)
        _judge_fold(rows, inside, chosen[parts[chosen] == fold], settings, found)
        tick(fold + 1)
    return found


def _judge_fold(rows: _Rows, inside: Places, outside: Places, settings: TrainSettings, found: _Unseen) -> None:
    """Fills the rows ``outside`` of ``found`` from a head fitted on ``inside``."""
    present = np.unique(rows.classes[inside])
    present = present[present != OUTSIDE]
    if len(present) < 2 or not len(outside):
        return
    renumber = np.full(len(rows.labels) + 1, OUTSIDE)
    renumber[present] = np.arange(len(present))
    chosen = set(present.tolist())
    names = tuple(name for i, name in enumerate(rows.labels) if i in chosen)
    head = _head(replace(rows, labels=names, classes=renumber[rows.classes]), inside, settings)
    texts = [rows.texts[int(i)] for i in outside]
    said = head.signals(rows.inputs.vectors[outside], texts, settings.sharpness)
    places = np.searchsorted(found.rows, outside)
    for part, seen in zip(found.parts, said.parts, strict=True):
        part[np.ix_(places, present)] = seen
    found.scope[places] = said.scope
    found.known[places] = np.isin(rows.classes[outside], present)
    found.judged[places] = True


def _blend(rows: _Rows, unseen: _Unseen) -> tuple[Floats, int]:
    use = np.flatnonzero(unseen.known)
    if len(use) < FEW:
        return np.array(START_BLEND), 0
    return fit_blend(unseen.parts[:, use], rows.classes[unseen.rows[use]])


def _rejection(rows: _Rows, unseen: _Unseen, blend: tuple[Floats, int], settings: TrainSettings) -> Rejection:
    inside, judged = unseen.known, unseen.judged
    if inside.sum() < FEW or (judged & ~inside).sum() < FEW:
        return start_rejection()
    weights, sharpness = blend
    best = np.tensordot(weights, unseen.parts[[0, 1, 2, 3 + sharpness]], 1).argmax(axis=1)
    doubts = Doubts(
        signals=unseen.scope[judged], inside=inside[judged], right=(best == rows.classes[unseen.rows])[judged]
    )
    return fit_rejection(doubts, settings.out_of_scope_share)


def _head(rows: _Rows, inside: Places, settings: TrainSettings) -> Head:
    """Fitted on the rows ``inside``; blend and rejection at their starting values."""
    classes, count = rows.classes[inside], len(rows.labels)
    outside = classes == OUTSIDE
    targets = np.where(outside, count, classes)
    solved = solve(rows.inputs.take(inside), targets, count + bool(outside.any()), settings)
    examples, starts = _examples(rows, inside, settings)
    sums = np.zeros((count, DIMENSIONS))
    np.add.at(sums, classes[~outside], rows.inputs.vectors[inside][~outside].astype(np.float64))
    start = start_rejection()
    terms = [
        (text, i, cue)
        for i, name in enumerate(rows.labels)
        for cue, lists in ((1, rows.cues), (0, rows.keywords))
        for text in lists.get(name, ())
    ]
    weights = Weights(
        linear=solved.linear,
        bias=solved.bias,
        words=solved.words,
        rarity=solved.rarity,
        examples=examples,
        starts=starts,
        centres=(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32),
        terms=np.array([text for text, _, _ in terms], dtype=np.str_),
        term_labels=np.array([label for _, label, _ in terms], dtype=np.int64),
        term_cues=np.array([cue for _, _, cue in terms], dtype=np.int64),
        blend=np.array(START_BLEND),
        sharpness=np.array(settings.sharpness[0]),
        scope=np.stack([start.mean, start.spread, start.weight]),
        scope_bias=np.array(start.bias),
        reject_below=np.array(start.reject_below),
    )
    return Head(rows.labels, _rounded(weights))


def _rounded(weights: Weights) -> Weights:
    """As it will be read back from a file."""

    def half(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return values.astype(np.float16).astype(np.float32)

    return replace(
        weights,
        linear=half(weights.linear),
        words=half(weights.words),
        rarity=half(weights.rarity),
        centres=half(weights.centres),
    )


def _examples(rows: _Rows, inside: Places, settings: TrainSettings) -> tuple[NDArray[np.int8], Places]:
    """Up to ``examples_max`` in-scope rows in signed bytes, the same share of every label and at least one."""
    kept: list[Places] = []
    members = [inside[rows.classes[inside] == i] for i in range(len(rows.labels))]
    share = min(1.0, settings.examples_max / sum(len(each) for each in members))
    for each in members:
        number = max(1, int(len(each) * share))
        kept.append(each[np.linspace(0, len(each) - 1, number).astype(np.int64)])
    vectors = rows.inputs.vectors[np.concatenate(kept)]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in kept])]).astype(np.int64)
    return np.rint(vectors * STEP).astype(np.int8), starts
