"""Answers, decisions and attempts as a person reads them, and as JSON. Used by every command; prints nothing."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from rich.console import Group, RenderableType
from rich.table import Table

from engine.cli.console import markup
from engine.events import FellBack
from engine.types import Answer, Attempt, Candidate, Decision, Verdict

_ANSWER = TypeAdapter(Answer)
_DECISION = TypeAdapter(Decision)
FROM = {"exact_cache": "exact cache", "semantic_cache": "semantic cache", "flight": "same request under way"}
"""Sources that cost nothing."""
NEAR = 0.01
ROWS_MIN = 3


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer as JSON values; ``cost`` in micro-dollars, ``cost_usd`` beside it."""
    return {**_ANSWER.dump_python(answer, mode="json"), "cost_usd": answer.cost_usd}


def decision_json(decision: Decision) -> dict[str, Any]:
    """The decision as JSON values."""
    return _DECISION.dump_python(decision, mode="json")


def summary(answer: Answer) -> str:
    """One line: where the answer came from, how sure the routing was, what it cost."""
    decision = answer.decision
    if answer.source in FROM:
        where = f"[green]{FROM[answer.source]}[/] (was {decision.agent} on {answer.model or 'its own handler'})"
        spent = "0 tokens"
    else:
        where = f"[cyan]{answer.agent}[/] · confidence {decision.confidence:.2f} · {answer.model or 'own handler'}"
        spent = f"{answer.usage.input_tokens} + {answer.usage.output_tokens} tokens"
    cut = " · [yellow]cut at max_tokens[/]" if answer.truncated else ""
    flags = f" · [yellow]degraded: {', '.join(answer.degraded)}[/]" if answer.degraded else ""
    return f"[dim]└[/] {where} · {spent} · ${answer.cost_usd:.6f} · {answer.latency_ms:,.1f} ms{cut}{flags}"


def verdict_line(verdict: Verdict) -> str:
    """One line: the nearest stored question, and why its answer was served or not."""
    sure = "" if verdict.probability is None else f", probability {verdict.probability:.3f}"
    said = "[green]the same question as[/]" if verdict.accepted else f"[yellow]{verdict.rule}[/]: not served for"
    why = "" if verdict.accepted or not verdict.detail else f"  [dim]{markup(verdict.detail)}[/]"
    return f"{said} “{markup(verdict.question)}” (cosine {verdict.similarity:.3f}{sure}){why}"


def fallback(event: FellBack) -> str:
    """One line: who could not, who does now, and why."""
    before = f"{event.from_agent}/{event.from_model or 'handler'}"
    after = f"{event.to_agent}/{event.to_model or 'handler'}"
    return f"[yellow]↪[/] {markup(before)} → {markup(after)}  [dim]{markup(event.reason)}[/]"


def explanation(answer: Answer) -> RenderableType:
    """The decision record of one answer: reason, candidates, attempts, trace."""
    parts: list[RenderableType] = []
    if answer.source in FROM:
        parts.append(f"[green]from the {FROM[answer.source]}[/]: nothing was routed or called for it.")
    if answer.verdict is not None:
        parts.append(verdict_line(answer.verdict))
    if answer.source in FROM:
        parts.append("When it was first answered:")
    parts.append(decision_view(answer.decision))
    if answer.attempts:
        parts.append(attempts_table(answer.attempts))
    parts.append(f"[dim]request {answer.request_id} · trace {answer.trace_id}[/]")
    return Group(*parts)


def decision_view(decision: Decision) -> RenderableType:
    """Who was chosen, why, and who else stood by."""
    chain = " → ".join(f"{leg.agent}/{leg.model or 'handler'}" for leg in decision.legs)
    how = f"confidence {decision.confidence:.2f}" + (
        f", {decision.complexity} work" if decision.complexity else ""
    )
    lines = [
        f"[bold cyan]{decision.agent}[/] by [bold]{decision.strategy}[/], {how}",
        markup(decision.reason),
        markup(decision.strategy_why),
        f"[dim]chain:[/] {markup(chain)}",
        *(f"[dim]models:[/] {markup(why)}" for why in decision.models_why),
        f"[dim]skipped:[/] {markup('; '.join(decision.skipped))}" if decision.skipped else "",
        f"[dim]experiment:[/] {markup(decision.arm)}" if decision.arm else "",
        f"[dim]trained head:[/] {markup(decision.head)}" if decision.head else "",
    ]
    head = "\n".join(line for line in lines if line)
    return Group(head, candidates_table(decision.candidates)) if decision.candidates else head


def candidates_table(candidates: tuple[Candidate, ...]) -> Table:
    """Every factor of the ranking (route.score); agents that were nowhere near share the last line."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("agent", "score", "intent", "similarity", "head", "success", "cost", "latency", ""):
        table.add_column(name, justify="left" if name in ("agent", "") else "right", no_wrap=bool(name))
    near = [c for c in candidates if c.score >= NEAR or c.excluded or c in candidates[:ROWS_MIN]]
    for c in near:
        table.add_row(
            c.agent,
            f"{c.score:.3f}",
            f"{c.intent:.3f}",
            f"{c.similarity:.3f}",
            "" if c.probability is None else f"{c.probability:.2f}",
            f"{c.success:.2f}",
            f"{c.cost:.2f}",
            f"{c.latency:.2f}",
            markup(_remark(c)),
        )
    if len(near) < len(candidates):
        table.add_row(f"[dim]and {len(candidates) - len(near)} more[/]", f"[dim]< {NEAR:g}[/]")
    return table


def _remark(candidate: Candidate) -> str:
    if candidate.excluded:
        return f"out: {candidate.excluded}"
    if candidate.keyword_hits:
        return f"«{', '.join(candidate.keyword_hits)}»"
    return f"in every factor below {candidate.dominated_by}" if candidate.dominated_by else ""


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
