"""Two texts and whether one answer serves both: what a verifier learns from. Not the reading, not the making."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions."""

    a: str
    b: str
    duplicate: bool
    """One answer serves both."""
    kind: str
    """How the second came from the first, or what the two differ in; empty where the file does not say."""
    group: int
    """Pairs about the same first text share it: a split keeps them on one side."""
