"""What the router knows of each agent, and of all of them together. Pure: numpy and standard library.

A profile is made once per registration, a table once per generation of the registry. Nothing here encodes text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.catalogue import AgentCapability
from configs.routing import RoutingSettings
from engine.routing.contract import Vectors
from engine.routing.words import Term, TermIndex, term

_SENTENCE_END: Final = re.compile(r"(?<=[.!?:;])\s+")
_PHRASE_END: Final = re.compile(r"[.!?:;,]|\band\b|\bor\b")
STACKED_ROWS: Final = 2_048
"""Up to so many texts of all agents stand in one array: a single product is then faster than one per agent of the
shortlist, and copying them costs a registration nothing that matters (3 MB)."""


def anchor_texts(capability: AgentCapability, settings: RoutingSettings) -> tuple[str, ...]:
    """The texts that stand for an agent: sentences of its description and its examples, each once.

    Few examples say little about what people will ask; then the phrases of the description, and the keywords alone
    and as questions, join in.
    """
    texts = [*_SENTENCE_END.split(capability.description), *capability.examples]
    if len(capability.examples) < settings.examples_min:
        words = [*capability.cues, *capability.keywords]
        texts += [*_PHRASE_END.split(capability.description), *words, *(f"How do I {word}?" for word in words)]
    stripped = (text.strip() for text in texts)
    return tuple(dict.fromkeys(text for text in stripped if text))


def digest_of(capability: AgentCapability) -> str:
    """32 hex digits of everything an agent says about what it is for. A head trained for one digest says nothing
    of another."""
    said = [capability.description, *(list(each) for each in (capability.examples, capability.cues))]
    return blake2b(json.dumps([*said, list(capability.keywords)]).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One agent, ready to be compared."""

    name: str
    digest: str
    """``digest_of`` its capability."""
    anchors: Vectors
    """One row per text of ``anchor_texts``."""
    centre: Vectors
    """Their mean, at length 1."""
    terms: tuple[Term, ...]
    cost: float
    latency: float
    """Factors in (0, 1]; 1 is free, or answers at once."""


def profile(capability: AgentCapability, anchors: Vectors, settings: RoutingSettings) -> Profile:
    """The profile of ``capability`` whose ``anchor_texts`` have the vectors ``anchors``."""
    mean = anchors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    terms = [term(text, cue=True) for text in capability.cues]
    terms += [term(text, cue=False) for text in capability.keywords]
    # «table» and «tables» are one keyword; of a cue and a keyword with the same form the cue stays.
    distinct = {(t.stems, t.pattern): t for t in reversed(terms) if t is not None}
    half = settings.latency_half_ms
    return Profile(
        name=capability.name,
        digest=digest_of(capability),
        anchors=anchors,
        # Anchors that cancel out have no centre; the first one stands for it.
        centre=mean / np.float32(length) if length > 1e-6 else anchors[0],
        terms=tuple(reversed(distinct.values())),
        cost=settings.cost_factors.get(capability.cost_tier, 1.0),
        latency=half / (half + capability.avg_latency_ms),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTable:
    """All agents of one generation, by name. Position is the agent's number in every array."""

    profiles: tuple[Profile, ...]
    names: tuple[str, ...]
    places: Mapping[str, int]
    """Position of each name."""
    centres: Vectors
    """Shape (agents, 384)."""
    terms: TermIndex
    general: int | None
    """Position of the agent for what is out of scope; ``None`` when it is not registered."""
    anchors: Vectors | None
    """Texts of all agents, in order of position; ``None`` beyond ``STACKED_ROWS``."""
    starts: NDArray[np.intp]
    """Where each agent's texts begin in ``anchors``."""

    def nearest(self, vector: Vectors, kept: Sequence[int]) -> list[float]:
        """Cosine of ``vector`` with the nearest text of each agent of ``kept``, in that order."""
        if self.anchors is None:
            return [float((self.profiles[i].anchors @ vector).max()) for i in kept]
        best: list[float] = np.maximum.reduceat(self.anchors @ vector, self.starts).tolist()
        return best if len(kept) == len(best) else [best[i] for i in kept]


def stack(profiles: Iterable[Profile], general_agent: str) -> AgentTable:
    """Profiles as one table, ordered by name so that ties fall the same way in every process."""
    ordered: Sequence[Profile] = sorted(profiles, key=lambda p: p.name)
    names = tuple(p.name for p in ordered)
    places = {name: i for i, name in enumerate(names)}
    ends = np.cumsum([len(p.anchors) for p in ordered], dtype=np.intp)
    few = bool(ordered) and int(ends[-1]) <= STACKED_ROWS
    return AgentTable(
        profiles=tuple(ordered),
        names=names,
        places=places,
        centres=np.stack([p.centre for p in ordered]) if ordered else np.empty((0, 0), np.float32),
        terms=TermIndex((i, t) for i, p in enumerate(ordered) for t in p.terms),
        general=places.get(general_agent),
        anchors=np.concatenate([p.anchors for p in ordered]) if few else None,
        starts=np.concatenate((np.zeros(1, np.intp), ends[:-1])),
    )
