"""What follows from labelled pairs: more pairs, and which questions hang together. No features, no fit.

Two rewordings of one question are rewordings of each other; what is another question than the first is another
than its rewordings; and the nearest question of another family is another question.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.training.pairs.pair import Pair

Vectors = NDArray[np.float32]
CHUNK: Final = 1_024
DECIMALS: Final = 3
CLOSER_IS_THE_SAME: Final = 0.9
"""Cosine from which two questions of different families may well be the same one, unlabelled."""


def families(pairs: Sequence[Pair]) -> list[int]:
    """A number per pair; pairs that are linked through any chain of questions share it."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for pair in pairs:
        parent[root(pair.a.casefold())] = root(pair.b.casefold())
    numbers: dict[str, int] = {}
    return [numbers.setdefault(root(pair.a.casefold()), len(numbers)) for pair in pairs]


def closed(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that follow from ``pairs`` and are not among them."""
    known = {frozenset((pair.a, pair.b)) for pair in pairs}
    found: list[Pair] = []

    def add(a: str, b: str, kind: str, group: int, *, duplicate: bool) -> None:
        link = frozenset((a, b))
        if len(link) == 2 and link not in known:
            known.add(link)
            found.append(Pair(a=a, b=b, duplicate=duplicate, kind=kind, group=group))

    for group, (same, other) in enumerate(_around(pairs).values()):
        for at, one in enumerate(same):
            for before in same[:at]:
                add(one, before, "follows", group, duplicate=True)
            for stranger in other:
                add(one, stranger, "follows_not", group, duplicate=False)
    return found


def _around(pairs: Sequence[Pair]) -> Mapping[str, tuple[list[str], list[str]]]:
    """For the question that others were written to: its rewordings, and questions that are others."""
    often: Counter[str] = Counter(text for pair in pairs for text in (pair.a, pair.b))
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for pair in pairs:
        first, second = (pair.a, pair.b) if often[pair.a] >= often[pair.b] else (pair.b, pair.a)
        found[first][0 if pair.duplicate else 1].append(second)
    return found


def strangers(pairs: Sequence[Pair], vectors: Mapping[str, Vectors], count: int) -> list[Pair]:
    """Each question that others were written to, with the ``count`` nearest ones of other families."""
    anchors = sorted(_around(pairs))
    if count < 1 or len(anchors) < 2:
        return []
    family = {
        text: number for pair, number in zip(pairs, families(pairs), strict=True) for text in (pair.a, pair.b)
    }
    of = np.array([family[text] for text in anchors])
    stacked = np.stack([vectors[text] for text in anchors])
    known: set[frozenset[str]] = set()
    found: list[Pair] = []
    for start in range(0, len(anchors), CHUNK):
        rows = slice(start, start + CHUNK)
        # Rounded: the last bits of a product depend on how many threads the library has.
        near = np.round(stacked[rows] @ stacked.T, DECIMALS)
        near[(of[rows, None] == of) | (near >= CLOSER_IS_THE_SAME)] = -1.0
        nearest: list[list[int]] = np.argsort(-near, axis=1, kind="stable")[:, :count].tolist()
        for place, others in enumerate(nearest):
            for other in others:
                a, b = anchors[start + place], anchors[other]
                link = frozenset((a, b))
                if near[place, other] > 0.0 and link not in known:
                    known.add(link)
                    found.append(Pair(a=a, b=b, duplicate=False, kind="stranger", group=-1))
    return found
