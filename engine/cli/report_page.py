"""The router's report as one self-contained page: no script, no request; drawings are SVG, texts are escaped."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from configs.errors import ConfigError
from engine.learning.ope import Estimate
from engine.learning.table import Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATES: Final = Path(__file__).parent / "templates"
AGENTS_MAX: Final = 30
"""Bars of more agents cannot be read; the table has them all."""


def write_page(file: Path, table: Summary, estimates: Mapping[str, Estimate], note: str, since: str) -> None:
    """Write it. Raises ``ConfigError`` when that is not possible."""
    # Late: only a report makes pages, and `import engine.cli.main` stays light.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - as said above

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    drawings = _drawings(table) if table.total.requests else []
    page = environment.get_template("report_router.html.j2").render(
        table=table, estimates=estimates, note=note, since=since, drawings=drawings
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror}") from exc


def _drawings(table: Summary) -> list[tuple[str, str]]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second to import

    shown = table.agents[:AGENTS_MAX][::-1]
    bars = Figure(figsize=(7, 1.2 + 0.3 * len(shown)), layout="constrained")
    axes = bars.subplots()
    names = [line.name for line in shown]
    axes.barh(names, [line.success or 0.0 for line in shown], color="#43a28f")
    for height, line in enumerate(shown):
        axes.plot([line.success_low, line.success_high], [height, height], color="#333333", linewidth=1)
    axes.set_xlim(0, 1)
    drawn = [("Success per agent, with its interval at 95 %", _svg(bars))]
    if table.reliability:
        curve = Figure(figsize=(4.5, 4.5), layout="constrained")
        axes = curve.subplots()
        axes.plot([0, 1], [0, 1], color="gray", linewidth=0.8, linestyle="--")
        axes.plot([b.confidence for b in table.reliability], [b.success for b in table.reliability], marker="o")
        axes.set_xlabel("confidence")
        axes.set_ylabel("success")
        drawn.append(("Confidence and success", _svg(curve)))
    return drawn


def _svg(figure: Figure) -> str:
    """Its SVG without the head of an XML file; matplotlib escapes texts."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
