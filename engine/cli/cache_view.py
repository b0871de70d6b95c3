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
SHORT, OTHERS = 30, 44
"""Columns for question and answer at least, and for the rest with its gaps."""
GUARD = "the guard: these words make two questions of it"
WHO = {
    "similarity": "the distance: the encoder sees two topics",
    "verifier": "the learned verifier: it is not sure enough, or cannot be used",
    "model": "the model that was asked about the grey zone",
    "bound": "the entry's error bound",
    "bound_tight": "the error bound over all entries",
    "bound_off": "the error bound over all entries: hits are switched off",
}
"""Who speaks under a rule's name; every other rule is the guard's."""


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
        ("damaged and deleted", f"{stats.damaged:,}"),
    ):
        table.add_row(name, value)
    return table


def entries_table(entries: Sequence[Entry], now_s: float, width: int) -> Table:
    """Question, who answered, how old, how long still, on a terminal of ``width`` columns."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    text = max(SHORT, width - OTHERS)  # the texts are cut where the terminal is narrow, the rest is not
    for name, most in (("question", 3 * text // 5), ("answer", 2 * text // 5)):
        table.add_column(name, overflow="ellipsis", no_wrap=True, max_width=most)
    for name in ("agent", "age", "left", "tags"):
        table.add_column(name, no_wrap=True)
    for entry in entries:
        answer, source = entry.answer, entry.answer.provenance
        tags = "" if source is None else " ".join(f"{k}={v}" for k, v in sorted(source.tags.items()))
        table.add_row(
            markup(_line(answer.question)),
            "[yellow]refused by its model[/]" if answer.refused else markup(_line(answer.text)),
            markup(answer.decision.agent),
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


def verdict_view(verdict: Verdict, *, exact: bool) -> RenderableType:
    """Served or not, the rule that says so and in which words, and the figures behind it.

    ``exact``: both texts are one to the exact tier.
    """
    lines = ["[green]the same text[/]: the exact tier serves it and asks nothing else"] if exact else []
    if verdict.accepted:
        lines.append(
            "[green]served[/]: one answer does for both, unless the entry's own error bound asks for more"
        )
    else:
        lines.append(f"[red]not served[/]: {_said(verdict)}")
        lines.append(f"[dim]refused by[/] {WHO.get(verdict.rule, GUARD)}")
    lines.append(f"[dim]cosine[/] {verdict.similarity:.3f}")
    if verdict.probability is not None:
        sure = f"{verdict.probability:.3f}, [dim]at least[/] {verdict.threshold:.3f} [dim]is asked for[/]"
        lines.append(f"[dim]probability that both ask the same[/] {sure}")
    elif verdict.rule != "verifier":
        lines.append("[dim]the verifier was not asked: a refusal ends it[/]")
    if verdict.grey:
        lines.append("[dim]in the grey zone: a model is asked where[/] cache.semantic.grey_role [dim]names one[/]")
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
    why = f": {markup(verdict.detail)}" if verdict.detail else ""
    return f"[yellow]{verdict.rule}[/]{why}"


def _line(text: str) -> str:
    return " ".join(text.split())
