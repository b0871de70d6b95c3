"""A rehearsal's report as a person reads it."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table

from engine.chaos.faults import FAULTS
from engine.chaos.measure import Phase, Verdict
from engine.chaos.report import Rehearsal
from engine.cli.console import markup


def rehearsal_view(report: Rehearsal) -> RenderableType:
    """Picture, phases, breakers, calls, verdicts."""
    head = f"[bold]{markup(report.name)}[/]  [dim]profile {report.profile} · seed {report.seed}[/]"
    parts: list[RenderableType] = [head, _picture(report), _phases(report.phases)]
    if report.moves:
        parts.append(_moves(report))
    wasted = ", ".join(f"{model} {count}" for model, count in report.wasted_calls.items()) or "none"
    errors = ", ".join(f"{code} {count}" for code, count in report.errors.items()) or "none"
    parts.append(
        f"{report.calls} calls for {report.offered} requests (amplification {report.amplification:.2f}), "
        f"{report.retries} retries; wasted calls: {markup(wasted)}; errors: {markup(errors)}"
    )
    parts.append(_verdicts(report.verdicts))
    return Group(*(item for part in parts for item in (part, "")))


def faults_view() -> RenderableType:
    """Every named fault with a line."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("fault", "row", "what happens"):
        table.add_column(name)
    for fault in FAULTS.values():
        needs = " [dim](needs seconds)[/]" if fault.timed else ""
        table.add_row(fault.name, ", ".join(map(str, fault.rows)), markup(fault.text) + needs)
    return table


def _picture(report: Rehearsal) -> Table:
    table = Table.grid(padding=(0, 2))
    for label, drawn in report.picture:
        table.add_row(f"[dim]{markup(label)}[/]", drawn)
    table.add_row("", f"[dim]0 s{f'{report.seconds:.1f} s':>57}   · closed  O open  h half open  P parked[/]")
    return table


def _phases(phases: tuple[Phase, ...]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("from", "phase", "offered", "ok", "degraded", "failed", "p50", "p95"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase in phases:
        table.add_row(
            f"{phase.from_s:.1f} s",
            markup(phase.label),
            *(str(count) for count in (phase.offered, phase.ok, phase.degraded, phase.failed)),
            _ms(phase.p50_ms),
            _ms(phase.p95_ms),
        )
    return table


def _moves(report: Rehearsal) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("at", "breaker", "change", "reason"):
        table.add_column(name)
    for move in report.moves:
        change = f"{move.before.value} → {move.after.value}"
        table.add_row(f"{move.at_s:.2f} s", markup(move.subject), change, markup(move.reason))
    return table


def _verdicts(verdicts: tuple[Verdict, ...]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "expected", "limit", "seen"):
        table.add_column(name)
    for verdict in verdicts:
        mark = "[green]✔[/]" if verdict.holds else "[red]✘[/]"
        got = "never" if verdict.got is None else f"{verdict.got:g}"
        table.add_row(mark, verdict.name, f"{verdict.wanted:g}", got)
    return table


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f} ms"
