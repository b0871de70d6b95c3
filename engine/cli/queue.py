"""``switchgear queue``: requests that wait for better times. List them, look at one, wait for it, cancel it, work.

Only ``work`` runs requests; the others look at ``redis.state`` and leave.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from engine.cli import options
from engine.cli.console import err, markup, out, plain, print_json, progress
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.app import Engine
    from engine.queue.worker import Worked
    from engine.ticket import Ticket

SHOWN = 50
"""Tickets in a list unless more are asked for."""
app = typer.Typer(
    help="Requests that wait for better times: list, show, wait, cancel, work.", no_args_is_help=True
)
TicketId = Annotated[str, typer.Argument(help="The ticket's id.")]
T = TypeVar("T")
ID_CHARS = 32
ALL = 1_000
"""As many tickets as one look takes in."""
WORDS = {
    "taken": "taken",
    "done": "answered",
    "failed": "failed",
    "later": "put off",
    "lost": "concluded elsewhere",
    "hook_delivered": "webhook delivered",
    "hook_later": "webhook put off",
    "hook_failed": "webhook given up",
}
COLOURS = {
    "waiting": "yellow",
    "running": "cyan",
    "done": "green",
    "failed": "red",
    "expired": "red",
    "shed": "red",
}


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=ALL, help="At most so many.")] = SHOWN,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tickets of all replicas: open ones first, newest first."""
    _ = debug
    rows = _with_engine(profile, config, lambda engine: engine.tickets(limit))
    if as_json:
        print_json([_ticket_json(ticket) for ticket in rows])
    else:
        out().print(_table(rows, time.time()) if rows else "[dim]the queue is empty[/]")


@app.command()
def show(
    ticket_id: TicketId,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """One ticket, with its answer when there is one."""
    _ = debug
    _print(_with_engine(profile, config, lambda engine: engine.ticket(ticket_id)), as_json)


@app.command()
def wait(
    ticket_id: TicketId,
    timeout: Annotated[
        float | None, typer.Option("--timeout", "-t", min=0.0, help="Seconds; none: for ever.")
    ] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Wait until a ticket has ended. Exit code 1 unless it was answered."""
    _ = debug

    async def until_final(engine: Engine) -> Ticket:
        with progress() as bar:
            bar.add_task(f"waiting for {plain(ticket_id)}", total=None)
            return await engine.desk.wait(ticket_id, timeout)

    ticket = _with_engine(profile, config, until_final)
    _print(ticket, as_json)
    if ticket.status.value != "done":
        raise typer.Exit(1)


@app.command()
def cancel(
    ticket_id: TicketId,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """End a ticket without an answer; one that has ended stays as it is."""
    _ = debug
    _print(_with_engine(profile, config, lambda engine: engine.desk.cancel(ticket_id)), as_json)


@app.command()
def work(
    drain: Annotated[bool, typer.Option("--drain", help="Leave when nothing is open any more.")] = False,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Work on the queue until interrupted; what is under way then goes back to its place."""
    _ = debug
    counts: dict[str, int] = {}
    try:
        _with_engine(profile, config, lambda engine: _work(engine, drain, counts))
    except KeyboardInterrupt:
        err().print("[dim]stopped; what was under way is back in the queue[/]")
    if as_json:
        print_json(counts)
    else:
        out().print(_summary(counts))


def _with_engine(profile: str | None, config: Path | None, use: Callable[[Engine], Awaitable[T]]) -> T:
    async def opened() -> T:
        from engine.app import Engine  # noqa: PLC0415 - keeps --help light

        async with Engine.open(profile, config_file=config) as engine:
            return await use(engine)

    return run(opened())


async def _work(engine: Engine, drain: bool, counts: dict[str, int]) -> None:
    with progress() as bar:
        task = bar.add_task("waiting for requests", total=None)

        def on_step(step: Worked) -> None:
            counts[step.what] = counts.get(step.what, 0) + 1
            bar.update(task, description=_summary(counts))
            if step.what != "taken":
                words = f"{step.ticket_id}  {WORDS[step.what]}{': ' if step.detail else ''}{step.detail}"
                err().print(f"[dim]{markup(words)}[/]", soft_wrap=True)

        working = asyncio.create_task(engine.desk.work(on_step))
        empty = asyncio.create_task(_until_empty(engine) if drain else asyncio.Event().wait())
        try:
            await asyncio.wait((working, empty), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
        finally:
            for job in (working, empty):
                job.cancel()
            await asyncio.wait((working, empty))


async def _until_empty(engine: Engine) -> bool:
    while True:
        rows = await engine.tickets(ALL)
        if all(ticket.status.final and ticket.webhook.value != "pending" for ticket in rows):
            return True
        await asyncio.sleep(engine.settings.queue.poll_s)


def _summary(counts: dict[str, int]) -> str:
    told = [f"{count} {WORDS[what]}" for what, count in counts.items()]
    return " · ".join(told) if told else "nothing to do"


def _print(ticket: Ticket, as_json: bool) -> None:
    if as_json:
        print_json(_ticket_json(ticket))
        return
    out().print(_table((ticket,), time.time()))
    if ticket.position is not None:
        out().print(f"[dim]position[/] {ticket.position}")
    if ticket.error is not None:
        out().print(f"[red]{markup(ticket.error.code)}[/]  {markup(ticket.error.message)}", soft_wrap=True)
    if ticket.answer is not None:
        out().print(markup(ticket.answer.text), soft_wrap=True)


def _ticket_json(ticket: Ticket) -> object:
    from pydantic import TypeAdapter  # noqa: PLC0415 - keeps --help light

    from engine.ticket import Ticket  # noqa: PLC0415 - same

    return TypeAdapter(Ticket).dump_python(ticket, mode="json")


def _table(rows: Sequence[Ticket], now_s: float) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("ticket", no_wrap=True, min_width=ID_CHARS)
    for name in ("status", "priority", "age", "attempts", "next try", "webhook", "why"):
        # A narrow terminal folds them: half a word says less than a word in two lines.
        table.add_column(
            name, overflow="fold", justify="right" if name in ("age", "attempts", "next try") else "left"
        )
    for ticket in rows:
        later = ticket.not_before_s
        status = ticket.status.value
        table.add_row(
            ticket.id,
            f"[{COLOURS[status]}]{status}[/]",
            ticket.priority,
            _span(now_s - ticket.created_s),
            str(ticket.attempts),
            "" if later is None else f"in {_span(max(0.0, later - now_s))}",
            "" if ticket.webhook.value == "none" else ticket.webhook.value,
            "" if ticket.error is None else markup(ticket.error.code),
        )
    return table


def _span(seconds: float) -> str:
    """A length of time in its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
