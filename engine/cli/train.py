"""``switchgear train``: a router or a verifier fitted to labelled data, an artifact that is used by naming it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.progress import Progress
from rich.table import Table

from engine.cli import options
from engine.cli.console import markup, out, print_json, progress

if TYPE_CHECKING:
    from configs.settings import Settings
    from engine.training.job import Trained
    from engine.training.source import Columns, RowSource
    from engine.training.verifier_job import TrainedVerifier

app = typer.Typer(name="train", no_args_is_help=True, help="Fit a router or a verifier to data of your own.")


@app.command("router")
def router(
    data: Annotated[
        Path | None, typer.Argument(help="CSV or JSONL with a text and a label in each row.", show_default=False)
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder of the artifact.", show_default="artifacts/router")
    ] = None,
    text: Annotated[str, typer.Option("--text", help="Column of the texts.")] = "text",
    label: Annotated[
        str | None, typer.Option("--label", help="Column of the labels.", show_default="label, agent or intent")
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of everything random.", show_default=False)
    ] = None,
    finetune: Annotated[bool, typer.Option("--finetune", help="Fine-tune the encoder (extra `train`).")] = False,
    history: Annotated[bool, typer.Option("--from-history", help="Train on what was answered.")] = False,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the rows, for the card.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse labels that are no registered agent.")] = False,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Read, split, fit, calibrate, evaluate, write: the artifact, its card and a report."""
    _ = debug
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps --help light

    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.training.job import Job, default_out, train_router  # noqa: PLC0415 - same
    from engine.training.source import Columns  # noqa: PLC0415 - same

    settings = load_settings(profile, config)
    job = Job(
        source=_source(data, history, Columns(text=text, label=label), settings),
        out=default_out(settings) if to is None else to,
        seed=settings.train.seed if seed is None else seed,
        finetune=finetune,
        strict=strict,
        licence=licence,
    )
    with progress() as bar:
        steps = _Steps(bar)
        trained = train_router(job, settings, steps.show, datetime.now(UTC))
    if as_json:
        print_json(
            {"path": str(trained.path), "notes": list(trained.notes), "card": trained.card.model_dump(mode="json")}
        )
    else:
        out().print(_view(trained, steps.rate))


@app.command("verifier")
def verifier(
    pairs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="CSV, TSV or JSONL with two questions and a label in each row.", show_default="the project's own"
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder of the artifact.", show_default="artifacts/verifier")
    ] = None,
    columns: Annotated[
        str, typer.Option("--columns", help="Columns of the two questions and of the label.")
    ] = "a,b,is_duplicate",
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Of everything random.", show_default=False)
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", help="Licence of the pairs, for the card.", show_default=False)
    ] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Fit the semantic cache's verifier to pairs of questions, measure it on pairs it has not seen, write it."""
    _ = debug
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps --help light

    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.training.verifier_job import Job, default_out, own_files, train_verifier  # noqa: PLC0415 - same

    settings = load_settings(profile, config)
    files, questions = (tuple(pairs), ()) if pairs else own_files()
    job = Job(
        files=files,
        out=default_out(settings) if to is None else to,
        seed=settings.train.seed if seed is None else seed,
        licence=licence,
        questions=questions,
        columns=tuple(name.strip() for name in columns.split(",")),
    )
    with progress() as bar:
        trained = train_verifier(job, settings, _Steps(bar).show, datetime.now(UTC))
    if as_json:
        print_json(
            {
                "path": str(trained.path),
                "notes": list(trained.notes),
                "card": trained.sheet.model_dump(mode="json"),
            }
        )
    else:
        out().print(_verifier_view(trained))


def _verifier_view(trained: TrainedVerifier) -> RenderableType:
    sheet = trained.sheet
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("figure", "value", "from", "to"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for name, value in sheet.metrics.items():
        if not name.endswith((".low", ".high")):
            ends = (sheet.metrics.get(f"{name}.{end}") for end in ("low", "high"))
            table.add_row(markup(name), f"{value:.4f}", *("" if end is None else f"{end:.4f}" for end in ends))
    where = markup(str(trained.path))
    return Group(
        f"[bold]verifier {sheet.digest()[:12]}[/] · {sheet.pairs['all']:,} pairs · accepts from {sheet.accept:g}",
        table,
        *(f"[dim]·[/] {markup(note)}" for note in trained.notes),
        f"written to [cyan]{where}[/]: [cyan]MODEL_CARD.md[/] has the figures and the limits",
        f"use it: [bold]cache: {{semantic: {{verifier: {where}}}}}[/] in switchgear.yaml",
    )


def _source(data: Path | None, history: bool, columns: Columns, settings: Settings) -> RowSource:
    from engine.errors import InvalidInput  # noqa: PLC0415 - keeps --help light
    from engine.training.source import FileRows  # noqa: PLC0415 - same

    if history == (data is not None):
        raise InvalidInput(
            "nothing to train on" if data is None else "either a file or --from-history",
            hint="switchgear train router DATA, or switchgear train router --from-history",
            code="train_source",
        )
    return _history(settings) if data is None else FileRows(data, columns, settings.train)


def _history(settings: Settings) -> RowSource:
    """What the database of the settings holds up to now; whoever only reads need not close it."""
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from engine.history.writer import SqlHistory  # noqa: PLC0415 - same
    from engine.training.history import history_rows  # noqa: PLC0415 - same

    kept = SqlHistory(settings.history, settings.data_dir, read_environment())
    return history_rows(kept, settings.history, settings.train, time.time())


class _Steps:
    """One bar for all steps, and how fast the encoder was."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("training", total=None)
        self._step = ""
        self._began = 0.0
        self.rate = 0.0
        """Rows per second of the encoder."""

    def show(self, step: str, done: int, total: int | None) -> None:
        """See ``engine.training.job.OnStep``."""
        if step != self._step:
            self._step, self._began = step, time.monotonic()
            self._bar.reset(self._task)
        speed = done / max(time.monotonic() - self._began, 1e-9)
        said = f"{step}: {done:,}" if done and total is None else step
        if step == "encoding" and done:
            self.rate = speed
            said = f"{step} · {speed:,.0f} rows/s"
        self._bar.update(self._task, description=said, completed=done, total=total)


def _view(trained: Trained, rate: float) -> RenderableType:
    card = trained.card
    used = card.rows["used"]
    title = f"[bold]router {card.version}[/] · {len(card.labels)} labels · {used:,} rows at {rate:,.0f} rows/s"
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in card.metrics.items():
        table.add_row(name, f"{value:,.0f}" if name == "rows" else f"{value:.4f}")
    notes = [f"[dim]·[/] {markup(note)}" for note in trained.notes]
    where = markup(str(trained.path))
    return Group(
        title,
        table,
        *notes,
        f"written to [cyan]{where}[/]: [cyan]report.html[/] shows the figures, [cyan]MODEL_CARD.md[/] the limits",
        f'try it: [bold]switchgear route --artifact {where} "…"[/]',
        f"use it: [bold]routing: {{artifact: {where}}}[/] in switchgear.yaml",
    )
