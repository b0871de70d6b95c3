"""Entries, places and lookups of the answer cache, for the tests of its stores."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from configs.kernel import Usage
from engine.cache.question import Question, pack
from engine.cached import CachedAnswer, Entry, Lookup, Place, Provenance
from engine.types import Candidate, Decision, Leg

DECISION = Decision(
    agent="sql",
    strategy="single",
    confidence=0.875,
    reason="nearest",
    candidates=(
        Candidate(
            agent="sql",
            score=0.5,
            similarity=0.4,
            keyword_hits=("join",),
            intent=0.5,
            success=1.0,
            cost=1.0,
            latency=1.0,
        ),
    ),
    legs=(Leg(agent="sql", model="m"), Leg(agent="general", model=None)),
)
ANSWER = CachedAnswer(
    text="SELECT 1; -- ☕ \U0001f600 \u202e",
    decision=DECISION,
    model="m",
    usage=Usage(input_tokens=3, output_tokens=5, estimated=True),
    stored_at_s=1.5,
)
DIMENSIONS = 16


def digits(*words: object, length: int = 64) -> str:
    """A digest that stands for ``words``."""
    return hashlib.sha256(repr(words).encode()).hexdigest()[:length]


def place(question: object, *, owner: object = "ann", scope: object = "scope") -> Place:
    """Where the answer to ``question`` lies in that user's scope."""
    who, where = digits(owner, length=32), digits(owner, scope)
    return Place(owner=who, scope=where, key=digits(where, question))


def lookup(
    question: object,
    *,
    owner: object = "ann",
    scope: object = "scope",
    shared: object = None,
    epoch: str = "",
    remembers: bool = False,
) -> Lookup:
    """``question`` by ``owner``; with ``shared``, also in what that tenant shares."""
    common = place(question, owner=shared, scope=scope) if shared is not None else None
    own = place(question, owner=owner, scope=scope)
    return Lookup(own=own, shared=common, epoch=epoch, remembers=remembers)


def at_angle(degrees: float) -> NDArray[np.float32]:
    """A unit vector in a plane, so that cosines are known."""
    vector = np.zeros(DIMENSIONS, np.float32)
    vector[:2] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return vector


def packed(text: str = "?", degrees: float = 0.0) -> bytes:
    """A question at that angle."""
    return pack(Question(text=text, vector=at_angle(degrees)))


def answer(text: str = "yes", *, by: str | None = None, tags: dict[str, str] | None = None) -> CachedAnswer:
    """An answer; with ``by``, one whose writer is known."""
    provenance = None
    if by is not None:
        provenance = Provenance(
            by=digits(by, length=32),
            tenant=digits("tenant", length=32),
            agent="sql",
            agent_version=digits("version"),
            request_id="r",
            tags=tags or {},
        )
    return replace(ANSWER, text=text, provenance=provenance)


def entry(
    at: Place,
    said: CachedAnswer = ANSWER,
    *,
    degrees: float | None = None,
    ttl_s: int = 600,
    epoch: str = "",
) -> Entry:
    """``said`` at ``at``; with ``degrees``, also to be found by its vector."""
    question = None if degrees is None else packed(said.question, degrees)
    return Entry(place=at, answer=said, ttl_s=ttl_s, epoch=epoch, question=question)
