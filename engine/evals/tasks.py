"""Task routing and complexity: heads over the configured agents, fitted on training rows. Not what is shipped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from engine.evals.data import TaskRow
from engine.evals.intents import TEST_SHARE, OnFit, few
from engine.evals.score import calibration_error, macro_f1
from engine.evals.vectors import KeptVectors
from engine.routing.complexity import LEVELS, load_complexity
from engine.routing.head import Head
from engine.training.about import about_agents, with_about
from engine.training.fit import Labelled, fit_labelled
from engine.training.fit_complexity import cross_judged, fit_complexity
from engine.types import Complexity

SEEDS: Final = (0, 1, 2, 3, 4)
AUTHORED: Final = "authored"


def split_tasks(rows: Sequence[TaskRow], seed: int) -> tuple[list[TaskRow], list[TaskRow]]:
    """To learn from, to score: 30 % of every agent's rows are scored."""
    order: list[int] = np.random.default_rng(seed).permutation(len(rows)).tolist()
    ranked = sorted(order, key=lambda i: rows[i].agent)
    period = round(1 / TEST_SHARE)
    test = {place for n, place in enumerate(ranked) if n % period == 0}
    train = [row for i, row in enumerate(rows) if i not in test]
    return train, [row for i, row in enumerate(rows) if i in test]


def task_figures(
    train: Sequence[TaskRow], test: Sequence[TaskRow], settings: Settings, vectors: KeptVectors, on_fit: OnFit
) -> dict[str, float]:
    """Figures of heads that choose among the configured agents; the largest probability is the answer.

    ``task_routing.10shot.accuracy``: ten rows an agent, mean of 5 draws, besides what agents say about themselves
    (description, examples, cues, keywords: what zero-shot routing has). ``task_routing.10shot_rows.accuracy``: the
    same ten rows with cues and keywords only. ``task_routing.full.accuracy``: all rows and what agents say.
    ``task_routing.authored.accuracy``: the authored rows of both parts, by a head that saw no authored row.
    ``.ece``: calibration error of the first and the third.
    """
    found: dict[str, float] = {}
    draws: list[tuple[float, float]] = []
    rows_only: list[float] = []
    for seed in SEEDS:
        on_fit(f"fitting the agents, ten rows each, draw {seed + 1}")
        rows = [train[i] for i in few([row.agent for row in train], seed)]
        draws.append(_scores(_fit(rows, settings, vectors, texts=True), test, vectors))
        rows_only.append(_scores(_fit(rows, settings, vectors, texts=False), test, vectors)[0])
    found["task_routing.10shot.accuracy"] = sum(draw[0] for draw in draws) / len(draws)
    found["task_routing.10shot.ece"] = sum(draw[1] for draw in draws) / len(draws)
    found["task_routing.10shot_rows.accuracy"] = sum(rows_only) / len(rows_only)
    on_fit("fitting the agents, all rows")
    head = _fit(train, settings, vectors, texts=True)
    found["task_routing.full.accuracy"], found["task_routing.full.ece"] = _scores(head, test, vectors)
    authored = [row for row in (*train, *test) if row.origin == AUTHORED]
    if authored:
        on_fit("fitting the agents, public rows")
        head = _fit([row for row in train if row.origin != AUTHORED], settings, vectors, texts=True)
        found["task_routing.authored.accuracy"] = _scores(head, authored, vectors)[0]
    return found


def complexity_figures(
    train: Sequence[TaskRow] | None,
    test: Sequence[TaskRow],
    settings: Settings,
    vectors: KeptVectors,
    on_fit: OnFit,
) -> dict[str, float]:
    """``complexity.macro_f1`` of a head fitted on ``train``, and of the shipped one, on rows that have a level.

    Without ``train`` every row of ``test`` is judged by a head fitted on four fifths that it is not among: of
    the rarest level there are too few rows for one split. Nothing when a level is absent from either part.
    """
    asked, wanted = _levels(test)
    texts, labels = (asked, wanted) if train is None else _levels(train)
    if set(labels) != set(LEVELS) or set(wanted) != set(LEVELS):
        return {}
    on_fit("fitting complexity")
    seed = settings.train.seed
    if train is None:
        said = cross_judged(vectors.of(texts), texts, labels, settings.train, seed=seed)
    else:
        head = fit_complexity(vectors.of(texts), texts, labels, settings.train, seed=seed)
        said = head.judge(vectors.of(asked), asked)
    shipped = load_complexity().judge(vectors.of(asked), asked)
    return {
        "complexity.macro_f1": macro_f1(wanted, [LEVELS[int(i)] for i in said.argmax(axis=1)]),
        "shipped.complexity.macro_f1": macro_f1(wanted, [LEVELS[int(i)] for i in shipped.argmax(axis=1)]),
    }


def _levels(rows: Sequence[TaskRow]) -> tuple[list[str], list[Complexity]]:
    """Texts and levels of the rows that have one."""
    texts: list[str] = []
    levels: list[Complexity] = []
    for row in rows:
        if row.complexity is not None:
            texts.append(row.text)
            levels.append(row.complexity)
    return texts, levels


def _fit(rows: Sequence[TaskRow], settings: Settings, vectors: KeptVectors, *, texts: bool) -> Head:
    asked = [row.text for row in rows]
    data = Labelled(vectors=vectors.of(asked), texts=asked, labels=[row.agent for row in rows])
    about = about_agents(settings.agents, settings.routing, texts=texts)
    return fit_labelled(with_about(data, about, vectors.of), settings.train, seed=settings.train.seed)


def _scores(head: Head, rows: Sequence[TaskRow], vectors: KeptVectors) -> tuple[float, float]:
    """Accuracy and calibration error."""
    asked = [row.text for row in rows]
    said = head.judge(vectors.of(asked), asked).probabilities
    chosen: NDArray[np.str_] = np.array(head.labels)[said.argmax(axis=1)]
    right: NDArray[np.bool_] = np.asarray(chosen == np.array([row.agent for row in rows]))
    return float(right.mean()), calibration_error(said.max(axis=1), right)
