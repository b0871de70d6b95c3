"""``eval router``: how often a question reaches whom it belongs to, on labelled rows (route.quality).

Kinds of figures. ``shipped.*``: what users receive, by the very code that routes their questions. ``engine.*``:
heads of one's own through the same code. Others
with ``zero_shot``: agents known by their texts alone. The rest: heads fitted here on training rows, by the code of
``switchgear train router``, and scored on rows they have not seen. Nothing of it is kept but vectors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final, cast

from configs.settings import Settings
from engine.bench.report import Report, report
from engine.evals.data import BANKING_FILE, CLINC_FILE, TASKS_FILE, TaskRow, eval_folder, intent_rows, task_rows
from engine.evals.intents import Sets, banking_figures, clinc_figures, lacking, split_intents
from engine.evals.score import calibration_error
from engine.evals.tasks import AUTHORED, complexity_figures, split_tasks, task_figures
from engine.evals.through import engine_figures
from engine.evals.vectors import KeptVectors, OnStep
from engine.routing.contract import Reading
from engine.routing.decide import Trained, match
from engine.routing.encoder import MiniLm, load_encoder
from engine.routing.select import rank
from engine.routing.shipped import bind_artifact, load_head
from engine.routing.table import AgentTable, anchor_texts, profile, stack

SPLIT_SEED: Final = 0
OWN_SET: Final = Path(__file__).resolve().parents[2] / "tests" / "data" / "routing_authored.yaml"
PEER: Final = (
    "peer, measured on other rows of the same sets with the same vectors (semantic-router 1.1.1): "
    "CLINC150 10-shot overall .746, Banking77 full .906, 10-shot .795"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """One row after routing."""

    row: TaskRow
    chosen: str
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the question reached its agent."""
        return self.chosen == self.row.agent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """What one evaluation works with."""

    settings: Settings
    encoder: MiniLm
    vectors: KeptVectors
    table: AgentTable
    trained: Trained | None
    """The head that users receive."""
    test: Path
    train: Path | None
    on_step: OnStep

    def on_fit(self, what: str) -> None:
        """A fit begins; nobody knows how long it takes."""
        self.on_step(what, 0, 0)


def evaluate(
    settings: Settings,
    *,
    test_dir: Path | None = None,
    train_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> Report:
    """All figures on ``test_dir`` (default: the evaluation folder), heads fitted on ``train_dir``.

    Without ``train_dir`` every set is split with a fixed seed, or by its own split. A set that is not there is
    left out and named in ``notes``, which also have the confusions. What a figure means stands where it is made:
    ``figures``, ``task_figures``, ``complexity_figures``, ``clinc_figures``, ``banking_figures``,
    ``engine_figures``, ``rejection_figures``. Vectors are kept under ``settings.data_dir``: without them this
    takes minutes.

    Raises ``ConfigError`` for data that is absent or broken, ``ModelFileError``, ``ArtifactRefused``.
    """
    folder, train = eval_folder(test_dir), None if train_dir is None else eval_folder(train_dir)
    encoder = load_encoder(settings.encoder)
    table = agent_table(settings, encoder)
    on_step = on_step or (lambda what, done, total: None)  # noqa: ARG005 - named as the caller's
    run = _Run(
        settings=settings,
        encoder=encoder,
        vectors=KeptVectors(settings, encoder, on_step),
        table=table,
        trained=bind_artifact(table, load_head(settings)),
        test=folder,
        train=train,
        on_step=on_step,
    )
    found, notes = _tasks(run)
    found |= _own_set(run, notes)
    kept = (run.vectors, encoder)
    for name, of, called in (
        (CLINC_FILE, clinc_figures, "clinc150"),
        (BANKING_FILE, banking_figures, "banking77"),
    ):
        sets = _sets(run, name, notes)
        why = "" if sets is None else lacking(sets)
        if why:
            notes.append(f"left out, {name} has {why}")
        elif sets is not None:
            found |= of(sets, run.vectors, settings.train, run.on_fit)
            found |= engine_figures(called, sets, settings, kept, run.on_fit)
    return report("router", found, notes=(*notes, PEER))


def _tasks(run: _Run) -> tuple[dict[str, float], list[str]]:
    if not (run.test / TASKS_FILE).exists():
        return {}, [f"left out, no {TASKS_FILE}: task_routing.*, complexity.macro_f1, calibration.ece"]
    rows = task_rows(run.test)
    readings = _readings(run, rows)
    plain = _routed(run, rows, readings, None)
    shipped = plain if run.trained is None else _routed(run, rows, readings, run.trained)
    found = figures(plain, shipped)
    notes = [*confusions(shipped)]
    if run.train is None:
        train, test = split_tasks(rows, SPLIT_SEED)
    elif (run.train / TASKS_FILE).exists():
        train, test = task_rows(run.train), rows
    else:
        return found, [*notes, f"left out, no {TASKS_FILE} to learn from: task_routing heads"]
    if _too_few(train, test):
        return found, [*notes, "left out, too few rows to learn from: task_routing heads"]
    found |= task_figures(train, test, run.settings, run.vectors, run.on_fit)
    learned = None if run.train is None else train
    levels = complexity_figures(learned, rows, run.settings, run.vectors, run.on_fit)
    return found | levels, notes if levels else [*notes, "left out, a level has no row: complexity.macro_f1"]


def _too_few(train: Sequence[TaskRow], test: Sequence[TaskRow]) -> bool:
    return len({row.agent for row in train if row.origin != AUTHORED}) < 2 or not test


def _sets(run: _Run, name: str, notes: list[str]) -> Sets | None:
    absent = [folder for folder in (run.test, run.train) if folder is not None and not (folder / name).exists()]
    if absent:
        notes.append(f"left out, {name} is not in {', '.join(map(str, absent))}")
        return None
    rows = intent_rows(run.test, name)
    return (
        split_intents(rows, SPLIT_SEED)
        if run.train is None
        else Sets(train=intent_rows(run.train, name), test=rows)
    )


def _own_set(run: _Run, notes: list[str]) -> dict[str, float]:
    """``shipped.authored_set.{accuracy,ece}``: questions of the project's own, which nothing was fitted on."""
    if not OWN_SET.exists():
        notes.append("left out, not a source tree: shipped.authored_set")
        return {}
    import yaml  # noqa: PLC0415 - only this set needs it

    listed = cast("Mapping[str, Sequence[str]]", yaml.safe_load(OWN_SET.read_text(encoding="utf-8")))
    rows = [TaskRow(text=text, agent=agent, origin=AUTHORED) for agent, texts in listed.items() for text in texts]
    scored = _routed(run, rows, _readings(run, rows), run.trained)
    return {
        "shipped.authored_set.accuracy": _share(scored),
        "shipped.authored_set.ece": calibration_error([s.confidence for s in scored], [s.right for s in scored]),
    }


def _readings(run: _Run, rows: Sequence[TaskRow]) -> list[Reading]:
    """Read as a request is: not from the kept vectors."""
    found: list[Reading] = []
    for done, row in enumerate(rows, 1):
        found.append(run.encoder.read(row.text))
        run.on_step("reading questions", done, len(rows))
    return found


def _routed(run: _Run, rows: Sequence[TaskRow], readings: Sequence[Reading], head: Trained | None) -> list[Scored]:
    """Each row by the code that routes a request, health and learning apart."""
    routing = run.settings.routing
    scored: list[Scored] = []
    for row, reading in zip(rows, readings, strict=True):
        ranking = rank(match(run.table, reading, row.text, routing, head=head), {}, routing)
        scored.append(Scored(row=row, chosen=ranking.agent, confidence=ranking.confidence))
    return scored


def agent_table(settings: Settings, encoder: MiniLm) -> AgentTable:
    """The table of the configured agents."""
    routing = settings.routing
    profiles = [profile(a, encoder.encode(anchor_texts(a, routing)), routing) for a in settings.agents]
    return stack(profiles, routing.general_agent)


def figures(plain: Sequence[Scored], shipped: Sequence[Scored]) -> dict[str, float]:
    """Figures of routing without fitting; a slice without rows has none.

    ``task_routing.zero_shot.accuracy`` and ``.recall.<agent>``: by the agents' texts alone (``plain``).
    ``task_routing.zero_shot.authored.accuracy``: of these, questions written without cue words.
    ``shipped.task_routing.{zero_shot,authored}.accuracy``: as users are routed (``shipped``), which is the same
    where no head is shipped. ``calibration.ece``: of the confidence that users are shown.
    """
    found = {
        "task_routing.zero_shot.accuracy": _share(plain),
        "shipped.task_routing.zero_shot.accuracy": _share(shipped),
    }
    for name, scored in (("task_routing.zero_shot", plain), ("shipped.task_routing", shipped)):
        authored = [s for s in scored if s.row.origin == AUTHORED]
        if authored:
            found[f"{name}.authored.accuracy"] = _share(authored)
    by_agent = sorted(plain, key=lambda s: s.row.agent)
    for agent, group in groupby(by_agent, key=lambda s: s.row.agent):
        found[f"task_routing.zero_shot.recall.{agent}"] = _share(list(group))
    found["calibration.ece"] = calibration_error([s.confidence for s in shipped], [s.right for s in shipped])
    return found


def confusions(scored: Sequence[Scored]) -> tuple[str, ...]:
    """One line per pair that was mixed up, most frequent first."""
    pairs = Counter((s.row.agent, s.chosen) for s in scored if not s.right)
    ordered = sorted(pairs.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(f"{count:4d} × {wanted} → {chosen}" for (wanted, chosen), count in ordered)


def _share(scored: Sequence[Scored]) -> float:
    return sum(s.right for s in scored) / len(scored)
