"""``switchgear history``: what was decided and how it ended, out of the database; export, and forgetting.

Works on the database directly, beside engines that are running; starts no model and no engine.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from configs.kernel import DEFAULT_TENANT
from engine.cli import options
from engine.cli.console import err, markup, out, print_json
from engine.cli.loop import run

if TYPE_CHECKING:
    from engine.history.contract import HistoryQuery, HistoryRow
    from engine.history.writer import SqlHistory

app = typer.Typer(help="Decisions and outcomes of requests: list, export, forget a user.")
SHOWN = 20
MORE = {"embedding", "prompt", "answer", "decision", "attempts"}
"""Fields that a list leaves out; an export has them."""
Tenant = Annotated[str, typer.Option("--tenant", help="The user's tenant.")]


@app.callback(invoke_without_command=True)
def history(
    context: typer.Context,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="So many, the newest first.")] = SHOWN,
    agent: Annotated[str, typer.Option("--agent", help="Only where this one was chosen.")] = "",
    arm: Annotated[str, typer.Option("--arm", help="Only this arm, as experiment/arm.")] = "",
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """List the latest requests."""
    from engine.history.contract import HistoryQuery  # noqa: PLC0415 - keeps --help light

    _ = debug
    if context.invoked_subcommand is None:
        _list(profile, config, HistoryQuery(limit=limit, agent=agent, arm=arm, newest_first=True), as_json)
    elif as_json or profile is not None or config is not None:
        # Taken here they would be lost, and the database of another configuration used.
        raise typer.BadParameter(f"options belong after {context.invoked_subcommand!r}")


@app.command()
def forget(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    tenant: Tenant = DEFAULT_TENANT,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Destroy a user's key and empty their rows of text; amounts stay.

    It does not reach answers in the cache, which end with their TTL, nor exports and trained routers.
    """
    from engine.errors import InvalidInput  # noqa: PLC0415 - keeps --help light

    _ = debug
    if not user.strip() or not tenant.strip():
        raise InvalidInput(
            "an empty id is nobody's", hint="switchgear history forget USER [--tenant TENANT]", code="invalid_user"
        )
    count = run(_forget(_opened(profile, config), tenant, user))
    if as_json:
        print_json({"rows": count})
    elif not count:
        err().print(f"nobody of the name {markup(user)} has rows with content (tenant {markup(tenant)})")
    else:
        err().print(f"{count} rows of {markup(user)} have no content any more")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON lines, oldest first; only you may read it.", dir_okay=False)],
    since: Annotated[float | None, typer.Option("--since", help="Unix time.", show_default=False)] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Write all rows to a file, with the texts that can be read."""
    from engine.cli.whole_file import write_lines  # noqa: PLC0415 - keeps --help light
    from engine.history.contract import HistoryQuery  # noqa: PLC0415 - same

    _ = debug
    count = write_lines(file, map(_plain, _opened(profile, config).rows(HistoryQuery(since_s=since))))
    if as_json:
        print_json({"rows": count, "file": str(file)})
    else:
        err().print(f"{count} rows in {markup(str(file))}")


def _opened(profile: str | None, config: options.ConfigFile) -> SqlHistory:
    """The database of the settings; whoever only reads need not close it."""
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.history.writer import SqlHistory  # noqa: PLC0415 - same

    environ = read_environment()
    settings = load_settings(profile, config, environ)
    return SqlHistory(settings.history, settings.data_dir, environ)


def _list(profile: str | None, config: options.ConfigFile, query: HistoryQuery, as_json: bool) -> None:
    rows = list(_opened(profile, config).rows(query))
    if as_json:
        print_json([{k: v for k, v in _plain(row).items() if k not in MORE} for row in rows])
    elif not rows:
        err().print("no request has been recorded")
    else:
        out().print(_table(rows))


async def _forget(store: SqlHistory, tenant: str, user: str) -> int:
    try:
        return await store.forget(tenant, user)
    finally:
        await store.aclose()


def _plain(row: HistoryRow) -> dict[str, object]:
    embedding = None if row.embedding is None else row.embedding.hex()
    return {
        **asdict(row),
        "embedding": embedding,
        "decision": json.loads(row.decision),
        "attempts": json.loads(row.attempts),
    }


def _table(rows: list[HistoryRow]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("when", "request", "agent", "sure", "outcome", "model", "ms", "USD"):
        table.add_column(name, overflow="fold", no_wrap=name in {"when", "outcome", "ms", "USD"})
    for row in rows:
        agent = row.agent if row.answered_by in ("", row.agent) else f"{row.agent} → {row.answered_by}"
        table.add_row(
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at_s)),
            markup(row.request_id),
            markup(agent),
            f"{row.confidence:.2f}",
            row.outcome if row.ok else f"[red]{markup(row.outcome)}[/]",
            markup(row.model),
            f"{row.latency_ms:,.0f}",
            f"{row.cost_micros / 1e6:.6f}",
        )
    return table
