"""History as the router's report reads it: one ``DecisionRow`` per request that was routed."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from engine.history.contract import History, HistoryQuery, HistoryRow
from engine.learning.ope import DecisionRow, Option
from engine.learning.results import result_of
from engine.types import Attempt, Candidate, Decision

_DECISION = TypeAdapter(Decision)
_ATTEMPTS = TypeAdapter(tuple[Attempt, ...])


class RecordedDecisions:
    """``HistoryReader`` over a ``History``."""

    def __init__(self, history: History) -> None:
        self._history = history

    def rows(self, since_s: float, limit: int) -> Iterator[DecisionRow]:
        """See ``HistoryReader``. Left out: cached answers, checks of such, and what ended before a decision."""
        query = HistoryQuery(since_s=since_s, limit=limit, newest_first=True)
        latest = [decided for row in self._history.rows(query) if (decided := decision_row(row)) is not None]
        yield from reversed(latest)


def decision_row(row: HistoryRow) -> DecisionRow | None:
    """What a row says about routing; ``None``: nothing, or it is of a release that wrote other fields."""
    if not row.agent or row.source == "exact_cache" or row.cache == "check":
        return None
    try:
        decision, attempts = _DECISION.validate_json(row.decision), _ATTEMPTS.validate_json(row.attempts)
    except ValidationError:
        return None
    result = result_of(row.agent, attempts)
    return DecisionRow(
        at_s=row.at_s,
        agent=row.agent,
        ok=result.ok,
        latency_ms=result.latency_ms,
        cost_micros=result.cost_micros,
        confidence=row.confidence,
        out_of_scope=row.out_of_scope,
        explored=row.explored,
        wanted=row.wanted,
        arm=row.arm,
        options=tuple(_option(c) for c in decision.candidates),
    )


def _option(candidate: Candidate) -> Option:
    return Option(
        agent=candidate.agent,
        score=candidate.score,
        intent=candidate.intent,
        success=candidate.success,
        cost=candidate.cost,
        latency=candidate.latency,
        propensity=candidate.propensity,
        excluded=bool(candidate.excluded or candidate.dominated_by),
    )
