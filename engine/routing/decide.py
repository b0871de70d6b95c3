"""Whom a question is for, from its reading, a table of agents and a trained head. Pure: numpy, standard library.

``match`` compares the question with every agent and keeps a shortlist. Which of those answers follows from their
success, cost and latency (``engine/routing/select.py``). Reasons: docs/decisions/0007 and 0016.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.routing import RoutingSettings
from engine.routing.contract import Reading, Vectors
from engine.routing.head import Head
from engine.routing.table import AgentTable
from engine.routing.words import Hits, edges

_NO_HITS = Hits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A trained head and the agents of one table that it knows."""

    head: Head
    agents: tuple[tuple[int, int], ...]
    """Position in the table, position in ``head.labels``."""
    rejects: bool = False
    """Its threshold counts: a question it turns away is for none of the agents that it knows."""


def bind(table: AgentTable, head: Head, digests: Mapping[str, str] | None = None) -> Trained | None:
    """``head`` for the agents of ``table`` that it was trained for; ``None`` when there are none.

    ``digests`` (``table.digest_of``) of the agents as they were then: one that has changed since is a stranger.
    Without ``digests`` a name is enough, and the head's own threshold for «none of these» counts: the shipped one
    has a general agent for that. Once per table, not per question.
    """
    known = [
        (table.places[label], i)
        for i, label in enumerate(head.labels)
        if label in table.places
        and (digests is None or digests.get(label) == table.profiles[table.places[label]].digest)
    ]
    return Trained(head=head, agents=tuple(known), rejects=digests is None) if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One agent of the shortlist and how well the question fits it."""

    agent: str
    similarity: float
    hits: Hits
    intent: float
    cost: float
    latency: float
    probability: float | None = None
    """What the trained head says; ``None`` for an agent it does not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortlist:
    """The agents that fit best, by name, before anything about their health."""

    matches: tuple[Match, ...]
    familiar: bool
    """Whether the encoder could read the question; if not, only cues counted."""
    trained: bool = False
    """Whether a trained head took part."""
    out_of_scope: bool = False
    """No specialist reaches the bar: the question is nobody's, and so the general agent's."""


def match(
    table: AgentTable,
    reading: Reading,
    question: str,
    settings: RoutingSettings,
    barred: Container[str] = (),
    head: Trained | None = None,
) -> Shortlist:
    """The ``shortlist`` agents that fit best, and the general agent in any case.

    Agents that are ``barred`` take nobody's place: if one of them is among the best, as many others join.

    Intent = similarity + cue bonus + keyword bonuses + ``head_weight`` × log of the head's probability. The last
    is never above 0: a head takes from the agents it knows and gives to none, so that one it does not know
    competes on the same scale. In a language the encoder does not know similarity and head say nothing and an
    English keyword may be a word of that language, so only cues count (route.strategy).
    """
    familiar = reading.familiarity >= settings.familiarity_min and bool(reading.vector.any())
    vector = reading.vector if familiar else np.zeros_like(reading.vector)
    found = table.terms.find(edges(question, settings.keyword_chars))
    if not familiar:
        found = {i: Hits(hits.cues) for i, hits in found.items()}
    said: dict[int, float] = {}
    turned_away = False
    if head is not None and familiar:
        said, turned_away = _asked(head, reading, question)
    doubts = {i: _doubt(probability, settings) for i, probability in said.items()}
    if turned_away:
        doubts = {i: 0.0 if i == table.general else _doubt(0.0, settings) for i in said}
    to_centre = table.centres @ vector
    few = len(table.names) <= settings.shortlist
    kept = range(len(table.names)) if few else _shortlisted(table, to_centre, found, doubts, settings, barred)
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
        intent = similarity + (_bonus(hits, settings) if hits is not _NO_HITS else 0.0)
        if i == table.general:
            # What nobody else is for is the general agent's, so its intent is never below the bar for others.
            intent = max(intent, settings.out_of_scope)
        own = table.profiles[i]
        matches.append(
            Match(
                agent=own.name,
                similarity=similarity,
                hits=hits,
                intent=max(0.0, intent + doubts.get(i, 0.0)),
                cost=own.cost,
                latency=own.latency,
                probability=said.get(i),
            )
        )
    return Shortlist(
        matches=tuple(matches),
        familiar=familiar,
        trained=bool(said),
        out_of_scope=_is_nobodys(matches, settings, turned_away=turned_away),
    )


def sureness(scores: Sequence[float], shortlist: Shortlist, settings: RoutingSettings) -> list[float]:
    """How probably each of those with these ``scores`` is the one the question is for; they sum to 1.

    Softmax at the temperature at which it is right as often as it says (docs/decisions/0016).
    """
    temperature = settings.temperature_trained if shortlist.trained else settings.temperature
    top = max(scores)
    weights = [math.exp((score - top) / temperature) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _asked(trained: Trained, reading: Reading, question: str) -> tuple[dict[int, float], bool]:
    """Probability by position in the table, and whether the head turns the question away.

    Labels without an agent keep their share: it then lowers all the others alike.
    """
    head = trained.head
    if trained.rejects:
        judged = head.judge(reading.vector[None, :], (question,))
        said: list[float] = judged.probabilities[0].tolist()
        turned_away = bool(judged.scope[0] < head.reject_below)
    else:
        said, turned_away = head.probabilities(reading.vector, question).tolist(), False
    return {agent: said[label] for agent, label in trained.agents}, turned_away


def _doubt(probability: float, settings: RoutingSettings) -> float:
    return settings.head_weight * math.log(max(probability, settings.head_floor))


def _is_nobodys(matches: Sequence[Match], settings: RoutingSettings, *, turned_away: bool) -> bool:
    intents = {m.agent: m.intent for m in matches}
    general = intents.get(settings.general_agent)
    if general is None or general < max(intents.values()):
        return False
    return turned_away or general <= settings.out_of_scope


def _bonus(hits: Hits, settings: RoutingSettings) -> float:
    keywords = min(len(hits.keywords), settings.keyword_hits_max)
    return (settings.cue_bonus if hits.cues else 0.0) + settings.keyword_bonus * keywords


def _shortlisted(
    table: AgentTable,
    to_centre: Vectors,
    found: Mapping[int, Hits],
    doubts: Mapping[int, float],
    settings: RoutingSettings,
    barred: Container[str],
) -> list[int]:
    """Positions of those that are compared in full, by their centres: the best, and as many who may answer."""
    preliminary = to_centre.astype(np.float64)
    for i, hits in found.items():
        preliminary[i] += _bonus(hits, settings)
    for i, doubt in doubts.items():
        preliminary[i] += doubt
    kept = _best(preliminary, settings.shortlist, table.general)
    if any(table.names[i] in barred for i in kept):
        others = np.array([name in barred for name in table.names])
        kept = sorted({*kept, *_best(np.where(others, -np.inf, preliminary), settings.shortlist, None)})
    return kept


def _best(preliminary: NDArray[np.float64], count: int, general: int | None) -> list[int]:
    """Positions of the ``count`` highest values, ascending; at the edge the lower of equal positions stays."""
    kept = set(np.argsort(-preliminary, kind="stable")[:count].tolist())
    if general is not None:
        kept.add(general)
    return sorted(kept)
