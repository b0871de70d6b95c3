"""Who should answer, from a reading of the question and a table of agents. Pure: numpy and standard library.

Two steps, because the success of an agent is known elsewhere: ``match`` compares the question with every agent and
keeps a shortlist; ``rank`` weighs the shortlist by success, cost and latency (route.score). Not the fallback chain
(``engine/routing/chain.py``). docs/decisions/0007-zero-shot-router.md says why it looks like this.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.settings import RoutingSettings
from engine.routing.contract import Reading
from engine.routing.table import AgentTable
from engine.routing.words import Hits, edges
from engine.types import Candidate

_NO_HITS = Hits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One agent of the shortlist and how well the question fits it."""

    agent: str
    similarity: float
    hits: Hits
    intent: float
    cost: float
    latency: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The agents that fit best, by name, before anything about their health."""

    matches: tuple[Match, ...]
    familiar: bool
    """Whether the encoder could read the question; if not, only cues counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The choice. ``candidates`` are in order of score; the first one is ``agent``."""

    agent: str
    confidence: float
    reason: str
    candidates: tuple[Candidate, ...]


def match(table: AgentTable, reading: Reading, question: str, settings: RoutingSettings) -> Shortlist:
    """The ``shortlist`` agents that fit best, and the general agent in any case.

    Intent = similarity + cue bonus + keyword bonuses. In a language the encoder does not know similarity says
    nothing and an English keyword may be a word of that language, so only cues count (route.strategy).
    """
    familiar = reading.familiarity >= settings.familiarity_min and bool(np.any(reading.vector))
    vector = reading.vector if familiar else np.zeros_like(reading.vector)
    found = table.terms.find(edges(question, settings.keyword_chars))
    if not familiar:
        found = {i: Hits(hits.cues) for i, hits in found.items()}
    to_centre = table.centres @ vector
    preliminary = to_centre.astype(np.float64)
    for i, hits in found.items():
        preliminary[i] += _bonus(hits, settings)
    kept = _best(preliminary, settings.shortlist, table.general)
    nearest = {i: float((table.profiles[i].anchors @ vector).max()) for i in kept}
    bar = nearest[table.general] - settings.cue_margin if table.general is not None else -1.0
    matches: list[Match] = []
    for i in kept:
        hits = found.get(i, _NO_HITS)
        if nearest[i] < bar:
            # A homonym: «rust» in a question that is clearly closer to everyday talk than to the Rust agent.
            hits = Hits((), hits.keywords)
        similarity = settings.example_weight * nearest[i] + (1.0 - settings.example_weight) * float(to_centre[i])
        matches.append(_match(table, i, similarity, hits, settings))
    return Shortlist(matches=tuple(matches), familiar=familiar)


def _match(table: AgentTable, i: int, similarity: float, hits: Hits, settings: RoutingSettings) -> Match:
    intent = max(0.0, similarity + _bonus(hits, settings))
    return Match(
        agent=table.names[i],
        similarity=similarity,
        hits=hits,
        # What nobody else is for is the general agent's, so its intent is never below the bar for others.
        intent=max(intent, settings.out_of_scope) if i == table.general else intent,
        cost=table.profiles[i].cost,
        latency=table.profiles[i].latency,
    )


def _bonus(hits: Hits, settings: RoutingSettings) -> float:
    keywords = min(len(hits.keywords), settings.keyword_hits_max)
    return (settings.cue_bonus if hits.cues else 0.0) + settings.keyword_bonus * keywords


def _best(preliminary: NDArray[np.float64], count: int, general: int | None) -> list[int]:
    """Positions of the ``count`` highest values, ascending; at the edge the lower of equal positions stays."""
    if len(preliminary) <= count:
        return list(range(len(preliminary)))
    kept = set(np.argsort(-preliminary, kind="stable")[:count].tolist())
    if general is not None:
        kept.add(general)
    return sorted(kept)


def rank(shortlist: Shortlist, success: Mapping[str, float], settings: RoutingSettings) -> Ranking:
    """Order a shortlist by intent × success^w × cost^w × latency^w; ties fall to the name that sorts first.

    ``success`` is the EMA of each agent in [0, 1]; one that is not named counts as 1. There is at least one match.
    """
    candidates = sorted(
        (_candidate(m, success.get(m.agent, 1.0), settings) for m in shortlist.matches),
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
