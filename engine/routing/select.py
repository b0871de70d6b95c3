"""Which agent of a shortlist answers: intent, weighed by success, cost and latency (route.score). Pure.

Not whom the question is for (``engine/routing/decide.py``), not who may not answer
(``engine/routing/constraints.py``), not the fallback chain (``engine/routing/chain.py``). Somebody else than the
best may still be tried to learn from it: ``engine/routing/explore.py`` starts from what is returned here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from configs.routing import RoutingSettings
from engine.errors import NoAgentFits
from engine.routing.decide import Match, Shortlist, sureness
from engine.types import Averages, Candidate

FRESH: Final = Averages(success=1.0)
"""Of an agent that nobody has asked yet."""
NOBODY: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The choice. ``candidates`` are in order of score, the excluded ones last; the first one is ``agent``."""

    agent: str
    confidence: float
    reason: str
    candidates: tuple[Candidate, ...]
    sure: tuple[float, ...]
    """How probably the question is for each candidate; 0 for those who may not answer. In their order."""
    margin: float
    """Confidence less that of the second who may answer."""
    out_of_scope: bool
    """No specialist reaches the bar, so the general agent answers."""


class _Row(NamedTuple):
    """A candidate while it is compared. Sorts by score, then by each factor, then by name; excluded ones last."""

    barred: bool
    score: float
    """This and the factors are negated, so that the best sorts first."""
    intent: float
    success: float
    cost: float
    latency: float
    agent: str
    match: Match
    """Never compared: names differ."""


def rank(
    shortlist: Shortlist,
    averages: Mapping[str, Averages],
    settings: RoutingSettings,
    barred: Mapping[str, str] = NOBODY,
) -> Ranking:
    """Order a shortlist by intent × success^w × cost^w × latency^w.

    Success is the moving average; an agent without one counts as one that always succeeds. Cost and latency begin
    as the capability declares them and move to what was measured: after n outcomes the measured factor has the
    weight n / (n + ``routing.evidence``). Weights are not negative, so a dominated candidate never outscores its
    dominator; at equal scores the better factor goes first (intent, success, cost, latency), then the name.

    ``barred``: who may not answer, and why. They stay in the record and are chosen by nobody. Raises
    ``NoAgentFits`` when that is the whole shortlist. There is at least one match.
    """
    rows = [_row(m, averages.get(m.agent, FRESH), settings, m.agent in barred) for m in shortlist.matches]
    rows.sort()
    if rows[0].barred:
        raise NoAgentFits(barred)
    front: list[_Row] = []
    candidates: list[Candidate] = []
    for row in rows:
        above = "" if row.barred else _dominator(row, front)
        if not above and not row.barred:
            front.append(row)
        candidates.append(_candidate(row, above, barred.get(row.agent, "")))
    sure = sureness([-row.score for row in rows if not row.barred], shortlist, settings)
    winner = candidates[0]
    nobodys = shortlist.out_of_scope and winner.agent == settings.general_agent
    return Ranking(
        agent=winner.agent,
        confidence=sure[0],
        reason=_reason(candidates, nobodys, shortlist.familiar, settings),
        candidates=tuple(candidates),
        sure=(*sure, *[0.0] * (len(rows) - len(sure))),
        margin=sure[0] - sure[1] if len(sure) > 1 else sure[0],
        out_of_scope=nobodys,
    )


def _dominator(row: _Row, front: Sequence[_Row]) -> str:
    """Who is at least as good in every factor and better in one (Pareto); empty: nobody.

    Looked for among undominated rows that sort before: whoever dominates does, and dominated ones have a dominator
    there that dominates this one too.
    """
    _, score, intent, success, cost, latency, _, _ = row
    for _, better, i, s, c, t, agent, _ in front:
        no_worse = i <= intent and s <= success and c <= cost and t <= latency
        if no_worse and (better < score or (i, s, c, t) != (intent, success, cost, latency)):
            return agent
    return ""


def _row(m: Match, seen: Averages, settings: RoutingSettings, barred: bool) -> _Row:
    cost, latency = m.cost, m.latency
    if seen.count:
        share = seen.count / (seen.count + settings.evidence)
        cost = _moved(cost, seen.cost_micros, settings.cost_half_micros, share)
        latency = _moved(latency, seen.latency_ms, settings.latency_half_ms, share)
    factors = seen.success**settings.weight_success * cost**settings.weight_cost * latency**settings.weight_latency
    return _Row(barred, -m.intent * factors, -m.intent, -seen.success, -cost, -latency, m.agent, m)


def _moved(declared: float, measured: float | None, half: float, share: float) -> float:
    """A declared factor, moved by ``share`` of the way to that of what was measured."""
    return declared if measured is None else declared + share * (half / (half + measured) - declared)


def _candidate(row: _Row, dominated_by: str, why: str) -> Candidate:
    m = row.match
    return Candidate(
        agent=m.agent,
        score=-row.score,
        similarity=m.similarity,
        keyword_hits=m.hits.cues + m.hits.keywords,
        intent=m.intent,
        success=-row.success,
        cost=-row.cost,
        latency=-row.latency,
        probability=m.probability,
        excluded=why,
        dominated_by=dominated_by,
    )


def _reason(ranked: Sequence[Candidate], nobodys: bool, familiar: bool, settings: RoutingSettings) -> str:
    """The numbers as one sentence for people, and another one about a better one that may not answer."""
    winner = ranked[0]
    second = next((c for c in ranked[1:] if not c.excluded), None)
    better = next((c for c in ranked if c.excluded and c.score > winner.score), None)
    kept_out = f" {better.agent} fits better but may not answer: {better.excluded}." if better else ""
    if not nobodys:
        said = f" and the question says {', '.join(map(repr, winner.keyword_hits))}" if winner.keyword_hits else ""
        rest = f", before {second.agent} with {second.score:.2f}" if second else ""
        fits = (
            f"{winner.agent} fits best: similarity {winner.similarity:.2f}{said}, score {winner.score:.2f}{rest}."
        )
        return f"{fits}{kept_out}"
    if not familiar:
        why = "The encoder does not know this language and no cue names an agent"
    else:
        nearest = f" (the nearest, {second.agent}, has {second.intent:.2f})" if second else ""
        why = f"No specialist reaches intent {settings.out_of_scope:.2f}{nearest}"
    return f"{why}, so {winner.agent} answers.{kept_out}"
