"""``switchgear chaos``: rehearse an outage on your own configuration, without a key and without a bill."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options
from engine.cli.console import err, out, print_json, progress
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.chaos.report import Rehearsal


def chaos(
    plan: Annotated[
        Path | None, typer.Option("--plan", help="A YAML file with load, faults and expectations.")
    ] = None,
    known: Annotated[bool, typer.Option("--list", help="Show the known faults and leave.")] = False,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Break providers and stores on a stage built from your settings. Exit code 1 if an expectation fails."""
    _ = debug
    if known:
        _show_faults(as_json)
        return
    if plan is None:
        raise typer.BadParameter("name a plan, or ask for the known faults with --list", param_hint="--plan")
    report = run(_rehearse(plan, profile, config))
    if as_json:
        print_json(report.to_json())
    else:
        from engine.cli.chaos_view import rehearsal_view  # noqa: PLC0415 - keeps --help light

        out().print(rehearsal_view(report))
    if not report.holds:
        raise typer.Exit(1)


async def _rehearse(path: Path, profile: str | None, config: Path | None) -> Rehearsal:
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light
    from engine.chaos.plan import read_plan  # noqa: PLC0415 - same
    from engine.chaos.rehearse import rehearse  # noqa: PLC0415 - same
    from engine.chaos.report import report_of  # noqa: PLC0415 - same

    plan = await asyncio.to_thread(read_plan, path)
    settings = await asyncio.to_thread(
        load_settings, profile or plan.profile, config, overrides=dict(plan.settings)
    )
    with progress() as bar:
        task = bar.add_task(f"setting the stage for «{plan.name}»", total=None)

        def on_done(done: int, total: int) -> None:
            bar.update(task, description=plan.name, completed=done, total=total)

        seen = await rehearse(plan, settings, on_done)
    return report_of(plan, settings.profile, seen)


def _show_faults(as_json: bool) -> None:
    from engine.chaos.faults import FAULTS  # noqa: PLC0415 - keeps --help light
    from engine.cli.chaos_view import faults_view  # noqa: PLC0415 - same

    if as_json:
        print_json(
            [{"fault": f.name, "rows": f.rows, "text": f.text, "needs_seconds": f.timed} for f in FAULTS.values()]
        )
    else:
        out().print(faults_view())
        err().print("[dim]below HTTP, for providers and stores: see `network` in examples/chaos[/]")
