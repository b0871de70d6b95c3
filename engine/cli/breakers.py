"""``switchgear breakers``: every circuit breaker of the fleet, and the hand on the lever (brk.manual).

Works on the shared state directly, beside engines that are running; starts no model and no engine.
"""

from __future__ import annotations

import asyncio
import getpass
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.live import Live
from rich.table import Table

from engine.cli import options
from engine.cli.console import err, markup, out, print_json
from engine.cli.loop import run

if TYPE_CHECKING:
    from configs.settings import Settings
    from engine.breakers import Breakers
    from engine.contract import BreakerMoved, BreakerState, BreakerView

app = typer.Typer(help="Circuit breakers of agents, models and credentials: look, watch, open, close, clear.")
EVERY_S = 1.0
FORCED = frozenset({"forced_open", "forced_closed", "disabled"})
COLOURS = {
    "closed": "green",
    "open": "bold red",
    "half_open": "yellow",
    "parked": "magenta",
    "forced_open": "bold red",
    "forced_closed": "cyan",
    "disabled": "cyan",
}
Subject = Annotated[str, typer.Argument(help="Its key, as `switchgear breakers` shows it.")]
Reason = Annotated[str, typer.Option("--reason", "-r", help="Why; kept in its history.")]
Actor = Annotated[
    str | None, typer.Option("--actor", help="Who; your login name when left out.", show_default=False)
]


@app.callback(invoke_without_command=True)
def breakers(
    context: typer.Context,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List them all (the same as ``breakers list``)."""
    _ = debug
    if context.invoked_subcommand is None:
        run(_list(profile, config, as_json))
    elif as_json or profile is not None or config is not None:
        # Taken here they would be lost, and the lever of another configuration pulled.
        raise typer.BadParameter(f"options belong after {context.invoked_subcommand!r}")


@app.command("list")
def list_breakers(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Every breaker: those of the configuration and those in use, the troubled ones first."""
    _ = debug
    run(_list(profile, config, as_json))


@app.command()
def watch(
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    every: Annotated[float, typer.Option("--every", min=0.1, max=60.0, help="Seconds between looks.")] = EVERY_S,
    times: Annotated[int, typer.Option("--times", min=0, help="Stop after so many looks; 0: never.")] = 0,
    debug: options.Debug = False,
) -> None:
    """The same table, kept up to date until Ctrl-C."""
    _ = debug
    run(_watch(profile, config, every, times))


def _lever(name: str, state: str, what: str) -> None:
    """Add the command that gives one order."""

    def order(
        subject: Subject,
        reason: Reason = "",
        actor: Actor = None,
        profile: options.Profile = None,
        config: options.ConfigFile = None,
        as_json: options.Json = False,
        debug: options.Debug = False,
    ) -> None:
        _ = debug
        run(_force(subject, state, actor, reason, (profile, config, as_json)))

    app.command(name, help=what)(order)


_lever("open", "forced_open", "Force it open: nothing is called until `clear`.")
_lever("close", "forced_closed", "Force it closed: everything is called, whatever happens, until `clear`.")
_lever("disable", "disabled", "Let everything through and count nothing, until `clear`.")
_lever("clear", "closed", "Give control back: closed, with a clean slate.")


@app.command()
def history(
    subject: Subject,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Its latest changes of state, with who and why."""
    _ = debug
    run(_history(subject, profile, config, as_json))


@asynccontextmanager
async def _opened(profile: str | None, config: options.ConfigFile) -> AsyncGenerator[tuple[Settings, Breakers]]:
    import random  # noqa: PLC0415 - with the imports below

    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from configs.errors import ConfigError  # noqa: PLC0415 - same
    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.breakers import Breakers  # noqa: PLC0415 - same
    from engine.redis_state import StateRedis  # noqa: PLC0415 - same
    from engine.resilience.shielded import store_breakers  # noqa: PLC0415 - same

    settings = load_settings(profile, config, read_environment())
    if not settings.breaker.shared:
        raise ConfigError(
            "breakers are not shared here: each process has its own, which no other command can see",
            hint="set breaker.shared to true",
        )
    stores = store_breakers(settings.breaker, clock=time.monotonic, sample=random.random)
    async with AsyncExitStack() as stack:
        state = StateRedis(settings)
        stack.push_async_callback(state.aclose)
        store = Breakers(settings, state, stores)
        stack.push_async_callback(store.aclose)
        await store.open()
        await store.subjects()
        _refuse_if_alone(store)
        yield settings, store


def _refuse_if_alone(store: Breakers) -> None:
    """What this process would show on its own is not the fleet."""
    from memory.errors import BackendUnavailable  # noqa: PLC0415 - keeps --help light

    if store.degraded:
        raise BackendUnavailable("redis.state", store.degraded)


async def _views(settings: Settings, store: Breakers) -> list[BreakerView]:
    """Troubled ones first, then by name."""
    from engine.subjects import configured  # noqa: PLC0415 - keeps --help light

    subjects = sorted({*configured(settings), *await store.subjects()})
    views = await store.view(tuple(subjects))
    return sorted(views.values(), key=lambda view: (view.state.value == "closed", view.subject))


async def _list(profile: str | None, config: options.ConfigFile, as_json: bool) -> None:
    async with _opened(profile, config) as (settings, store):
        views = await _views(settings, store)
    if as_json:
        print_json([asdict(view) for view in views])
    else:
        out().print(_table(views))


async def _watch(profile: str | None, config: options.ConfigFile, every_s: float, times: int) -> None:
    async with _opened(profile, config) as (settings, store):
        with Live(_table(await _views(settings, store)), console=out(), auto_refresh=False) as live:
            looks = 1
            while looks != times:
                await asyncio.sleep(every_s)
                looks += 1
                _refuse_if_alone(store)
                live.update(_table(await _views(settings, store)), refresh=True)


async def _force(
    subject: str, state: str, actor: str | None, reason: str, how: tuple[str | None, options.ConfigFile, bool]
) -> None:
    from engine.subjects import configured, refuse_unknown  # noqa: PLC0415 - keeps --help light

    profile, config, as_json = how
    async with _opened(profile, config) as (settings, store):
        await refuse_unknown(subject, configured(settings), store)
        who = actor if actor is not None else _login()
        view = await store.force(subject, state, actor=who, reason=reason)
    if as_json:
        print_json(asdict(view))
    else:
        err().print(f"{markup(subject)} is {_state(view.state)} now, generation {view.generation}")


async def _history(subject: str, profile: str | None, config: options.ConfigFile, as_json: bool) -> None:
    from engine.subjects import configured, refuse_unknown  # noqa: PLC0415 - keeps --help light

    async with _opened(profile, config) as (settings, store):
        await refuse_unknown(subject, configured(settings), store)
        moves = await store.history(subject)
    if as_json:
        print_json([asdict(move) for move in moves])
    elif not moves:
        err().print(f"{markup(subject)} has not changed its state")
    else:
        out().print(_moves_table(moves))


def _login() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        return "unknown"


def _state(state: BreakerState) -> str:
    return f"[{COLOURS[state.value]}]{state.value}[/]"


def _table(views: list[BreakerView]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("breaker", overflow="fold")  # to be copied, so it is never cut short
    for name in ("state", "success", "in a row", "again in"):
        table.add_column(name, no_wrap=True)
    table.add_column("why", overflow="fold")
    for view in views:
        again = "" if view.retry_after_s is None else f"{view.retry_after_s:,.0f} s"
        by = f" (by {markup(view.actor)})" if view.actor and view.state.value in FORCED else ""
        table.add_row(
            markup(view.subject),
            _state(view.state),
            f"{view.ema_success:.2f}",
            str(view.consecutive_failures or ""),
            again,
            markup(view.reason) + by,
        )
    return table


def _moves_table(moves: tuple[BreakerMoved, ...]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("when", "generation", "from", "to", "why", "by"):
        table.add_column(name)
    for move in moves:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(move.at_s))
        table.add_row(
            when,
            str(move.generation),
            _state(move.before),
            _state(move.after),
            markup(move.reason),
            markup(move.actor),
        )
    return table
