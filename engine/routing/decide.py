"""Whom a question is for, from its reading and a table of agents. Pure: numpy and standard library.

``match`` compares the question with every agent and keeps a shortlist. Which of those answers follows from their
success, cost and latency (``engine/routing/select.py``). Reasons: docs/decisions/0007.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.routing import RoutingSettings
from engine.routing.contract import Reading
from engine.routing.table import AgentTable
from engine.routing.words import Hits, edges

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


def match(
    table: AgentTable,
    reading: Reading,
    question: str,
    settings: RoutingSettings,
    barred: Container[str] = (),
) -> Shortlist:
    """The ``shortlist`` agents that fit best, and the general agent in any case.

    Agents that are ``barred`` take nobody's place: if one of them is among the best, as many others join.

    Intent = similarity + cue bonus + keyword bonuses. In a language the encoder does not know similarity says
    nothing and an English keyword may be a word of that language, so only cues count (route.strategy).
    """
    familiar = reading.familiarity >= settings.familiarity_min and bool(reading.vector.any())
    vector = reading.vector if familiar else np.zeros_like(reading.vector)
    found = table.terms.find(edges(question, settings.keyword_chars))
    if not familiar:
        found = {i: Hits(hits.cues) for i, hits in found.items()}
    to_centre = table.centres @ vector
    preliminary = to_centre.astype(np.float64)
    for i, hits in found.items():
        preliminary[i] += _bonus(hits, settings)
    kept = _best(preliminary, settings.shortlist, table.general)
    if len(kept) < len(table.names) and any(table.names[i] in barred for i in kept):
        others = np.array([name in barred for name in table.names])
        kept = sorted({*kept, *_best(np.where(others, -np.inf, preliminary), settings.shortlist, None)})
    nearest = table.nearest(vector, kept)
    bar = nearest[kept.index(table.general)] - settings.cue_margin if table.general is not None else -1.0
    centre: list[float] = to_centre.tolist()
    matches: list[Match] = []
    for i, near in zip(kept, nearest, strict=True):
        hits = found.get(i, _NO_HITS)
        if near < bar:
            # A homonym: «rust» in a question that is clearly closer to everyday talk than to the Rust agent.
            hits = Hits((), hits.keywords)
        similarity = settings.example_weight * near + (1.0 - settings.example_weight) * centre[i]
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
