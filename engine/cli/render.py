"""Answers, decisions and attempts as a person reads them, and as JSON. Used by every command; prints nothing."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table

from engine.cli.console import markup
from engine.events import FellBack
from engine.types import Answer, Attempt, Candidate, Decision

_ANSWER = TypeAdapter(Answer)
_DECISION = TypeAdapter(Decision)


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as JSON values; ``cost`` in micro-dollars, ``cost_usd`` beside it."""
    return {**_ANSWER.dump_python(answer, mode="json"), "cost_usd": answer.cost_usd}


def decision_json(decision: Decision) -> dict[str, Any]:
    """The decision as JSON values."""
    return _DECISION.dump_python(decision, mode="json")


def summary(answer: Answer) -> str:
    """One line: where the answer came from, how sure the routing was, what it cost."""
    decision = answer.decision
    if answer.source == "exact_cache":
        where = f"[green]exact cache[/] (was {decision.agent} on {answer.model or 'its own handler'})"
        spent = "0 tokens"
    else:
        where = f"[cyan]{answer.agent}[/] · confidence {decision.confidence:.2f} · {answer.model or 'own handler'}"
        spent = f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"
    cut = " · [yellow]cut at max_tokens[/]" if answer.truncated else ""
    flags = f" · [yellow]degraded: {', '.join(answer.degraded)}[/]" if answer.degraded else ""
    return f"[dim]└[/] {where} · {spent} · ${answer.cost_usd:.6f} · {answer.latency_ms:,.1f} ms{cut}{flags}"


def fallback(event: FellBack) -> str:
    """One line: who could not, who does now, and why."""
    before = f"{event.from_agent}/{event.from_model or 'handler'}"
    after = f"{event.to_agent}/{event.to_model or 'handler'}"
    return f"[yellow]↪[/] {markup(before)} → {markup(after)}  [dim]{markup(event.reason)}[/]"


def explanation(answer: Answer) -> RenderableType:
    """The decision record of one answer: reason, candidates, attempts, trace."""
    parts: list[RenderableType] = []
    if answer.source == "exact_cache":
        parts.append("[green]from the exact cache[/]: nothing was routed or called. When it was first answered:")
    parts.append(decision_view(answer.decision))
    if answer.attempts:
        parts.append(attempts_table(answer.attempts))
    parts.append(f"[dim]request {answer.request_id} · trace {answer.trace_id}[/]")
    return Group(*parts)


def decision_view(decision: Decision) -> RenderableType:
    """Who was chosen, why, and who else stood by."""
    chain = " → ".join(f"{leg.agent}/{leg.model or 'handler'}" for leg in decision.legs)
    skipped = f"\n[dim]skipped:[/] {markup('; '.join(decision.skipped))}" if decision.skipped else ""
    head = (
        f"[bold cyan]{decision.agent}[/] by [bold]{decision.strategy}[/], confidence {decision.confidence:.2f}\n"
        f"{markup(decision.reason)}\n[dim]chain:[/] {markup(chain)}{skipped}"
    )
    return Group(head, candidates_table(decision.candidates)) if decision.candidates else head


def candidates_table(candidates: tuple[Candidate, ...]) -> Table:
    """Every factor of the ranking (route.score)."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("agent", "score", "intent", "similarity", "keywords", "success", "cost", "latency"):
        table.add_column(name, justify="left" if name in ("agent", "keywords") else "right")
    for c in candidates:
        table.add_row(
            c.agent,
            f"{c.score:.3f}",
            f"{c.intent:.3f}",
            f"{c.similarity:.3f}",
            markup(", ".join(c.keyword_hits)),
            f"{c.success:.2f}",
            f"{c.cost:.2f}",
            f"{c.latency:.2f}",
        )
    return table


def attempts_table(attempts: tuple[Attempt, ...]) -> Table:
    """Each leg as it was tried or skipped."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("attempt", "model", "outcome", "breaker", "first token", "total", "tokens", "cost", "why"):
        table.add_column(name)
    for a in attempts:
        colour = "green" if a.outcome.value == "ok" else "red" if a.called else "yellow"
        table.add_row(
            a.agent,
            a.model or "handler",
            f"[{colour}]{a.outcome.value}[/]" + ("" if a.called else " (no call)"),
            a.breaker,
            "" if a.first_token_ms is None else f"{a.first_token_ms:,.0f} ms",
            f"{a.latency_ms:,.0f} ms",
            f"{a.usage.input_tokens} + {a.usage.output_tokens}" + (" est." if a.usage.estimated else ""),
            f"${a.cost.usd:.6f}",
            markup(a.error or ""),
        )
    return table
