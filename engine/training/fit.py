"""Fits a head (``engine/routing/head.py``) to labelled vectors and texts (route.train). No file, no encoder.

Everything that says how sure the head is comes from rows it had not seen when it judged them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from engine.errors import TrainingRefused
from engine.routing.head import DIMENSIONS, SIGNALS, STEP, Head, Weights
from engine.training.calibrate import fit_blend
from engine.training.linear import Inputs, read_inputs, solve
from engine.training.reject import Doubts, Rejection, fit_rejection

OUTSIDE: Final = -1
"""Class of an out-of-scope row."""
UNSEEN: Final = -20.0
"""Log-probability of a label that a fold's head did not know."""
FEW: Final = 10
"""Fewer unseen rows than this say nothing about confidence, and the starting values stay."""
OnStep = Callable[[int, int], None]
Places = NDArray[np.int64]
Floats = NDArray[np.float64]
START_BLEND: Final = (1.0, 0.3)
START_CUT: Final = (0.35, 0.08)
"""Nearest cosine at which half the texts are in scope, and how soon that changes, as seen with MiniLM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Everything that is known, as numbers."""

    labels: tuple[str, ...]
    classes: Places
    inputs: Inputs
    texts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unseen:
    """What heads of the folds said of rows they had not seen."""

    linear: Floats
    votes: list[Floats]
    scope: Floats
    known: NDArray[np.bool_]
    """Rows whose label the fold's head knew."""
    judged: NDArray[np.bool_]


def fit_head(
    vectors: NDArray[np.float32],
    texts: Sequence[str],
    labels: Sequence[str],
    settings: TrainSettings,
    *,
    seed: int,
    on_step: OnStep | None = None,
) -> Head:
    """A head for the labels of ``labels``, from unit ``vectors`` (n, 384) of ``texts``.

    Rows labelled ``settings.out_of_scope`` belong to none of them. Without such rows, rows whose label was left
    out stand in for them. ``on_step(done, of)`` follows each fit. Same rows, settings and seed: same head.
    Raises ``TrainingRefused`` for fewer than two labels, or vectors that do not fit the texts or are not finite.
    """
    rows = _read(vectors, texts, labels, settings)
    parts = _parts(rows, settings, seed)
    steps = int(parts.max()) + 2

    def tick(done: int) -> None:
        if on_step is not None:
            on_step(done, steps)

    unseen = _judge_unseen(rows, parts, settings, tick)
    blend = _blend(rows, unseen, settings)
    rejection = _rejection(rows, unseen, blend, settings)
    head = _head(rows, np.arange(len(texts)), settings, blend=blend, rejection=rejection)
    tick(steps)
    return head


def _read(
    vectors: NDArray[np.float32], texts: Sequence[str], labels: Sequence[str], settings: TrainSettings
) -> _Rows:
    names = tuple(sorted(set(labels) - {settings.out_of_scope}))
    if len(names) < 2:
        raise TrainingRefused(
            f"a head tells labels apart, and here is {'only ' + repr(names[0]) if names else 'none'}",
            hint="give rows of at least two labels",
        )
    if vectors.shape != (len(texts), DIMENSIONS) or len(labels) != len(texts) or not np.isfinite(vectors).all():
        raise TrainingRefused(
            f"{len(texts)} texts, {len(labels)} labels and vectors of shape {vectors.shape} do not fit",
            hint=f"every text needs one label and one finite vector of {DIMENSIONS}",
        )
    place = {name: i for i, name in enumerate(names)} | {settings.out_of_scope: OUTSIDE}
    return _Rows(
        labels=names,
        classes=np.array([place[label] for label in labels], dtype=np.int64),
        inputs=read_inputs(vectors.astype(np.float32), texts, settings),
        texts=texts,
    )


def _parts(rows: _Rows, settings: TrainSettings, seed: int) -> Places:
    """Which fold judges each row: every label is shared out over all folds."""
    folds = settings.folds if len(rows.texts) < settings.large_rows else settings.folds_large
    order = np.random.default_rng(seed).permutation(len(rows.texts))
    ranked = order[np.argsort(rows.classes[order], kind="stable")]
    parts = np.empty(len(order), dtype=np.int64)
    parts[ranked] = np.arange(len(order)) % folds
    return parts


def _judge_unseen(rows: _Rows, parts: Places, settings: TrainSettings, tick: Callable[[int], None]) -> _Unseen:
    n, count = len(rows.texts), len(rows.labels)
    found = _Unseen(
        linear=np.full((n, count), UNSEEN),
        votes=[np.full((n, count), UNSEEN) for _ in settings.sharpness],
        scope=np.zeros((n, SIGNALS)),
        known=np.zeros(n, dtype=np.bool_),
        judged=np.zeros(n, dtype=np.bool_),
    )
    leave_out = bool((rows.classes != OUTSIDE).all()) and count > 3
    for fold in range(int(parts.max()) + 1):
        left = np.arange(count) % (int(parts.max()) + 1) == fold if leave_out else np.zeros(count, dtype=np.bool_)
        dropped = left[rows.classes] & (rows.classes != OUTSIDE)
        inside, outside = np.flatnonzero((parts != fold) & ~dropped), np.flatnonzero(parts == fold)
        _judge_fold(rows, inside, outside, settings, found)
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
    sub = replace(
        rows,
        labels=tuple(name for i, name in enumerate(rows.labels) if i in set(present.tolist())),
        classes=renumber[rows.classes],
    )
    head = _head(sub, inside, settings)
    texts = [rows.texts[int(i)] for i in outside]
    vectors = rows.inputs.vectors[outside]
    cells = np.ix_(outside, present)
    said = head.signals(vectors, texts, settings.sharpness)
    for votes, seen in zip(found.votes, said.votes, strict=True):
        votes[cells] = seen
    found.linear[cells] = said.linear
    found.scope[outside] = said.scope
    found.known[outside] = np.isin(rows.classes[outside], present)
    found.judged[outside] = True


def _blend(rows: _Rows, unseen: _Unseen, settings: TrainSettings) -> Floats:
    use = np.flatnonzero(unseen.known)
    if len(use) < FEW:
        return np.array([*START_BLEND, settings.sharpness[0]])
    votes = [v[use] for v in unseen.votes]
    linear, near, best = fit_blend(unseen.linear[use], votes, rows.classes[use])
    return np.array([linear, near, settings.sharpness[best]])


def _rejection(rows: _Rows, unseen: _Unseen, blend: Floats, settings: TrainSettings) -> Rejection:
    inside, judged = unseen.known, unseen.judged
    if inside.sum() < FEW or (judged & ~inside).sum() < FEW:
        return _start_rejection()
    votes = unseen.votes[settings.sharpness.index(float(blend[2]))]
    best = (blend[0] * unseen.linear + blend[1] * votes).argmax(axis=1)
    return fit_rejection(
        Doubts(signals=unseen.scope[judged], inside=inside[judged], right=(best == rows.classes)[judged]),
        settings.out_of_scope_share,
    )


def _start_rejection() -> Rejection:
    """Without rows to learn from: the nearest cosine alone."""
    weight, mean, spread = np.zeros(SIGNALS), np.zeros(SIGNALS), np.ones(SIGNALS)
    mean[2], spread[2] = START_CUT
    weight[2] = 1.0
    return Rejection(mean=mean, spread=spread, weight=weight, bias=0.0, reject_below=0.5)


def _head(
    rows: _Rows,
    inside: Places,
    settings: TrainSettings,
    *,
    blend: Floats | None = None,
    rejection: Rejection | None = None,
) -> Head:
    classes, count = rows.classes[inside], len(rows.labels)
    outside = classes == OUTSIDE
    targets = np.where(outside, count, classes)
    solved = solve(rows.inputs.take(inside), targets, count + bool(outside.any()), settings)
    examples, starts = _examples(rows, inside, settings)
    vectors = rows.inputs.vectors[inside]
    sums = np.zeros((count, DIMENSIONS))
    np.add.at(sums, classes[~outside], vectors[~outside].astype(np.float64))
    chosen = rejection or _start_rejection()
    return Head(
        rows.labels,
        _rounded(
            Weights(
                linear=solved.linear,
                bias=solved.bias,
                words=solved.words,
                rarity=solved.rarity,
                examples=examples,
                starts=starts,
                centres=(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)).astype(np.float32),
                blend=np.array([*START_BLEND, settings.sharpness[0]]) if blend is None else blend,
                scope=np.stack([chosen.mean, chosen.spread, chosen.weight]),
                scope_bias=np.array(chosen.bias),
                reject_below=np.array(chosen.reject_below),
            )
        ),
    )


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
