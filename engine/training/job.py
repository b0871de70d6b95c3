"""``switchgear train router``, whole: read, split, fine-tune, encode, fit, evaluate, write (route.train).

The steps in order and what passes between them. Not the steps themselves, and not the terminal.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from configs.settings import Settings
from engine.errors import TrainingRefused
from engine.routing.artifact import ENCODER, HEAD, KIND, SCHEMA, Card, MadeWith, load_artifact, model_digest
from engine.routing.contract import Vectors
from engine.routing.encoder import MiniLm, load_encoder, start_encoder
from engine.routing.head import Head
from engine.training.about import about_agents, with_about
from engine.training.figures import Evaluation, Judged, evaluate
from engine.training.finetune import Finetuned, finetune, require_extra
from engine.training.fit import Labelled, fit_labelled
from engine.training.folder import check_target, digests, write_folder
from engine.training.page import model_card, report_page
from engine.training.recalibrate import lenient, recalibrated
from engine.training.rows import Dataset, gather, unknown_agents
from engine.training.source import RowSource
from engine.training.split import Indices, Split, split_rows

VERSION_DIGITS: Final = 12
CHUNK: Final = 32
"""Rows encoded between two looks at the progress bar."""
NAMED_MAX: Final = 8
OnStep = Callable[[str, int, int | None], None]
"""Step, how much of it is done, of how much in all (``None``: nobody knows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be trained, and where it goes."""

    source: RowSource
    out: Path
    seed: int
    finetune: bool = False
    strict: bool = False
    """Labels that are no registered agent are an error."""
    licence: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What was written."""

    path: Path
    card: Card
    evaluation: Evaluation | None
    notes: tuple[str, ...]


def default_out(settings: Settings) -> Path:
    """Where an artifact goes when nobody says."""
    return settings.data_dir / "artifacts" / "router"


def train_router(job: Job, settings: Settings, on_step: OnStep, now: datetime) -> Trained:
    """Train on ``job.source`` and write the artifact.

    Raises ``TrainingRefused`` for rows, folder or packages that will not do, ``ModelFileError``,
    ``EmbeddingInvalid``. Whatever is raised, the folder is as it was before.
    """
    if job.finetune:
        require_extra()
    check_target(job.out)
    on_step("reading rows", 0, None)
    data = gather(job.source, settings.train, job.seed, lambda read: on_step("reading rows", read, None))
    notes = [*_row_notes(data), *_agent_notes(data, settings, strict=job.strict)]
    closed = settings.train.out_of_scope not in data.counts
    split = split_rows(data.labels, settings.train, job.seed, calibration=job.finetune or closed)
    notes += _split_notes(data, split)
    tuned = _finetuned(job, data, split, settings, on_step)
    encoder = load_encoder(settings.encoder) if tuned is None else start_encoder(tuned.model, settings.encoder, {})
    vectors = _encoded(data.texts, encoder, on_step)
    head = _fitted(job, data, split, (vectors, encoder), settings, on_step)
    on_step("evaluating", 0, None)
    evaluation = _evaluated(head, data, split, vectors, settings)
    if tuned is not None:
        notes.append(
            f"the encoder was fine-tuned: loss {tuned.loss_first:.2f} → {tuned.loss_last:.2f}, cosine to those "
            f"before {tuned.moved:.3f}, of PyTorch to ONNX {tuned.fidelity:.6f}"
        )
    on_step("writing", 0, None)
    card = _written(job, settings, _Result(data, split, head, evaluation, tuned, tuple(notes)), now)
    return Trained(path=job.out, card=card, evaluation=evaluation, notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Result:
    data: Dataset
    split: Split
    head: Head
    evaluation: Evaluation | None
    tuned: Finetuned | None
    notes: tuple[str, ...]


def _at(values: Sequence[str], rows: Indices) -> list[str]:
    places: list[int] = rows.tolist()
    return [values[i] for i in places]


def _finetuned(job: Job, data: Dataset, split: Split, settings: Settings, on_step: OnStep) -> Finetuned | None:
    if not job.finetune:
        return None
    on_step("fine-tuning the encoder", 0, None)
    return finetune(
        _at(data.texts, split.train),
        _at(data.labels, split.train),
        settings.encoder,
        settings.train,
        seed=job.seed,
        on_step=lambda done, total: on_step("fine-tuning the encoder", done, total),
    )


def _encoded(texts: Sequence[str], encoder: MiniLm, on_step: OnStep) -> Vectors:
    parts: list[Vectors] = []
    for start in range(0, len(texts), CHUNK):
        on_step("encoding", start, len(texts))
        parts.append(encoder.encode(texts[start : start + CHUNK]))
    on_step("encoding", len(texts), len(texts))
    return np.concatenate(parts)


def _fitted(
    job: Job,
    data: Dataset,
    split: Split,
    encoded: tuple[Vectors, MiniLm],
    settings: Settings,
    on_step: OnStep,
) -> Head:
    vectors, encoder = encoded
    rows = split.train
    on_step("fitting", 0, None)
    asked = Labelled(vectors=vectors[rows], texts=_at(data.texts, rows), labels=_at(data.labels, rows))
    # What agents say of themselves is learned too, so that a few rows go a long way; nothing is measured on it.
    about = about_agents(settings.agents, settings.routing)
    head = fit_labelled(
        with_about(asked, about, encoder.encode),
        settings.train,
        seed=job.seed,
        on_step=lambda done, total: on_step("fitting", done, total),
    )
    rows = split.calibration
    if not len(rows):
        return head
    on_step("calibrating", 0, None)
    held = vectors[rows], _at(data.texts, rows), _at(data.labels, rows)
    if job.finetune:
        head = recalibrated(head, *held, settings.train)
    if settings.train.out_of_scope not in data.counts:
        head = lenient(head, *held, settings.train)
    return head


def _evaluated(head: Head, data: Dataset, split: Split, vectors: Vectors, settings: Settings) -> Evaluation | None:
    if not len(split.test):
        return None
    texts = _at(data.texts, split.test)
    judgement = head.judge(vectors[split.test], texts)
    return evaluate(
        Judged(
            texts=texts,
            wanted=_at(data.labels, split.test),
            labels=head.labels,
            probabilities=judgement.probabilities,
            scope=judgement.scope,
            reject_below=head.reject_below,
            out_of_scope=settings.train.out_of_scope,
        )
    )


def _written(job: Job, settings: Settings, result: _Result, now: datetime) -> Card:
    head = _npz(result.head)
    core = {HEAD: head} | ({} if result.tuned is None else {ENCODER: result.tuned.model})
    version = hashlib.sha256("".join(digests(core).values()).encode()).hexdigest()[:VERSION_DIGITS]
    card = _card(job, settings, result, now).model_copy(update={"version": version, "files": digests(core)})
    pages = {
        "MODEL_CARD.md": model_card(card, result.evaluation, result.notes).encode(),
        "report.html": report_page(card, result.evaluation, result.notes).encode(),
    }
    card = card.model_copy(update={"files": digests(core | pages)}).sealed()
    files = {**core, **pages, "card.json": (card.model_dump_json(indent=2) + "\n").encode()}
    write_folder(job.out, files, partial(load_artifact, settings=settings.encoder))
    return card


def _card(job: Job, settings: Settings, result: _Result, now: datetime) -> Card:
    data, split, tuned = result.data, result.split, result.tuned
    model = model_digest(settings.encoder) if tuned is None else hashlib.sha256(tuned.model).hexdigest()
    parts = {"train": len(split.train), "calibration": len(split.calibration), "test": len(split.test)}
    return Card(
        kind=KIND,
        card_schema=SCHEMA,
        version="",
        created=now.astimezone(UTC).isoformat(timespec="seconds"),
        labels=result.head.labels,
        rows={**asdict(data.findings), **parts},
        label_rows=dict(data.counts),
        metrics={} if result.evaluation is None else dict(result.evaluation.metrics),
        seed=job.seed,
        settings=settings.train.model_dump(mode="json"),
        data=data.name,
        data_sha256=data.sha256,
        licence=job.licence,
        encoder=MadeWith(
            model_sha256=model,
            tokenizer_sha256=settings.encoder.tokenizer_sha256,
            max_tokens=settings.encoder.max_tokens,
        ),
        files={},
    )


def _npz(head: Head) -> bytes:
    """The head's arrays, in an order and with dates that never differ."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = dict(sorted(head.to_arrays().items()))
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _row_notes(data: Dataset) -> list[str]:
    found = data.findings
    notes = [f"{found.used:,} of {found.read:,} rows are used"]
    if found.blank:
        notes.append(f"{found.blank:,} rows without a text or a label are left out")
    if found.duplicates:
        notes.append(f"{found.duplicates:,} repeated rows count once")
    if found.contradicting_texts:
        notes.append(
            f"{found.contradicting_texts:,} texts have more than one label: the majority counts, "
            f"{found.contradicting_rows:,} rows are dropped"
        )
    wordless = sum(not any(map(str.isalnum, text)) for text in data.texts)
    if wordless:
        notes.append(f"{wordless:,} texts have no word, as of emoji alone: they teach little")
    if found.left_out:
        notes.append(f"{found.left_out:,} rows are left out at random, a share of every label (train.rows_max)")
    return notes


def _agent_notes(data: Dataset, settings: Settings, *, strict: bool) -> list[str]:
    agents = [agent.name for agent in settings.agents]
    strange = unknown_agents(data.counts, agents, {settings.train.out_of_scope})
    without = sorted(set(agents) - set(data.counts))
    gaps = [f"no rows for {', '.join(without[:NAMED_MAX])}: the head knows nothing of them"] if without else []
    if not strange:
        return gaps
    shown = [f"{label} (did you mean {near}?)" if near else label for label, near in strange.items()]
    more = f" and {len(shown) - NAMED_MAX} more" if len(shown) > NAMED_MAX else ""
    text = f"no agent has the name of {len(shown)} labels: {', '.join(shown[:NAMED_MAX])}{more}"
    if strict:
        raise TrainingRefused(
            text,
            hint=f"the agents are: {', '.join(sorted(agents))}; register them first",
            code="data_unknown_agent",
        )
    if len(without) == len(agents):
        return [f"{text}; this head takes part in routing once agents of these names are registered"]
    return [text, *gaps]


def _split_notes(data: Dataset, split: Split) -> list[str]:
    if not len(split.test):
        return ["no label has rows to spare for a test: all are trained on, and there are no figures"]
    tested = set(_at(data.labels, split.test))
    untested = sorted(set(data.counts) - tested)
    few = f"{len(untested)} labels have too few rows to be tested: {', '.join(untested[:NAMED_MAX])}"
    return [few] if untested else []
