"""Where commands print: answers and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from functools import cache

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@cache
def out() -> Console:
    """Answers and tables."""
    return Console(highlight=False)


@cache
def err() -> Console:
    """Progress, notes and errors."""
    return Console(stderr=True, highlight=False)


def progress() -> Progress:
    """A bar for batches, a spinner for loads; leaves nothing behind, silent when stderr is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=err(),
        transient=True,
        disable=not err().is_terminal,
    )


def print_json(value: object) -> None:
    """One JSON document on stdout and nothing else."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_error(code: str, message: str, hint: str, *, as_json: bool) -> None:
    """What went wrong and what to do, for a person on stderr or for a program on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": message, "hint": hint}})
    else:
        err().print(f"[bold red]error[/] [dim]{escape(code)}[/]  {escape(message)}", soft_wrap=True)
        if hint:
            err().print(f"  [dim]→[/] {escape(hint)}", soft_wrap=True)
