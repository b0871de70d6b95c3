"""A report of figures as a table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from engine.bench.report import Report


def report_table(report: Report) -> RenderableType:
    """Figures one per line, then notes, then the environment: a number without its machine says nothing."""
    table = Table(title=report.name, title_justify="left", box=None, header_style="dim", pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in report.figures.items():
        table.add_row(name, f"{value:,.4f}")
    notes = [f"[dim]·[/] {escape(note)}" for note in report.notes]
    environment = " · ".join(f"{k} {v}" for k, v in report.environment.items())
    return Group(table, *notes, f"[dim]{escape(environment)}[/]", "")
