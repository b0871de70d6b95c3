"""``switchgear train verifier``, whole: read, add what follows, encode, judge in turns, fit, write (cache.verify).

The steps in order and what passes between them. Not the steps themselves, and not the terminal.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from configs.routing import TrainSettings
from configs.settings import Settings
from engine.cache.features import NAMES
from engine.cache.verifier import Logistic, Verifier
from engine.cache.verifier_file import CARD, FILE, KIND, SCHEMA, Fitted, Sheet, is_verifier, load_verifier
from engine.errors import TrainingRefused
from engine.evals.score import calibration_error
from engine.routing.artifact import model_digest
from engine.routing.encoder import load_encoder
from engine.training.folder import check_target, write_folder
from engine.training.pairs.edits import edits
from engine.training.pairs.pair import Pair
from engine.training.pairs.read import NEEDED, read_pairs
from engine.training.verifier_card import model_card
from engine.training.verifier_figures import CLOSED, NEVER, Goal, Thresholds, choose, exceed, rates
from engine.training.verifier_fit import Examples, fit_parts, moved, read_examples
from engine.training.verifier_pairs import closed, families, strangers

Vectors = NDArray[np.float32]
CHUNK: Final = 64
"""Texts encoded between two looks at the progress bar."""
OWN_PAIRS: Final = Path(__file__).resolve().parents[2] / "benchmarks" / "verifier_texts"
BASE_QUESTIONS: Final = "base_questions.txt"
ACCEPTS: Final = tuple(round(0.5 + 0.025 * step, 3) for step in range(20))
"""What the probability at the thresholds may be called; the best calibrated is taken."""
OnStep = Callable[[str, int, int | None], None]
Encode = Callable[[Sequence[str]], Vectors]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be learned from, and where it goes."""

    files: tuple[Path, ...]
    out: Path
    seed: int
    licence: str | None = None
    questions: tuple[str, ...] = ()
    """Questions for pairs made by rule, beside those of the files."""
    limits: Thresholds | None = None
    """Thresholds that were chosen elsewhere; ``None``: on the pairs themselves, in turns."""
    accept: float | None = None
    """What the probability at the thresholds is called; ``None``: what fits the pairs best."""
    remarks: tuple[str, ...] = ()
    """What the card has to say beside what training itself finds."""
    columns: tuple[str, ...] = NEEDED
    """Names of the columns of both texts and of the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVerifier:
    """What was written."""

    path: Path
    sheet: Sheet
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Everything that is learned from, with the families that a split keeps together."""

    pairs: tuple[Pair, ...]
    families: NDArray[np.int64]
    """Shape (n, 2): of both texts; they differ for strangers."""
    examples: Examples
    judged: NDArray[np.bool_]
    """Written or made pairs; what follows from them is learned from and not measured on."""


def own_files() -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The pairs of this project and the questions it makes more from. Raises ``TrainingRefused``."""
    found = tuple(sorted(OWN_PAIRS.glob("*.tsv")))
    if not found:
        raise TrainingRefused(
            "there are no pairs to learn from: the project's own ones are part of its source tree only",
            hint="name files of your own: switchgear train verifier PAIRS.csv --out DIR",
            code="data_missing",
        )
    lines = (OWN_PAIRS / BASE_QUESTIONS).read_text(encoding="utf-8").splitlines()
    return found, tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def default_out(settings: Settings) -> Path:
    """Where a verifier goes when nobody says."""
    return settings.data_dir / "artifacts" / "verifier"


def train_verifier(job: Job, settings: Settings, on_step: OnStep, now: datetime) -> TrainedVerifier:
    """Train on ``job.files`` and write the artifact.

    Raises ``TrainingRefused`` for rows or folder that will not do, ``ModelFileError``, ``EmbeddingInvalid``.
    Whatever is raised, the folder is as it was before.
    """
    check_target(job.out, is_verifier)
    on_step("reading pairs", 0, None)
    pairs, notes = cleaned(read_pairs(job.files, job.columns))
    encoder = load_encoder(settings.encoder)
    learned = learn_from(pairs, job.questions, settings.train, job.seed, _counted(encoder.encode, on_step))
    on_step("judging in turns", 0, None)
    odds = out_of_fold(learned, settings.train, job.seed)
    limits = job.limits or limits_of(odds, learned, settings.train)
    notes = (*job.remarks, *notes, *closed_notes(limits, settings.train))
    on_step("fitting", 0, None)
    parts = fit_parts(learned.examples, settings.train)
    accept = job.accept or _best_accept(odds, learned, limits)
    sheet = Sheet(
        kind=KIND,
        sheet_schema=SCHEMA,
        created=now.isoformat(timespec="seconds"),
        parts=_named(parts, limits, accept),
        accept=accept,
        pairs=_counts(learned),
        metrics=_metrics(odds, learned, limits, accept),
        seed=job.seed,
        settings={k: v for k, v in settings.train.model_dump(mode="json").items() if k.startswith("verifier_")},
        data=", ".join(path.name for path in job.files),
        data_sha256=_digest(learned.pairs),
        licence=job.licence,
        model_sha256=model_digest(settings.encoder),
        tokenizer_sha256=str(settings.encoder.tokenizer_sha256),
    ).sealed()
    on_step("writing", 0, None)
    written = {FILE: sheet.model_dump_json(indent=1).encode() + b"\n", CARD: model_card(sheet, notes).encode()}
    write_folder(job.out, written, lambda path: load_verifier(path, settings.encoder), is_verifier)
    return TrainedVerifier(path=job.out, sheet=sheet, notes=notes)


def cleaned(pairs: Sequence[Pair]) -> tuple[list[Pair], tuple[str, ...]]:
    """Without repeats, contradictions and pairs of a text with itself, and what is to be said about them.

    Raises ``TrainingRefused``: ``data_empty``, ``data_single_class``.
    """
    said: dict[frozenset[str], set[bool]] = {}
    for pair in pairs:
        said.setdefault(frozenset((pair.a, pair.b)), set()).add(pair.duplicate)
    kept: dict[frozenset[str], Pair] = {}
    for pair in pairs:
        link = frozenset((pair.a, pair.b))
        if len(link) == 2 and len(said[link]) == 1:
            kept.setdefault(link, pair)
    contradicting = sum(len(labels) == 2 for labels in said.values())
    notes = [f"{contradicting} pairs stand there with both labels and were dropped"] if contradicting else []
    left_out = len(pairs) - len(kept)
    if left_out:
        notes.append(f"{left_out} of {len(pairs)} rows were left out: repeats, contradictions, a text with itself")
    if not kept:
        raise TrainingRefused(
            "there are no pairs to learn from", hint="a row has two texts and a label", code="data_empty"
        )
    if len({pair.duplicate for pair in kept.values()}) == 1:
        raise TrainingRefused(
            "all pairs have the same label", hint="give duplicates and others", code="data_single_class"
        )
    return list(kept.values()), tuple(notes)


def learn_from(
    pairs: Sequence[Pair], questions: Sequence[str], settings: TrainSettings, seed: int, encode: Encode
) -> Learned:
    """``pairs``, what follows from them and what is made by rule, read and encoded."""
    asked = list(dict.fromkeys([*questions, *(pair.a for pair in pairs)]))
    made = edits(asked, seed=seed, per_kind=settings.verifier_edits) if settings.verifier_edits else []
    follow = closed(pairs)
    texts = sorted(
        {text for pair in (*pairs, *made) for text in (pair.a, pair.b)}, key=lambda text: (len(text), text)
    )
    vectors: Mapping[str, Vectors] = dict(zip(texts, encode(texts), strict=True))
    foreign = strangers(pairs, vectors, settings.verifier_strangers)
    every = [*pairs, *made, *follow, *foreign]
    linked = [*pairs, *made]
    family = {
        text: number for pair, number in zip(linked, families(linked), strict=True) for text in (pair.a, pair.b)
    }
    own = len(pairs) + len(made)
    return Learned(
        pairs=tuple(every),
        families=np.array([(family[pair.a], family[pair.b]) for pair in every], dtype=np.int64),
        examples=read_examples(every, vectors, [len(pairs) <= at < own for at in range(len(every))]),
        judged=np.arange(len(every)) < own,
    )


def read_rows(pairs: Sequence[Pair], encode: Encode) -> Examples:
    """``pairs`` alone, as the fit sees them; for judging."""
    texts = sorted({text for pair in pairs for text in (pair.a, pair.b)})
    vectors: Mapping[str, Vectors] = dict(zip(texts, encode(texts), strict=True))
    return read_examples(pairs, vectors, [False] * len(pairs))


def out_of_fold(learned: Learned, settings: TrainSettings, seed: int) -> NDArray[np.float64]:
    """Log-odds of every pair by a verifier that has seen none of its family; ``NEVER`` for refused ones."""
    fold = np.random.default_rng(seed).integers(0, settings.verifier_folds, int(learned.families.max()) + 1)
    sides = fold[learned.families]
    odds = np.full(len(learned.pairs), NEVER)
    for number in range(settings.verifier_folds):
        outside = (sides != number).all(axis=1)
        if learned.examples.same[outside].any() and not learned.examples.same[outside].all():
            parts = fit_parts(learned.examples.take(outside), settings)
            held = (sides == number).any(axis=1) & ~learned.examples.refused
            odds[held] = log_odds(parts, learned.examples)[held]
    return odds


def log_odds(parts: tuple[Logistic, Logistic], examples: Examples) -> NDArray[np.float64]:
    """By the part that is for each pair; what was refused gets what its zeros give."""
    return np.where(examples.edits, parts[0].odds(examples.rows), parts[1].odds(examples.rows))


def limits_of(odds: NDArray[np.float64], learned: Learned, settings: TrainSettings) -> Thresholds:
    """Chosen on what was written or made. Not on strangers: they are too easy to say where thresholds belong."""
    on, examples = learned.judged, learned.examples
    return choose(odds[on], examples.same[on], examples.edits[on], goal_of(settings))


def goal_of(settings: TrainSettings) -> Goal:
    """What thresholds have to hold, as the settings say."""
    return Goal(
        false_hits=settings.verifier_false_hits,
        passed_edits=settings.verifier_passed_edits,
        known=settings.verifier_negatives_min,
    )


def fitted_verifier(learned: Learned, settings: TrainSettings, seed: int) -> Verifier:
    """The verifier that would be written, its thresholds chosen on ``learned`` itself, in turns."""
    odds = out_of_fold(learned, settings, seed)
    limits = limits_of(odds, learned, settings)
    edit, rewording = fit_parts(learned.examples, settings)
    accept = _best_accept(odds, learned, limits)
    return Verifier(
        edit=moved(edit, limits.edit, accept),
        rewording=moved(rewording, limits.rewording, accept),
        accept=accept,
        version="",
    )


def closed_notes(limits: Thresholds, settings: TrainSettings) -> tuple[str, ...]:
    """What is to be said of parts that accept nothing."""
    return tuple(
        f"no {name} is ever accepted: that takes {settings.verifier_negatives_min} of your pairs that differ so, "
        "are not the same and pass the guard, and hits within the goal"
        for name, limit in (("small edit", limits.edit), ("rewording", limits.rewording))
        if limit >= CLOSED
    )


def _named(parts: tuple[Logistic, Logistic], limits: Thresholds, accept: float) -> dict[str, Fitted]:
    at = {"edit": (parts[0], limits.edit), "rewording": (parts[1], limits.rewording)}
    return {
        name: Fitted(weights=dict(zip(NAMES, placed.weights.tolist(), strict=True)), bias=placed.bias)
        for name, (part, limit) in at.items()
        for placed in (moved(part, limit, accept),)
    }


def probabilities(odds: NDArray[np.float64], learned: Examples, limits: Thresholds, accept: float) -> NDArray[Any]:
    """Where the thresholds lie at ``accept``."""
    at = np.where(learned.edits, limits.edit, limits.rewording)
    shifted = np.clip(odds - at + np.log(accept) - np.log1p(-accept), -30.0, 30.0)
    return 1.0 / (1.0 + np.exp(-shifted))


def _best_accept(odds: NDArray[np.float64], learned: Learned, limits: Thresholds) -> float:
    on = learned.judged & ~learned.examples.refused
    examples = learned.examples.take(on)
    return min(
        ACCEPTS,
        key=lambda accept: calibration_error(probabilities(odds[on], examples, limits, accept), examples.same),
    )


def _metrics(odds: NDArray[np.float64], learned: Learned, limits: Thresholds, accept: float) -> dict[str, float]:
    on = learned.judged
    examples = learned.examples.take(on)
    accepted = exceed(odds[on], examples.edits, limits)
    kinds = np.array([pair.kind for pair, counts in zip(learned.pairs, on, strict=True) if counts])
    groups = {"recall": examples.same, "false_hit_rate": ~examples.same}
    for kind in sorted(set(kinds.tolist())):
        for name, labelled in (("recall", examples.same), ("false_hit_rate", ~examples.same)):
            groups[f"kind.{kind}.{name}"] = (kinds == kind) & labelled
    passed = ~examples.refused
    chances = probabilities(odds[on][passed], examples.take(passed), limits, accept)
    found = rates("cross_validated", accepted, groups)
    return found | {"cross_validated.ece": calibration_error(chances, examples.same[passed])}


def _counts(learned: Learned) -> dict[str, int]:
    counted = Counter(f"{'dup' if p.duplicate else 'not'}.{p.kind or 'unnamed'}" for p in learned.pairs)
    return dict(sorted(counted.items())) | {
        "all": len(learned.pairs),
        "written_or_made": int(learned.judged.sum()),
        "made_by_rule": int(learned.examples.made.sum()),
        "refused_by_guard": int(learned.examples.refused.sum()),
    }


def _digest(pairs: Sequence[Pair]) -> str:
    lines = (f"{pair.a}\0{pair.b}\0{pair.duplicate}\0{pair.kind}" for pair in pairs)
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _counted(encode: Encode, on_step: OnStep) -> Encode:
    def chunks(texts: Sequence[str]) -> Vectors:
        done: list[Vectors] = []
        for start in range(0, len(texts), CHUNK):
            done.append(encode(texts[start : start + CHUNK]))
            on_step("encoding", min(start + CHUNK, len(texts)), len(texts))
        return np.concatenate(done)

    return chunks
