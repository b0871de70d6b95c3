"""The answer cache as a person reads it, and its entries as JSON. Prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table

from engine.cached import CachedAnswer, CacheStats, Entry
from engine.cli.console import markup

if TYPE_CHECKING:
    from engine.cache_desk import Neighbour
    from engine.types import Verdict

_ANSWER = TypeAdapter(CachedAnswer)
MIB = 1 << 20
SHORT = 60


def as_plain(entry: Entry) -> dict[str, Any]:
    """An entry as JSON values, without its vector."""
    return {
        "place": asdict(entry.place),
        "ttl_s": entry.ttl_s,
        **_ANSWER.dump_python(entry.answer, mode="json"),
    }


def stats_table(stats: CacheStats) -> RenderableType:
    """One figure a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column("figure", style="dim")
    table.add_column("value", justify="right")
    limit = f" of {stats.bytes_max / MIB:,.0f}" if stats.bytes_max else ""
    for name, value in (
        ("entries", f"{stats.entries:,}"),
        ("found by meaning, too", f"{stats.vectors:,}"),
        ("owners (users, and tenants' common ones)", f"{stats.owners:,}"),
        ("memory", f"{stats.bytes_used / MIB:,.1f}{limit} MiB"),
        ("hits", f"{stats.hits:,}"),
        ("evicted", f"{stats.evicted:,}"),
    ):
        table.add_row(name, value)
    return table


def entries_table(entries: Sequence[Entry], now_s: float) -> Table:
    """Question, who answered, how old, how long still."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("question", "answer"):
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=SHORT)
    for name in ("agent", "model", "age", "left", "tags"):
        table.add_column(name, no_wrap=True)
    for entry in entries:
        answer, source = entry.answer, entry.answer.provenance
        tags = "" if source is None else " ".join(f"{k}={v}" for k, v in sorted(source.tags.items()))
        table.add_row(
            markup(_line(answer.question)),
            "[yellow]refused by its model[/]" if answer.refused else markup(_line(answer.text)),
            markup(answer.decision.agent),
            markup(answer.model or "handler"),
            span(now_s - answer.stored_at_s),
            span(entry.ttl_s),
            markup(tags),
        )
    return table


def near_table(found: Sequence[Neighbour]) -> Table:
    """Stored questions by nearness, with what verification says."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("stored question", overflow="fold")
    for name in ("cosine", "probability"):
        table.add_column(name, justify="right")
    table.add_column("verdict", overflow="fold")
    table.add_column("age", no_wrap=True)
    for one in found:
        verdict = one.verdict
        table.add_row(
            markup(one.question),
            f"{verdict.similarity:.3f}",
            "" if verdict.probability is None else f"{verdict.probability:.3f}",
            _said(verdict),
            span(one.age_s),
        )
    return table


def verdict_view(verdict: Verdict) -> RenderableType:
    """Served or not, the rule that says so, and the figures behind it."""
    lines = [
        "[green]served[/]: one answer does for both"
        if verdict.accepted
        else f"[red]not served[/]: {_said(verdict)}",
        f"[dim]cosine[/] {verdict.similarity:.3f}",
    ]
    if verdict.probability is not None:
        lines.append(
            f"[dim]probability that both ask the same[/] {verdict.probability:.3f} [dim]of[/] {verdict.threshold:.3f}"
        )
    if verdict.grey:
        lines.append(
            "[dim]in the grey zone: a model would be asked where[/] cache.semantic.grey_role [dim]is set[/]"
        )
    return Group(*lines)


def span(seconds: float) -> str:
    """A length of time, in its largest unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(0.0, seconds):,.0f} s"


def _said(verdict: Verdict) -> str:
    if verdict.accepted:
        return "[green]same question[/]"
    return f"[yellow]{verdict.rule}[/] {markup(verdict.detail)}".rstrip()


def _line(text: str) -> str:
    return " ".join(text.split())
