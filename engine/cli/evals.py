"""``switchgear eval``: quality on labelled data, from the project's evaluation folder or one of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import options
from engine.cli.console import out, print_json, progress

EVALS = ("router",)


def evaluate(
    name: Annotated[str, typer.Argument(help=", ".join(EVALS) + ".")],
    train: Annotated[Path | None, typer.Option("--train", help="Folder with the training rows.")] = None,
    test: Annotated[Path | None, typer.Option("--test", help="Folder with the rows to score.")] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Score the router on labelled questions."""
    _ = debug
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light
    from engine.errors import UnknownName  # noqa: PLC0415 - same

    if name not in EVALS:
        raise UnknownName("eval", name, EVALS)
    from engine.cli.report_view import report_table  # noqa: PLC0415 - same
    from engine.evals import router  # noqa: PLC0415 - same

    settings = load_settings(profile, config)
    with progress() as bar:
        task = bar.add_task("loading", total=None)
        report = router.evaluate(
            settings,
            train_dir=train,
            test_dir=test,
            on_step=lambda what, done, of: bar.update(task, description=what, completed=done, total=of or None),
        )
    if as_json:
        print_json(report.to_json())
    else:
        out().print(report_table(report))
