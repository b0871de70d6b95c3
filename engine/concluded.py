"""What a run's end amounts to: an answer or an error, the record the cache keeps of it, and an answer made of one.

Pure. ``engine.run`` drives it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from configs.kernel import Money, Outcome, Usage
from engine.cached import CachedAnswer, Provenance
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, DeadlineExceeded, RejectedByModel
from engine.state import RunState
from engine.types import Answer, Attempt, Decision, Request, Source, Verdict

WORDS = re.compile(r"\S+\s*|\s+")
CUT = "length"


def conclude(state: RunState, request: Request, *, degraded: tuple[str, ...], trace_id: str) -> Answer:
    """The answer that the run's state amounts to, ``latency_ms`` still open.

    Raises ``AllRoutesUnavailable``, ``AnswerInterrupted``, ``RejectedByModel``, ``DeadlineExceeded``.
    """
    attempts = tuple(state["attempts"])
    last = attempts[-1] if attempts else None
    if last is None or last.outcome is not Outcome.OK:
        raise _error(attempts, state)
    planned = state["decision"].legs[0]
    fell_back = () if (last.agent, last.model) == (planned.agent, planned.model) else ("fallback",)
    return Answer(
        text=state["text"],
        source="handler" if last.model is None else "model",
        agent=last.agent,
        decision=state["decision"],
        attempts=attempts,
        usage=sum((a.usage for a in attempts), Usage()),
        cost=sum((a.cost for a in attempts), Money()),
        latency_ms=0.0,
        request_id=request.id,
        trace_id=trace_id,
        model=last.model,
        degraded=(*degraded, *state["decision"].degraded, *fell_back),
        truncated=last.finish_reason == CUT,
    )


def _error(attempts: tuple[Attempt, ...], state: RunState) -> Exception:
    last = attempts[-1] if attempts else None
    if last is not None and state["shown"]:
        return AnswerInterrupted(state["text"], attempts)
    if last is not None and last.outcome in (Outcome.CALLER, Outcome.POLICY):
        return RejectedByModel(attempts)
    if last is not None and last.outcome is Outcome.DEADLINE:
        return DeadlineExceeded(f"the deadline passed: {last.error}", hint="allow more deadline_s")
    return AllRoutesUnavailable(attempts)


def record_of(answer: Answer, request: Request, *, stored_at_s: float, provenance: Provenance) -> CachedAnswer:
    """What is stored of a fresh answer."""
    return CachedAnswer(
        text=answer.text,
        decision=answer.decision,
        model=answer.model,
        usage=answer.usage,
        stored_at_s=stored_at_s,
        question=request.question,
        provenance=provenance,
    )


def refusal_of(
    refused: RejectedByModel,
    request: Request,
    *,
    decision: Decision,
    stored_at_s: float,
    provenance: Provenance,
) -> CachedAnswer:
    """What is stored of a model's refusal, so that the same request is refused again at no price."""
    free = tuple(replace(attempt, usage=Usage(), cost=Money()) for attempt in refused.attempts)
    return CachedAnswer(
        text="",
        decision=decision,
        model=None,
        usage=Usage(),
        stored_at_s=stored_at_s,
        question=request.question,
        provenance=provenance,
        refused=free,
    )


def answer_of(
    hit: CachedAnswer, request: Request, *, source: Source, trace_id: str, verdict: Verdict | None = None
) -> Answer:
    """A stored answer as this request gets it: free, ``latency_ms`` still open. Raises ``RejectedByModel``."""
    if hit.refused:
        raise RejectedByModel(hit.refused)
    return Answer(
        text=hit.text,
        source=source,
        agent=hit.decision.agent,
        decision=hit.decision,
        attempts=(),
        usage=Usage(),
        cost=Money(),
        latency_ms=0.0,
        request_id=request.id,
        trace_id=trace_id,
        model=hit.model,
        verdict=verdict,
    )


def pieces(text: str) -> Iterator[str]:
    """``text`` in the pieces a stored answer is streamed in (cache.stream)."""
    words: Callable[[str], list[str]] = WORDS.findall
    yield from words(text) or [text]
