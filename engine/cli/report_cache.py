"""``switchgear report cache``: reads history and shared counters, and shows what ``cache_sums`` makes of them.

Works beside engines that are running; starts no model and no engine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from rich.table import Table

from configs.errors import ConfigError, SwitchgearError
from configs.settings import Settings
from engine.cache.tally import Counts, summed, window
from engine.cli.cache_sums import (
    CacheReport,
    Checks,
    FalseHits,
    Line,
    checks_of,
    cut_of,
    false_hits_of,
    lines_of,
    lookups_of,
    notes_of,
    refusals_of,
)
from engine.cli.console import markup
from engine.cli.loop import run
from engine.history.contract import HistoryQuery
from engine.history.writer import SqlHistory
from engine.redis_state import StateRedis

TEMPLATES: Final = Path(__file__).parent / "templates"
MICROS: Final = 1_000_000


def read_report(settings: Settings, environ: Mapping[str, str], back_s: float, limit: int) -> CacheReport:
    """Raises as ``History.rows`` does; counters that cannot be read are a note."""
    now_s = time.time()
    query = HistoryQuery(since_s=now_s - back_s, limit=limit + 1, newest_first=True)
    rows, cut = cut_of(list(SqlHistory(settings.history, settings.data_dir, environ).rows(query)), limit)
    total, agents = lines_of(rows)
    counts, unreachable = run(_counters(settings, now_s))
    rules = settings.cache.bound
    false_hits = () if unreachable else false_hits_of(counts, rules)
    return CacheReport(
        total=total,
        agents=agents,
        checks=checks_of(rows),
        delta=rules.delta,
        confidence=rules.confidence,
        window_days=rules.window_days,
        false_hits=false_hits,
        refusals=refusals_of(counts),
        lookups=lookups_of(counts),
        notes=(*cut, *notes_of(total, false_hits, unreachable)),
    )


def report_table(report: CacheReport) -> list[Table]:
    """For a terminal; a part about which nothing is known is left out."""
    tables: list[Table] = []
    if report.total.answers:
        tables.append(_answers((*report.agents, report.total)))
    if report.checks.count:
        tables.append(_checks(report.checks))
    if any(found.compared or found.unsure for found in report.false_hits):
        tables.append(_false_hits(report))
    for title, counts in (("refused by rule", report.refusals), ("lookups", report.lookups)):
        if counts:
            shown = _table(f"{title}, last {report.window_days} days", "name", "count")
            for name, count in counts.items():
                shown.add_row(markup(name), f"{count:,}")
            tables.append(shown)
    return tables


def write_report(file: Path, report: CacheReport, since: str) -> None:
    """As one self-contained page: no script, no request, texts escaped. Raises ``ConfigError``."""
    # Late: only a report makes pages.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - as said above

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report_cache.html.j2").render(report=report, since=since)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"{file} cannot be written: {exc.strerror}") from exc


async def _counters(settings: Settings, now_s: float) -> tuple[Counts, str]:
    async with AsyncExitStack() as stack:
        state = StateRedis(settings)
        stack.push_async_callback(state.aclose)
        try:
            found = await (await state.tallies()).read(window(now_s, settings.cache.bound))
        except SwitchgearError as exc:
            return {}, exc.message
        return summed(found.values()), ""


def _answers(lines: tuple[Line, ...]) -> Table:
    table = _table("", "agent", "answers", "exact", "semantic", "shared flight", "hit rate", "saved $")
    for line in lines:
        table.add_row(
            markup(line.agent),
            f"{line.answers:,}",
            f"{line.exact:,}",
            f"{line.semantic:,}",
            f"{line.flight:,}",
            f"{line.hit_rate:.1%}",
            f"{line.saved_micros / MICROS:,.4f}",
        )
    return table


def _checks(checks: Checks) -> Table:
    table = _table("checks, not among the answers", "semantic hits answered afresh as well", "cost $")
    table.add_row(f"{checks.count:,}", f"{checks.cost_micros / MICROS:,.4f}")
    return table


def _false_hits(report: CacheReport) -> Table:
    title = f"semantic hits compared with fresh answers, last {report.window_days} days; δ {report.delta:.1%}"
    table = _table(
        title, "agent", "compared", "wrong", "unsure", "false-hit rate", f"{report.confidence:.0%}", "stance"
    )
    for found in report.false_hits:
        table.add_row(markup(found.agent), *_cells(found))
    return table


def _cells(found: FalseHits) -> list[str]:
    rate = "-" if found.rate is None else f"{found.rate:.2%}"
    interval = f"{found.low:.2%} to {found.high:.2%}" if found.compared else "-"
    return [f"{found.compared:,}", f"{found.wrong:,}", f"{found.unsure:,}", rate, interval, found.stance]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim", pad_edge=False)
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table
