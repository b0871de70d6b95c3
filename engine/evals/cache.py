"""``eval cache``: how often the semantic cache would hit, and how often wrongly, on labelled pairs.

``cache.*``: a verifier fitted to the training rows by the code of ``switchgear train verifier``. ``shipped.*``:
the one that users receive, through the very code that judges a hit. ``plain_085.*``: cosine .85 and nothing else.
Nothing of the rows is kept but vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from engine.bench.report import Report, report
from engine.cache.question import Question, pack, unpack
from engine.cache.verdict import judge
from engine.cache.verifier_file import load_verifier
from engine.evals.data import eval_folder, pair_rows
from engine.evals.pair_score import PLAIN, Judged, curve_figures, pair_figures
from engine.evals.score import calibration_error
from engine.evals.vectors import KeptVectors, OnStep
from engine.routing.contract import Vectors
from engine.routing.encoder import load_encoder
from engine.training.pairs.pair import Pair
from engine.training.verifier_job import fitted_verifier, learn_from, read_rows
from engine.training.verifier_pairs import families

SEED: Final = 0
PARTS: Final = 2
"""Without rows to train on, each half of the questions is judged by what the other half taught."""
PEERS: Final = (
    "measured on other rows of the same shape: boosted trees with cosine and 20 lexical features, fitted to such "
    "rows, .48 recall at .023 false hits (.010 of the hard negatives); plain cosine .85: .67 at .32 (.74)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    settings: Settings
    vectors: KeptVectors
    on_step: OnStep


def evaluate(
    settings: Settings,
    *,
    test_dir: Path | None = None,
    train_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """All figures on ``test_dir`` (default: the evaluation folder).

    For each of the three: ``cache.{recall,false_hit_rate,hard_negative_false_hit_rate,synonym_recall}``,
    ``cache.wrong_of_hits`` (share of the hits that are false ones), these without hard negatives and synonyms for
    rows that people wrote: ``cache.natural.{recall,false_hit_rate,wrong_of_hits}``, and by edit
    ``cache.edit.<kind>.{recall,false_hit_rate}``, each with ``.low`` and ``.high`` (Clopper–Pearson, 95 %), and
    the curve: ``cache.curve.<threshold>.{recall,false_hit_rate}``, thresholds in hundredths. ``calibration.ece``
    is of pairs that the guard lets through. Without ``train_dir`` the rows are halved by connected questions.

    Raises ``ConfigError`` for data that is absent or broken, ``ModelFileError``, ``ArtifactRefused``.
    """
    folder, train = eval_folder(test_dir), None if train_dir is None else eval_folder(train_dir)
    rows = pair_rows(folder)
    encoder = load_encoder(settings.encoder)
    on_step = on_step or (lambda what, done, total: None)  # noqa: ARG005 - named as the caller's
    run = _Run(settings=settings, vectors=KeptVectors(settings, encoder, on_step), on_step=on_step)
    a, b = run.vectors.of([row.a for row in rows]), run.vectors.of([row.b for row in rows])
    plain = _plain(rows, a, b)
    shipped, floors = _shipped(rows, a, b, run)
    fitted = _halves(rows, run) if train is None else _fitted(pair_rows(train), rows, run)
    found: dict[str, float] = {}
    for prefix, judged in (("", fitted), ("shipped.", shipped), ("plain_085.", plain)):
        found |= pair_figures(prefix, judged) | curve_figures(prefix, judged)
    found |= _calibration("", fitted) | _calibration("shipped.", shipped)
    return report("cache", found, notes=(*floors, PEERS))


def _plain(rows: Sequence[Pair], a: Vectors, b: Vectors) -> Judged:
    cosines = np.einsum("ij,ij->i", a, b, dtype=np.float64)
    return Judged.of(rows, cosines, np.asarray(cosines >= PLAIN))


def _shipped(rows: Sequence[Pair], a: Vectors, b: Vectors, run: _Run) -> tuple[Judged, tuple[str, ...]]:
    """By the code that judges a hit, the stored question as it comes back from the store."""
    semantic = run.settings.cache.semantic
    verifier = load_verifier(semantic.verifier, run.settings.encoder)
    threshold = verifier.accept if semantic.accept is None else semantic.accept
    scores, accepted, refused = np.full(len(rows), -1.0), np.zeros(len(rows), dtype=bool), dict[str, int]()
    for at, row in enumerate(rows):
        verdict = judge(
            Question(text=row.a, vector=a[at]),
            _stored(row.b, b[at]),
            verifier,
            threshold=threshold,
            grey=threshold,
            floor=semantic.similarity_min,
        )
        accepted[at] = verdict.accepted
        scores[at] = -1.0 if verdict.probability is None else verdict.probability
        refused[verdict.rule] = refused.get(verdict.rule, 0) + 1
        run.on_step("judging pairs", at + 1, len(rows))
    counts = sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))
    said = tuple(f"{count:5d} × {rule}" for rule, count in counts)
    return Judged.of(rows, scores, accepted), said


def _stored(text: str, vector: Vectors) -> Question:
    found = unpack(pack(Question(text=text, vector=vector)))
    return Question(text=text, vector=vector) if found is None else found


def _halves(rows: Sequence[Pair], run: _Run) -> Judged:
    """Every row by what was fitted to the questions of the other half."""
    side = _sides(rows)
    scores, accepted = np.full(len(rows), -1.0), np.zeros(len(rows), dtype=bool)
    for number in range(PARTS):
        held = side == number
        train = [row for row, out in zip(rows, held, strict=True) if not out]
        test = [row for row, out in zip(rows, held, strict=True) if out]
        judged = _fitted(train, test, run)
        scores[held], accepted[held] = judged.scores, judged.accepted
    return Judged.of(rows, scores, accepted)


def _sides(rows: Sequence[Pair]) -> NDArray[np.int64]:
    family = np.array(families(rows), dtype=np.int64)
    return np.random.default_rng(SEED).integers(0, PARTS, int(family.max()) + 1)[family]


def _fitted(train: Sequence[Pair], test: Sequence[Pair], run: _Run) -> Judged:
    """What ``train verifier`` makes of ``train`` without pairs of its own making, on ``test``.

    The least number of different pairs is switched off too: half of the rows has too few small edits for it.
    """
    run.on_step("fitting to the rows", 0, 0)
    without = {"verifier_edits": 0, "verifier_strangers": 0, "verifier_negatives_min": 1}
    verifier = fitted_verifier(
        learn_from(train, (), run.settings.train.model_copy(update=without), SEED, run.vectors.of),
        run.settings.train.model_copy(update=without),
        SEED,
    )
    seen = read_rows(test, run.vectors.of)
    a, b = run.vectors.of([row.a for row in test]), run.vectors.of([row.b for row in test])
    near = np.einsum("ij,ij->i", a, b, dtype=np.float64) >= run.settings.cache.semantic.similarity_min
    chances = np.where(seen.refused | ~near, -1.0, verifier.judge_rows(seen.rows))
    return Judged.of(test, chances, np.asarray(chances >= verifier.accept))


def _calibration(prefix: str, judged: Judged) -> dict[str, float]:
    passed = judged.scores >= 0.0
    if not passed.any():
        return {}
    return {f"{prefix}calibration.ece": calibration_error(judged.scores[passed], judged.same[passed])}
