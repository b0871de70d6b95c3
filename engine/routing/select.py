"""Which agent of a shortlist answers: intent, weighed by success, cost and latency (route.score). Pure.

Not whom the question is for (``engine/routing/decide.py``), not the fallback chain (``engine/routing/chain.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from configs.routing import RoutingSettings
from engine.routing.decide import Match, Shortlist
from engine.types import Averages, Candidate

FRESH: Final = Averages(success=1.0)
"""Of an agent that nobody has asked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The choice. ``candidates`` are in order of score; the first one is ``agent``."""

    agent: str
    confidence: float
    reason: str
    candidates: tuple[Candidate, ...]


def rank(shortlist: Shortlist, averages: Mapping[str, Averages], settings: RoutingSettings) -> Ranking:
    """Order a shortlist by intent × success^w × cost^w × latency^w; ties fall to the name that sorts first.

    An agent without ``averages`` counts as one that always succeeds. There is at least one match.
    """
    candidates = sorted(
        (_candidate(m, averages.get(m.agent, FRESH).success, settings) for m in shortlist.matches),
        key=lambda c: (-c.score, c.agent),
    )
    winner = candidates[0]
    weights = [math.exp((c.score - winner.score) / settings.temperature) for c in candidates]
    return Ranking(
        agent=winner.agent,
        confidence=1.0 / sum(weights),
        reason=_reason(candidates, shortlist.familiar, settings),
        candidates=tuple(candidates),
    )


def _candidate(m: Match, success: float, settings: RoutingSettings) -> Candidate:
    factors = success**settings.weight_success * m.cost**settings.weight_cost * m.latency**settings.weight_latency
    return Candidate(
        agent=m.agent,
        score=m.intent * factors,
        similarity=m.similarity,
        keyword_hits=m.hits.cues + m.hits.keywords,
        intent=m.intent,
        success=success,
        cost=m.cost,
        latency=m.latency,
    )


def _reason(ranked: Sequence[Candidate], familiar: bool, settings: RoutingSettings) -> str:
    """The numbers as one sentence for people."""
    winner, others = ranked[0], ranked[1:]
    second = others[0] if others else None
    if winner.agent == settings.general_agent and winner.intent <= settings.out_of_scope:
        if not familiar:
            return f"The encoder does not know this language and no cue names an agent, so {winner.agent} answers."
        nearest = f" (the nearest, {second.agent}, has {second.intent:.2f})" if second else ""
        return f"No specialist reaches intent {settings.out_of_scope:.2f}{nearest}, so {winner.agent} answers."
    said = f" and the question says {', '.join(map(repr, winner.keyword_hits))}" if winner.keyword_hits else ""
    rest = f", before {second.agent} with {second.score:.2f}" if second else ""
    return f"{winner.agent} fits best: similarity {winner.similarity:.2f}{said}, score {winner.score:.2f}{rest}."
