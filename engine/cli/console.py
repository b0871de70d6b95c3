"""Where commands print: answers and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # a colour, a cursor movement
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # a window title, a link, the clipboard
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to ``main``: Rich would end the process with exit code 1."""
        raise BrokenPipeError


@cache
def out() -> Console:
    """Answers and tables."""
    return _Terminal(highlight=False)


@cache
def err() -> Console:
    """Progress, notes and errors."""
    return _Terminal(stderr=True, highlight=False)


def plain(text: str) -> str:
    """``text`` without what a terminal would obey: escape sequences and control characters but newline and tab."""
    return _CONTROL.sub("", text)


def markup(text: str) -> str:
    """Somebody else's text as it may stand inside Rich markup."""
    return escape(plain(text))


def write(text: str) -> None:
    """A model's text on stdout at once: as it is into a pipe or a file, harmless onto a terminal."""
    sys.stdout.write(plain(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def drop_stdout() -> None:
    """Nobody reads stdout any more: let what Python still has to flush go nowhere, quietly."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def print_degraded(degraded: Mapping[str, str]) -> None:
    """What the engine works without, and why, in one dim line on stderr; nothing when all is well."""
    if degraded:
        reasons = "; ".join(f"{part}: {' '.join(why.split())}" for part, why in degraded.items())
        err().print(f"[dim]degraded: {markup(reasons)}[/]", soft_wrap=True)


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
    text = json.dumps(value, ensure_ascii=False, indent=2)
    # Half a surrogate pair, say from an argument that was no text: its escape is what JSON has for it.
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")


def print_error(code: str, message: str, hint: str, *, as_json: bool) -> None:
    """What went wrong and what to do, for a person on stderr or for a program on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": message, "hint": hint}})
    else:
        err().print(f"[bold red]error[/] [dim]{markup(code)}[/]  {markup(message)}", soft_wrap=True)
        if hint:
            err().print(f"  [dim]→[/] {markup(hint)}", soft_wrap=True)


def print_version() -> None:
    """Name and version of the installed distribution."""
    sys.stdout.write(f"switchgear {version('switchgear')}\n")
