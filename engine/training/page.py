"""``report.html`` and ``MODEL_CARD.md``: what was trained and how good it is, for people.

One self-contained page: no script, no font, no request; drawings are SVG whose coordinates are computed here and
whose words go through the template, which escapes everything (texts come from whoever wrote the rows).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.routing.artifact import Card
from engine.training.figures import CurvePoint, Evaluation

TEMPLATES: Final = Path(__file__).parent / "templates"
MATRIX_MAX: Final = 28
"""More labels than this cannot be read in one picture: those with the most mistakes are shown."""
PLOT: Final = 100.0
"""Side of a drawing's inner square, in its own units."""
LABELS_OF_FIGURES: Final = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "in_scope_accuracy": "In-scope accuracy",
    "oos_f1": "Out-of-scope F1",
    "turned_away": "Wrongly turned away",
    "ece": "Calibration error",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A field of the confusion matrix; ``share`` is of its row."""

    row: int
    column: int
    count: int
    share: float
    title: str


def report_page(card: Card, evaluation: Evaluation | None, notes: tuple[str, ...]) -> str:
    """``report.html``; without an evaluation it says why there is none."""
    drawings = {} if evaluation is None else _drawings(evaluation)
    return _render("report.html.j2", card, evaluation, notes, drawings)


def model_card(card: Card, evaluation: Evaluation | None, notes: tuple[str, ...]) -> str:
    """``MODEL_CARD.md``."""
    return _render("model_card.md.j2", card, evaluation, notes, {})


def _render(
    template: str, card: Card, evaluation: Evaluation | None, notes: tuple[str, ...], drawings: Mapping[str, Any]
) -> str:
    # Late: only training makes pages, and `import engine.cli.main` stays light.
    from jinja2 import (  # noqa: PLC0415 - as said above
        Environment,
        FileSystemLoader,
        StrictUndefined,
        select_autoescape,
    )

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = markdown_text
    return environment.get_template(template).render(
        card=card,
        evaluation=evaluation,
        notes=notes,
        figures=LABELS_OF_FIGURES,
        **drawings,
    )


def markdown_text(text: str) -> str:
    """A text as one line inside a Markdown table: no markup, no HTML, no new cell."""
    flat = " ".join(text.split())
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        flat = flat.replace(sign, written)
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+!|~" else c for c in flat)


def _drawings(evaluation: Evaluation) -> dict[str, Any]:
    names, cells = _cells(evaluation)
    has_caught = any(point.caught is not None for point in evaluation.curve)
    lines: dict[str, Callable[[CurvePoint], float]] = {"answered": _answered, "accuracy": _accuracy}
    if has_caught:
        lines["caught"] = _caught
    low, high = _span(evaluation)
    return {
        "names": names,
        "cells": cells,
        "hidden": len(evaluation.names) - len(names),
        "lines": {name: _polyline(evaluation, value, low, high) for name, value in lines.items()},
        "chosen_x": _place(evaluation.reject_below, low, high),
        "low": low,
        "high": high,
        "largest": max((b.rows for b in evaluation.bins), default=1),
    }


def _cells(evaluation: Evaluation) -> tuple[tuple[str, ...], tuple[Cell, ...]]:
    matrix = evaluation.matrix
    errors = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
    shown: list[int] = np.sort(np.argsort(-errors, kind="stable")[:MATRIX_MAX]).tolist()
    names = tuple(evaluation.names[i] for i in shown)
    cells: list[Cell] = []
    for row, i in enumerate(shown):
        total = int(matrix[i].sum())
        for column, j in enumerate(shown):
            count = int(matrix[i, j])
            if count:
                title = f"{names[row]} → {names[column]}: {count} of {total}"
                cells.append(Cell(row=row, column=column, count=count, share=count / total, title=title))
    return names, tuple(cells)


def _answered(point: CurvePoint) -> float:
    return point.answered


def _accuracy(point: CurvePoint) -> float:
    return point.accuracy


def _caught(point: CurvePoint) -> float:
    return 0.0 if point.caught is None else point.caught


def _span(evaluation: Evaluation) -> tuple[float, float]:
    thresholds = [point.threshold for point in evaluation.curve] or [0.0]
    return min(thresholds), max(thresholds)


def _place(threshold: float, low: float, high: float) -> float:
    return PLOT * min(1.0, max(0.0, (threshold - low) / (high - low))) if high > low else 0.0


def _polyline(evaluation: Evaluation, value: Callable[[CurvePoint], float], low: float, high: float) -> str:
    return " ".join(f"{_place(p.threshold, low, high):.2f},{PLOT * (1 - value(p)):.2f}" for p in evaluation.curve)
