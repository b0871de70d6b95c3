"""Options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[
    str | None, typer.Option("--profile", "-p", help="local, budget, balanced or premium.", show_default=False)
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="A YAML file with settings of your own.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the stack trace of an error.")]
