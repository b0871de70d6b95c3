"""``switchgear report``: what was decided and what came of it, out of the history.

Reads the database beside engines that are running; starts no model and no engine.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from engine.cli import options
from engine.cli.console import err, markup, out, print_json
from engine.cli.lengths import EXAMPLES, seconds_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.learning.ope import DecisionRow, Estimate
    from engine.learning.table import Line, Summary

app = typer.Typer(help="Reports out of the history.", no_args_is_help=True)
LIMIT = 100_000
"""Rows that fit into memory many times."""
EMPTY = (
    "No routed request has been recorded since then: ask something (`switchgear ask`), "
    "check `history.enabled`, or look further back with --since."
)


@app.command("cache")
def cache(
    since: Annotated[str, typer.Option("--since", help=f"How far back: {EXAMPLES}.")] = "7d",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The latest so many requests.")] = LIMIT,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page.", dir_okay=False)] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Hits by tier and agent, what they saved, who refused, and the share of wrong ones with its interval."""
    _ = debug
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.cli.report_cache import read_report, report_table, write_report  # noqa: PLC0415 - same

    environ = read_environment()
    found = read_report(
        load_settings(profile, config, environ), environ, seconds_of(since, "--since", "invalid_since"), limit
    )
    if html is not None:
        write_report(html, found, since)
    if as_json:
        print_json({"name": "cache", "since": since, **asdict(found)})
    else:
        for table in report_table(found):
            out().print(table)
        for note in found.notes:
            err().print(f"[dim]{markup(note)}[/]", soft_wrap=True)
    if html is not None:
        err().print(f"written to {markup(str(html))}")


@app.command("router")
def router(
    since: Annotated[str, typer.Option("--since", help=f"How far back: {EXAMPLES}.")] = "7d",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The latest so many requests.")] = LIMIT,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots.", dir_okay=False)] = None,
    profile: options.Profile = None,
    config: options.ConfigFile = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Agents, confidence and exploration, and what other policies would have achieved (off-policy evaluation)."""
    _ = debug
    from configs.environment import read_environment  # noqa: PLC0415 - keeps --help light
    from configs.load import load_settings  # noqa: PLC0415 - same
    from engine.cli.report_rows import RecordedDecisions  # noqa: PLC0415 - same
    from engine.history.writer import SqlHistory  # noqa: PLC0415 - same
    from engine.learning.table import summary  # noqa: PLC0415 - same

    back_s = seconds_of(since, "--since", "invalid_since")
    environ = read_environment()
    settings = load_settings(profile, config, environ)
    reader = RecordedDecisions(SqlHistory(settings.history, settings.data_dir, environ))
    rows = list(reader.rows(time.time() - back_s, limit))
    table, (estimates, note) = summary(rows), evaluated(rows)
    if html is not None:
        from engine.cli.report_page import write_page  # noqa: PLC0415 - plots take a second to import

        write_page(html, table, estimates, (note if rows else EMPTY), since)
    if as_json:
        policies = {name: asdict(estimate) for name, estimate in estimates.items()}
        print_json({"name": "router", "since": since, **asdict(table), "policies": policies, "note": note})
    elif not rows:
        err().print(EMPTY, soft_wrap=True)
    else:
        _show(table, estimates, note)
    if html is not None:
        err().print(f"written to {markup(str(html))}")


def evaluated(rows: Sequence[DecisionRow]) -> tuple[dict[str, Estimate], str]:
    """Every known policy over the rows that can tell, and a sentence about those that cannot."""
    from engine.learning.ope import POLICIES, estimate, has_propensities, usable  # noqa: PLC0415 - keeps --help light

    ready = [row for row in rows if usable(row)]
    sound = [row for row in ready if has_propensities(row)]
    if not sound:
        why = "was recorded with the probability of every candidate" if ready else "has an outcome and candidates"
        return {}, f"Other policies cannot be evaluated: no decision {why}." if rows else EMPTY
    left = len(ready) - len(sound)
    note = f"{left} decisions without propensities are left out of the estimates." if left else ""
    return {name: estimate(sound, policy) for name, policy in POLICIES.items()}, note


def _show(table: Summary, estimates: dict[str, Estimate], note: str) -> None:
    out().print(_lines("agent", (*table.agents, table.total)))
    if table.arms:
        out().print(_lines("arm", table.arms))
    wanted = ", ".join(f"{markup(name)} {count:,}" for name, count in table.wanted.items())
    out().print(f"[dim]strategies wanted:[/] {wanted}")
    if table.calibration_error is not None:
        out().print(_reliability(table))
    if estimates:
        out().print(
            _estimates(estimates), "[dim]both of the covered decisions: whom the policy wants had a chance[/]"
        )
    if note:
        err().print(f"[dim]{note}[/]")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim", pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _lines(kind: str, lines: Sequence[Line]) -> Table:
    table = _table("", kind, "requests", "share", "success", "p50 ms", "p95 ms", "µ$", "sure", "tried", "no one's")
    for line in lines:
        table.add_row(
            markup(line.name),
            f"{line.requests:,}",
            f"{line.share:.1%}",
            f"{_percent(line.success)} ({line.success_low:.0%} to {line.success_high:.0%})" if line.known else "-",
            _number(line.latency_p50_ms),
            _number(line.latency_p95_ms),
            _number(line.cost_micros),
            "-" if line.confidence is None else f"{line.confidence:.2f}",
            f"{line.explored:.1%}",
            f"{line.out_of_scope:.1%}",
        )
    return table


def _reliability(table: Summary) -> Table:
    shown = _table(f"calibration error {table.calibration_error:.3f}", "confidence", "rows", "said", "success")
    for b in table.reliability:
        shown.add_row(f"{b.low:.1f} to {b.high:.1f}", f"{b.rows:,}", f"{b.confidence:.2f}", f"{b.success:.1%}")
    return shown


def _estimates(estimates: dict[str, Estimate]) -> Table:
    table = _table(
        "success of other policies, by inverse propensity",
        "policy",
        "success",
        "95 %",
        "as decided",
        "worth rows",
        "covered",
    )
    for name, e in estimates.items():
        interval = f"{e.low:.1%} to {e.high:.1%}"
        worth = f"{e.effective:,.0f} of {e.rows:,}"
        table.add_row(name, _percent(e.value), interval, _percent(e.decided), worth, f"{e.covered:.1%}")
    return table


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
