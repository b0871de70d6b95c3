"""``switchgear split``: experiments, how their arms are doing, and giving one its traffic back.

Works on the shared state directly, beside engines that are running; starts no model and no engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.cli import options
from engine.cli.console import err, markup, out, print_json
from engine.cli.loop import run

if TYPE_CHECKING:
    from configs.settings import Settings
    from configs.splits import Experiment
    from engine.splits.contract import SplitState, Standing
    from engine.splits.report import ArmReport, Estimate

app = typer.Typer(help="Experiments: list, report, resume an arm that was rolled back.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the experiment.")]


@app.command("list")
def list_experiments(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Every experiment and the share that its arms have now."""
    _ = debug
    settings = _settings(profile, config)
    reports = _reports(settings, settings.experiments)
    if as_json:
        pairs = zip(settings.experiments, reports, strict=True)
        print_json([{"experiment": e.name, "enabled": e.enabled, "arms": _shares(rows)} for e, rows in pairs])
    elif not reports:
        err().print("no experiment is configured")
    else:
        out().print(_list_table(settings.experiments, reports))


@app.command()
def report(
    name: Name,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Requests, errors, cost, latency and quality by arm, with 95 % intervals, and what follows."""
    _ = debug
    settings = _settings(profile, config)
    experiment = _named(settings, name)
    (rows,) = _reports(settings, (experiment,))
    if as_json:
        print_json({"experiment": name, "arms": [asdict(row) for row in rows]})
        return
    out().print(_report_table(rows))
    for row in rows:
        if row.verdict:
            err().print(f"{markup(row.arm)}: {row.verdict.replace('_', ' ')}: {markup(row.reason)}")


@app.command()
def resume(
    name: Name,
    arm: Annotated[str, typer.Argument(help="Name of the arm.")],
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Give an arm its traffic back. The experiment's counters begin anew."""
    from engine.errors import UnknownName  # noqa: PLC0415 - keeps --help light

    _ = debug
    settings = _settings(profile, config)
    experiment = _named(settings, name)
    known = [one.name for one in experiment.arms]
    if arm not in known:
        raise UnknownName("arm", arm, known)
    resumed = run(_resume(settings, experiment, arm))
    if as_json:
        print_json({"experiment": name, "arm": arm, "resumed": resumed})
    else:
        err().print(f"{markup(name)}/{markup(arm)} {'has its traffic back' if resumed else 'was not rolled back'}")


def _settings(profile: str | None, config: options.ConfigFile) -> Settings:
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from configs.load import load_settings  # noqa: PLC0415 - same

    return load_settings(profile, config, read_environment())


def _named(settings: Settings, name: str) -> Experiment:
    from engine.errors import UnknownName  # noqa: PLC0415 - keeps --help light

    for experiment in settings.experiments:
        if experiment.name == name:
            return experiment
    raise UnknownName("experiment", name, [one.name for one in settings.experiments])


@asynccontextmanager
async def _state(settings: Settings) -> AsyncGenerator[SplitState]:
    from engine.redis_state import StateRedis  # noqa: PLC0415 - keeps --help light

    async with AsyncExitStack() as stack:
        state = StateRedis(settings)
        stack.push_async_callback(state.aclose)
        yield await state.splits()


async def _standings(settings: Settings, experiments: tuple[Experiment, ...]) -> list[tuple[Experiment, Standing]]:
    if not experiments:
        return []
    async with _state(settings) as state:
        found = await asyncio.gather(*(state.add(one, {}) for one in experiments))
    return list(zip(experiments, found, strict=True))


async def _resume(settings: Settings, experiment: Experiment, arm: str) -> bool:
    async with _state(settings) as state:
        return await state.resume(experiment, arm)


def _reports(settings: Settings, experiments: tuple[Experiment, ...]) -> list[tuple[ArmReport, ...]]:
    from engine.splits.report import report_of  # noqa: PLC0415 - keeps --help light

    return [report_of(*pair) for pair in run(_standings(settings, experiments))]


def _shares(rows: tuple[ArmReport, ...]) -> list[dict[str, object]]:
    return [{"arm": row.arm, "share": row.share, "rolled_back": row.verdict == "rolled_back"} for row in rows]


def _list_table(experiments: tuple[Experiment, ...], reports: list[tuple[ArmReport, ...]]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("experiment", "by", "shares", "rolled back"):
        table.add_column(name, overflow="fold")
    for experiment, rows in zip(experiments, reports, strict=True):
        shares = ", ".join(f"{row.arm} {row.share:.1%}" for row in rows)
        halted = "; ".join(f"{row.arm}: {row.reason}" for row in rows if row.verdict == "rolled_back")
        off = "" if experiment.enabled else " (off)"
        table.add_row(markup(experiment.name) + off, experiment.by, markup(shares), markup(halted))
    return table


def _report_table(rows: tuple[ArmReport, ...]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("arm", "share", "requests", "errors", "micro-USD", "ms", "quality"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            markup(row.arm),
            f"{row.share:.1%}",
            f"{row.requests:,}",
            _shown(row.error_rate, ".1%"),
            *(_shown(one, ",.4g") for one in (row.cost_micros, row.latency_ms, row.quality)),
        )
    return table


def _shown(estimate: Estimate, form: str) -> str:
    if estimate.mean is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:{form}}"
    return f"{estimate.mean:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"
