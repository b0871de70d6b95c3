"""``switchgear bench``: the figures that the documentation quotes, measured here and now."""

from __future__ import annotations

import inspect
import os
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.progress import Progress, TaskID

from engine.cli import options
from engine.cli.console import out, print_json, progress
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.bench.report import Report

PICTURES = (".png", ".svg", ".pdf")
BENCHES = {
    "encoder": "vectors and speed of MiniLM beside its fp32 twin",
    "router": "a routing decision with 10, 150 and 1,000 agents",
    "breaker": "what the breaker adds to a call",
    "cache": "exact hits, paraphrases beside 50,000 entries, identical misses",
    "dead-backend": "the first model is dead: what users notice, beside other libraries",
    "overload": "ten times what a provider takes: goodput, refusals, memory",
    "startup": "whole processes, from --help to a first answer",
    "healing": "an agent fails for a while: how soon it is left, and how soon it is back",
}


def bench(
    name: Annotated[str, typer.Argument(help=", ".join(BENCHES) + ", or all.")] = "all",
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    plot: Annotated[Path | None, typer.Option("--out", help="Plot to this file (healing).")] = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Measure; figures are named as in benchmarks/README.md."""
    _ = debug
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light
    from engine.cli.report_view import report_table  # noqa: PLC0415 - same
    from engine.errors import InvalidInput, UnknownName  # noqa: PLC0415 - same

    if name != "all" and name not in BENCHES:
        raise UnknownName("bench", name, (*BENCHES, "all"))
    if plot is not None and name != "healing":
        raise InvalidInput(f"{name} plots nothing", hint="--out belongs to healing", code="nothing_to_plot")
    if plot is not None and (plot.suffix not in PICTURES or not os.access(plot.parent, os.W_OK)):
        hint = f"a file in a folder you may write to, ending in {', '.join(PICTURES)}"
        raise InvalidInput(f"{plot} cannot be a picture", hint=hint, code="not_a_picture")
    settings = load_settings(profile, config)
    reports: list[Report] = []
    with progress() as bar:
        task = bar.add_task("measuring", total=len(BENCHES) if name == "all" else 1)
        for each in BENCHES if name == "all" else (name,):
            bar.update(task, description=f"{each}: {BENCHES[each]}")
            measure = import_module(f"engine.bench.{each.replace('-', '_')}").run
            takes = inspect.signature(measure).parameters
            more = {"on_step": partial(_describe, bar, task, each), "out": plot}
            result = measure(settings, **{key: value for key, value in more.items() if key in takes})
            if inspect.iscoroutine(result):
                result = run(result)
            reports.append(cast("Report", result))
            bar.advance(task)
    if as_json:
        print_json(reports[0].to_json() if name != "all" else [r.to_json() for r in reports])
        return
    for result in reports:
        out().print(report_table(result))


def _describe(bar: Progress, task: TaskID, name: str, step: str) -> None:
    bar.update(task, description=f"{name}: {step}")
