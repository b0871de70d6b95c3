"""``switchgear doctor``: what works, what does not, and what to do about it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.table import Table

from engine.cli import options
from engine.cli.console import markup, out, print_json, progress
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.health import Check
    from memory.embedded.values import BackendStatus

MARKS = {"ok": "[green]✔[/]", "warn": "[yellow]![/]", "fail": "[red]✘[/]"}


def doctor(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Use every part once, with a real inference by the local model. Exit code 1 if one fails."""
    _ = debug
    checks, backends = run(_doctor(profile, config))
    if as_json:
        print_json({"checks": [asdict(c) for c in checks], "backends": [asdict(b) for b in backends]})
    else:
        out().print(_checks_table(checks))
        out().print()
        out().print(_backends_table(backends))
    if any(check.verdict == "fail" for check in checks):
        raise typer.Exit(1)


async def _doctor(
    profile: str | None, config: options.ConfigFile
) -> tuple[tuple[Check, ...], tuple[BackendStatus, ...]]:
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from engine.app import Engine  # noqa: PLC0415 - same
    from engine.health import check_engine  # noqa: PLC0415 - same
    from memory.embedded.status import status  # noqa: PLC0415 - same

    async with Engine.open(profile, config_file=config) as engine:
        with progress() as bar:
            task = bar.add_task("opening", total=None)
            checks = await check_engine(engine, read_environment(), lambda s: bar.update(task, description=s))
        return checks, status(engine.settings.data_dir)


def _checks_table(checks: tuple[Check, ...]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("", "part", "state", "took"):
        table.add_column(name)
    for check in checks:
        took = "" if check.took_ms is None else f"{check.took_ms:,.0f} ms"
        table.add_row(MARKS[check.verdict], check.name, markup(check.detail), took)
    return table


def _backends_table(backends: tuple[BackendStatus, ...]) -> Table:
    table = Table(title="embedded backends", title_justify="left", box=None, header_style="dim", pad_edge=False)
    for name in ("backend", "state", "version", "pid", "restarts", "address"):
        table.add_column(name)
    for b in backends:
        table.add_row(
            b.name, b.state, b.version or "", str(b.pid or ""), str(b.restarts), markup(b.address or b.detail)
        )
    return table
