"""``MODEL_CARD.md`` of a verifier: what it learned from, how good it is, what it cannot do. Words only."""

from __future__ import annotations

from collections.abc import Sequence

from engine.cache.verifier_file import Sheet
from engine.training.page import markdown_text


def model_card(sheet: Sheet, notes: Sequence[str]) -> str:
    """The card as Markdown."""
    lines = [
        f"# Verifier {sheet.digest()[:12]}",
        "",
        "| | |",
        "|---|---|",
        f"| Learned from | {markdown_text(sheet.data)} |",
        f"| Pairs | {sheet.pairs['all']:,}, of them {sheet.pairs['written_or_made']:,} written or made by rule |",
        f"| Licence of the pairs | {markdown_text(sheet.licence or 'not stated')} |",
        f"| Created | {sheet.created} |",
        f"| Seed | {sheet.seed} |",
        f"| Encoder | `{sheet.model_sha256[:12]}` |",
        f"| Pairs' SHA-256 | `{sheet.data_sha256}` |",
        "",
        "## What it does",
        "",
        "Says how likely it is that one answer serves two questions, from the cosine of their MiniLM vectors and",
        "from what one says and the other does not. Two logistic functions: small edits and rewordings. It holds",
        f"weights and no text. An answer may be served from probability {sheet.accept:g} on, and only after the",
        "lexical guard let the pair pass.",
        "",
        "## Figures",
        "",
        "Each pair judged by a verifier that has seen none of its questions. Intervals: Clopper–Pearson, 95 %.",
        "",
        "| figure | value | interval |",
        "|---|---|---|",
        *_figures(sheet),
        "",
        "## Pairs by label and kind",
        "",
        "| kind | pairs |",
        "|---|---|",
        *(f"| {markdown_text(kind)} | {count:,} |" for kind, count in sheet.pairs.items()),
        "",
        "## Limits",
        "",
        "- English. A question of 160 words or more, or without any, is never taken for another.",
        *_above(sheet),
        "- The probability is calibrated to the pairs above. Other people's questions are other pairs: watch the",
        "  measured false-hit rate.",
        *([] if not notes else ["", "## Notes", "", *(f"- {markdown_text(note)}" for note in notes)]),
    ]
    return "\n".join(lines) + "\n"


def _above(sheet: Sheet) -> list[str]:
    """Kinds of different pairs that are taken for the same more often than the thresholds were to allow."""
    goal = float(sheet.settings["verifier_false_hits"])
    worse = sorted(
        (
            (value, name.split(".")[2])
            for name, value in sheet.metrics.items()
            if name.startswith("cross_validated.kind.") and name.endswith(".false_hit_rate") and value > goal
        ),
        reverse=True,
    )
    if not worse:
        return []
    named = ", ".join(f"{markdown_text(kind)} {value:.1%}" for value, kind in worse)
    return [f"- Taken for the same more often than in {goal:.1%} of the different pairs: {named}."]


def _figures(sheet: Sheet) -> list[str]:
    shown = [name for name in sheet.metrics if not name.endswith((".low", ".high"))]
    return [
        f"| {markdown_text(name)} | {sheet.metrics[name]:.3f} | "
        + (
            f"{sheet.metrics[f'{name}.low']:.3f} to {sheet.metrics[f'{name}.high']:.3f} |"
            if f"{name}.low" in sheet.metrics
            else "|"
        )
        for name in shown
    ]
