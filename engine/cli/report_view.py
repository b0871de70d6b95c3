"""A report of figures as a table."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from engine.bench.report import Report


def report_table(report: Report) -> RenderableType:
    """Figures one per line, with the environment below: a number without its machine says nothing."""
    table = Table(title=report.name, title_justify="left", box=None, header_style="dim", pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in report.figures.items():
        table.add_row(name, f"{value:,.4f}")
    environment = " · ".join(f"{k} {v}" for k, v in report.environment.items())
    return Group(table, f"[dim]{environment}[/]")
