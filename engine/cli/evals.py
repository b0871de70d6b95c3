"""``switchgear eval``: quality on labelled data, from the project's evaluation folder or one of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options
from engine.cli.console import out, print_json, progress

EVALS = ("router", "cache")


def evaluate(
    name: Annotated[str, typer.Argument(help=", ".join(EVALS) + ".")],
    train: Annotated[Path | None, typer.Option("--train", help="Folder with the training rows.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Folder with the rows to score.")] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Where the curve of `cache` is drawn: PNG, SVG or PDF.")
    ] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Score the router on labelled questions, or the semantic cache on labelled pairs of them."""
    _ = debug
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light
    from engine.errors import InvalidInput, UnknownName  # noqa: PLC0415 - same

    if name not in EVALS:
        raise UnknownName("eval", name, EVALS)
    if to is not None and name != "cache":
        raise InvalidInput(
            f"`eval {name}` draws nothing", hint="--out belongs to `switchgear eval cache`", code="eval_out"
        )
    from engine.cli.report_view import report_table  # noqa: PLC0415 - same
    from engine.evals import cache, router  # noqa: PLC0415 - same
    from engine.evals.pair_score import plot  # noqa: PLC0415 - same

    score = {"router": router.evaluate, "cache": cache.evaluate}[name]
    settings = load_settings(profile, config)
    with progress() as bar:
        task = bar.add_task("loading", total=None)
        report = score(
            settings,
            train_dir=train,
            test_dir=test,
            on_step=lambda what, done, of: bar.update(task, description=what, completed=done, total=of or None),
        )
    if to is not None:
        plot(report.figures, to)
    if as_json:
        print_json(report.to_json())
    else:
        out().print(report_table(report))
