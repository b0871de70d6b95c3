"""Arithmetic of the figures of ``eval cache``, and their picture. No model, no verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.pairs.pair import Pair
from engine.training.verifier_figures import rates

Flags = NDArray[np.bool_]
PLAIN: Final = 0.85
"""Cosine at which a semantic cache without verification is measured."""
GRID: Final = (*range(5, 90, 5), *range(90, 100))
"""Thresholds of the curve, in hundredths."""
HARD: Final = "hard_negative"
NATURAL: Final = "natural"
SYNONYM: Final = "synonym"
DRAWN: Final = (("shipped.", "shipped"), ("", "fitted to such rows"), ("plain_085.", "plain cosine"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Labelled pairs after they were judged; every array has one value per pair."""

    same: Flags
    accepted: Flags
    scores: NDArray[np.float64]
    """Higher is likelier the same; -1 where a rule refused."""
    kinds: NDArray[np.str_]
    edits: NDArray[np.str_]

    @classmethod
    def of(cls, rows: Sequence[Pair], scores: NDArray[np.float64], accepted: Flags) -> Judged:
        """For rows of ``pair_rows``, whose ``kind`` is ``kind/edit``."""
        named = [row.kind.partition("/") for row in rows]
        return cls(
            same=np.array([row.duplicate for row in rows], dtype=bool),
            accepted=accepted,
            scores=scores,
            kinds=np.array([kind for kind, _, _ in named]),
            edits=np.array([edit for _, _, edit in named]),
        )


def pair_figures(prefix: str, judged: Judged) -> dict[str, float]:
    """Shares and their intervals; a slice without pairs has none. Names as in ``engine.evals.cache.evaluate``."""
    same, other = judged.same, ~judged.same
    groups: dict[str, Flags] = {
        "recall": same,
        "false_hit_rate": other,
        "hard_negative_false_hit_rate": other & (judged.kinds == HARD),
        "synonym_recall": same & (judged.edits == SYNONYM),
    }
    for edit in sorted(set(judged.edits.tolist()) - {""}):
        groups[f"edit.{edit}.recall"] = same & (judged.edits == edit)
        groups[f"edit.{edit}.false_hit_rate"] = other & (judged.edits == edit)
    natural = judged.kinds == NATURAL
    groups |= {"natural.recall": same & natural, "natural.false_hit_rate": other & natural}
    # A share of the hits, not of the pairs: among what is accepted, what is another question.
    hits = {"wrong_of_hits": judged.accepted, "natural.wrong_of_hits": judged.accepted & natural}
    name = f"{prefix}cache"
    return rates(name, judged.accepted, groups) | rates(name, other, hits)


def curve_figures(prefix: str, judged: Judged) -> dict[str, float]:
    """``cache.curve.<hundredths>.{recall,false_hit_rate}``: with scores from there on taken as hits."""
    found: dict[str, float] = {}
    for hundredths in GRID:
        hits = judged.scores >= hundredths / 100
        for name, among in (("recall", judged.same), ("false_hit_rate", ~judged.same)):
            if among.any():
                found[f"{prefix}cache.curve.{hundredths}.{name}"] = float(hits[among].mean())
    return found


def plot(figures: Mapping[str, float], out: Path) -> None:
    """The curves into ``out``; its ending chooses the format (PNG, SVG, PDF)."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second to import

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for prefix, label in DRAWN:
        names = [f"{prefix}cache.curve.{hundredths}" for hundredths in GRID]
        known = [name for name in names if f"{name}.recall" in figures and f"{name}.false_hit_rate" in figures]
        line = axes.plot(
            [figures[f"{name}.false_hit_rate"] for name in known],
            [figures[f"{name}.recall"] for name in known],
            label=label,
        )
        wrong, right = figures.get(f"{prefix}cache.false_hit_rate"), figures.get(f"{prefix}cache.recall")
        if wrong is not None and right is not None:
            axes.plot([wrong], [right], "o", color=line[0].get_color())
    axes.set_xlabel("false hits, share of different questions")
    axes.set_ylabel("hits, share of the same questions")
    axes.set_xscale("symlog", linthresh=0.01)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
