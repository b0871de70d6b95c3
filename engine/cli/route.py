"""``switchgear route``: who would answer, and why, without asking anyone."""

from __future__ import annotations

from typing import Annotated

import typer

from engine.cli import options
from engine.cli.console import out, print_json, progress
from engine.cli.loop import run


def route(
    question: Annotated[str, typer.Argument(help="What would be asked.")],
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show who would answer a question, with every factor of the ranking."""
    _ = debug
    run(_route(question, profile, config, as_json))


async def _route(question: str, profile: str | None, config: options.ConfigFile, as_json: bool) -> None:
    from engine.app import Engine  # noqa: PLC0415 - keeps --help light
    from engine.cli.render import decision_json, decision_view  # noqa: PLC0415 - same

    async with Engine.open(profile, config_file=config) as engine:
        with progress() as bar:
            bar.add_task("loading the router", total=None)
            decision = await engine.route(question)
    if as_json:
        print_json(decision_json(decision))
    else:
        out().print(decision_view(decision))
