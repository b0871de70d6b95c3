"""From a finished request to its row, and how much of it may be kept (obs.privacy). Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Literal, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from engine.contract import Finished
from engine.history.contract import OK, HistoryRow, Verdict, tenant_of, user_of
from engine.history.words import without_words
from engine.types import PERSONAL, SHADOW, Attempt, Decision

T = TypeVar("T")
Content = Literal["none", "encrypted", "plain"]
_DECISION = TypeAdapter(Decision)
_ATTEMPTS = TypeAdapter(tuple[Attempt, ...])


def row_of(
    finished: Finished, *, row_id: str, now_s: float, fingerprint: str = "", embedding: bytes | None = None
) -> HistoryRow:
    """The row of one request. ``row_id`` is unique, ``now_s`` Unix time, ``embedding`` float16 bytes.

    Of a hit in the exact cache there is no text and no record of its own: the row with the same fingerprint that
    is no hit has both.
    """
    request, decision, answer = finished.request, finished.decision, finished.answer
    hit = answer is not None and answer.source == "exact_cache"
    spent = [attempt for attempt in finished.attempts if attempt.called]
    plain = HistoryRow(
        id=row_id,
        request_id=request.id,
        at_s=now_s,
        tenant=tenant_of(request.principal.tenant_id),
        user=user_of(request.principal.tenant_id, request.principal.user_id),
        outcome=finished.error if answer is None else OK,
        answered_by="" if answer is None else answer.agent,
        source=None if answer is None else answer.source,
        data_class=request.data_class,
        cache=_verdict(finished),
        fingerprint=fingerprint,
        model="" if answer is None or answer.model is None else answer.model,
        latency_ms=finished.latency_ms,
        cost_micros=sum(attempt.cost.micros for attempt in spent),
        input_tokens=sum(attempt.usage.input_tokens for attempt in spent),
        output_tokens=sum(attempt.usage.output_tokens for attempt in spent),
        degraded=() if answer is None else answer.degraded,
        attempts=_json(_ATTEMPTS, finished.attempts) if finished.attempts else "[]",
        embedding=embedding,
        prompt=None if hit else request.messages,
        answer=None if hit or answer is None else answer.text,
    )
    return plain if decision is None else _with(plain, decision, record=not hit)


def kept(row: HistoryRow, content: Content) -> HistoryRow:
    """The row as the policy allows it: texts go under ``none`` and for personal and health data.

    So does what the decision quotes of them. A vector says much of a text; of a person's data not even that stays.
    """
    if content == "none" or row.data_class in PERSONAL:
        vector = None if row.data_class in PERSONAL else row.embedding
        decision = without_words(row.decision)
        return replace(row, prompt=None, answer=None, embedding=vector, decision=decision)
    return row


def _with(row: HistoryRow, decision: Decision, *, record: bool) -> HistoryRow:
    chosen = next((c for c in decision.candidates if c.agent == decision.agent), None)
    return replace(
        row,
        agent=decision.agent,
        strategy=decision.strategy,
        wanted=decision.wanted,
        complexity=decision.complexity,
        confidence=decision.confidence,
        propensity=0.0 if chosen is None else chosen.propensity,
        explored=decision.explored,
        out_of_scope=decision.out_of_scope,
        head=decision.head,
        arm=decision.arm,
        decision=_json(_DECISION, decision) if record else row.decision,
    )


def _json(kind: TypeAdapter[T], value: T) -> str:
    try:
        return kind.dump_json(value).decode()
    except PydanticSerializationError:  # half a surrogate pair, which JSON can only hold escaped
        return json.dumps(kind.dump_python(value))


def _verdict(finished: Finished) -> Verdict:
    if finished.answer is not None and finished.answer.source == "exact_cache":
        return "hit"
    if finished.request.cache == "off" and SHADOW in finished.request.tags:
        return "check"
    return "miss" if finished.request.cache == "default" else "off"
