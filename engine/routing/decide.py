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
    own: bool = False
    """The user's own, fitted on the user's questions: it decides among the agents that it knows, and what it turns
    away is for none of them."""


def bind(table: AgentTable, head: Head, digests: Mapping[str, str] | None = None) -> Trained | None:
    """``head`` for the agents of ``table`` that it was trained for; ``None`` when there are none.

    ``digests`` (``table.digest_of``) of the agents as they were then: one that has changed since is a stranger.
    Without ``digests`` it is the user's own and a name is enough. Once per table, not per question.
    """
    known = [
        (table.places[label], i)
        for i, label in enumerate(head.labels)
        if label in table.places
        and (digests is None or digests.get(label) == table.profiles[table.places[label]].digest)
    ]
    return Trained(head=head, agents=tuple(known), own=digests is None) if known else None


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
    own: bool = False
    """Whether it was the user's own."""
    out_of_scope: bool = False
    """No specialist reaches the bar: the question is nobody's, and so the general agent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What a head says of a question, by position in the table."""

    probabilities: Mapping[int, float]
    doubts: Mapping[int, float]
    """What it takes from an agent's intent; of a head of one's own also from the general agent's."""
    own: bool = False
    turned_away: bool = False


_SILENT = _Said(probabilities={}, doubts={})


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
    competes on the same scale. A head of one's own decides among those it knows, cues apart (``_of_own_head``).
    In a language the encoder does not know similarity and head say nothing and an English keyword may be a word
    of that language, so only cues count (route.strategy).
    """
    familiar = reading.familiarity >= settings.familiarity_min and bool(reading.vector.any())
    vector = reading.vector if familiar else np.zeros_like(reading.vector)
    found = table.terms.find(edges(question, settings.keyword_chars))
    if not familiar:
        found = {i: Hits(hits.cues) for i, hits in found.items()}
    said = _asked(head, table, reading, question, settings) if head is not None and familiar else _SILENT
    to_centre = table.centres @ vector
    few = len(table.names) <= settings.shortlist
    kept = range(len(table.names)) if few else _shortlisted(table, to_centre, found, said, settings, barred)
    nearest = table.nearest(vector, kept)
    bar = nearest[kept.index(table.general)] - settings.cue_margin if table.general is not None else -1.0
    centre: list[float] = to_centre.tolist()
    similarities: list[float] = []
    hits: list[Hits] = []
    for i, near in zip(kept, nearest, strict=True):
        hit = found.get(i, _NO_HITS)
        # A homonym: «rust» in a question that is clearly closer to everyday talk than to the Rust agent.
        hits.append(Hits((), hit.keywords) if near < bar else hit)
        similarities.append(settings.example_weight * near + (1.0 - settings.example_weight) * centre[i])
    intents = _intents(table, kept, similarities, hits, said, settings)
    matches = [
        Match(
            agent=table.names[i],
            similarity=similarity,
            hits=hit,
            intent=max(0.0, intent),
            cost=table.profiles[i].cost,
            latency=table.profiles[i].latency,
            probability=said.probabilities.get(i),
        )
        for i, similarity, hit, intent in zip(kept, similarities, hits, intents, strict=True)
    ]
    return Shortlist(
        matches=tuple(matches),
        familiar=familiar,
        trained=bool(said.probabilities),
        own=said.own,
        out_of_scope=_is_nobodys(matches, settings, turned_away=said.turned_away),
    )


def sureness(scores: Sequence[float], shortlist: Shortlist, settings: RoutingSettings) -> list[float]:
    """How probably each of those with these ``scores`` is the one the question is for; they sum to 1.

    Softmax at the temperature at which it is right as often as it says (docs/decisions/0016). With a head of
    one's own that is the weight of its log-probabilities: they become the calibrated probabilities again.
    """
    if shortlist.own:
        temperature = settings.own_head_weight
    else:
        temperature = settings.temperature_trained if shortlist.trained else settings.temperature
    top = max(scores)
    weights = [math.exp((score - top) / temperature) for score in scores]
    total = sum(weights)
    return [weight / total for weight in weights]


def _asked(
    trained: Trained, table: AgentTable, reading: Reading, question: str, settings: RoutingSettings
) -> _Said:
    """Labels without an agent keep their share: it then lowers all the others alike."""
    if trained.own:
        return _of_own_head(trained, table, reading, question, settings)
    said: list[float] = trained.head.probabilities(reading.vector, question).tolist()
    found = {agent: said[label] for agent, label in trained.agents}
    doubts = {i: settings.head_weight * math.log(max(p, settings.head_floor)) for i, p in found.items()}
    return _Said(probabilities=found, doubts=doubts)


def _of_own_head(
    trained: Trained, table: AgentTable, reading: Reading, question: str, settings: RoutingSettings
) -> _Said:
    """A head of one's own decides: whoever it names is doubted by 0, the others by how much less they have.

    «None of these» is the general agent's, and so is a label whose agent is gone. Its share equals that of the
    best label where the scope equals the head's threshold, so the head's own rule is kept to.
    """
    head = trained.head
    judged = head.judge(reading.vector[None, :], (question,))
    said: list[float] = judged.probabilities[0].tolist()
    inside = judged.scope[0] * (1.0 - head.reject_below)
    outside = (1.0 - judged.scope[0]) * head.reject_below
    scope = float(inside / (inside + outside)) if inside + outside > 0.0 else 1.0
    found = {agent: said[label] for agent, label in trained.agents}
    best, known = max(said), max(found.values())
    nobodys = max((1.0 - scope) * best, scope * best if known < best else 0.0)
    shares = {i: scope * p for i, p in found.items()}
    turned_away = bool(judged.scope[0] < head.reject_below) or known < best
    if table.general is not None:
        shares[table.general] = max(shares.get(table.general, 0.0), nobodys)
    top = max(nobodys, *shares.values())
    floor = settings.own_head_floor
    doubts = {i: settings.own_head_weight * math.log(max(share / top, floor)) for i, share in shares.items()}
    return _Said(probabilities=found, doubts=doubts, own=True, turned_away=turned_away)


def _intents(
    table: AgentTable,
    kept: Sequence[int],
    similarities: Sequence[float],
    hits: Sequence[Hits],
    said: _Said,
    settings: RoutingSettings,
) -> list[float]:
    """Intent of each of those ``kept``.

    Whom a head of one's own names has the intent of the nearest of those that it knows, keywords included: the
    head says which of them, the texts say whether it is one of them or somebody the head does not know.
    """
    alone: list[float] = []
    for i, similarity, hit in zip(kept, similarities, hits, strict=True):
        own = similarity + (_bonus(hit, settings) if hit is not _NO_HITS else 0.0)
        # What nobody else is for is the general agent's, so its intent is never below the bar for others.
        alone.append(max(own, settings.out_of_scope) if i == table.general else own)
    if not said.own:
        return [intent + said.doubts.get(i, 0.0) for i, intent in zip(kept, alone, strict=True)]
    cues = [settings.cue_bonus if hit.cues else 0.0 for hit in hits]
    level = settings.out_of_scope
    for i, intent, cue in zip(kept, alone, cues, strict=True):
        if (i == table.general and said.turned_away) or (i in said.probabilities and not said.turned_away):
            level = max(level, intent - cue)
    found = [
        level + said.doubts[i] + cue if i in said.doubts else intent
        for i, intent, cue in zip(kept, alone, cues, strict=True)
    ]
    if table.general is not None and table.general not in said.probabilities:
        # Nor does it know the general agent, which may be far nearer by its texts: then it errs as a cue does.
        place = kept.index(table.general)
        found[place] = max(found[place], similarities[place] - settings.cue_margin)
    return found


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
    said: _Said,
    settings: RoutingSettings,
    barred: Container[str],
) -> list[int]:
    """Positions of those that are compared in full, by their centres: the best, and as many who may answer."""
    preliminary = to_centre.astype(np.float64)
    if said.own:
        preliminary[list(said.doubts)] = preliminary[list(said.doubts)].max()
    for i, hits in found.items():
        preliminary[i] += _bonus(hits, settings)
    for i, doubt in said.doubts.items():
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
