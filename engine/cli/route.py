"""``switchgear route``: who would answer, and why, without asking anyone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import options
from engine.cli.console import out, print_json, progress
from engine.cli.loop import run

if TYPE_CHECKING:
    from configs.settings import Settings


def route(
    question: Annotated[str, typer.Argument(help="What would be asked.")],
    artifact: Annotated[
        Path | None,
        typer.Option("--artifact", help="Folder of a trained router to use.", show_default=False),
    ] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Show who would answer a question, with every factor of the ranking."""
    _ = debug
    from configs.load import load_settings  # noqa: PLC0415 - keeps --help light

    override = None if artifact is None else {"routing": {"artifact": artifact, "trained": True}}
    settings = load_settings(profile, config, overrides=override)
    if artifact is not None:
        from engine.routing.artifact import load_artifact  # noqa: PLC0415 - same

        load_artifact(artifact, settings.encoder)  # an engine would go on with the shipped one
    run(_route(question, settings, as_json))


async def _route(question: str, settings: Settings, as_json: bool) -> None:
    from engine.app import Engine  # noqa: PLC0415 - keeps --help light
    from engine.cli.render import decision_json, decision_view  # noqa: PLC0415 - same

    async with Engine.open(settings=settings) as engine:
        with progress() as bar:
            bar.add_task("loading the router", total=None)
            decision = await engine.route(question)
    if as_json:
        print_json(decision_json(decision))
    else:
        out().print(decision_view(decision))
