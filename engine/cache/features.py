"""Two questions as numbers: what one says that the other does not, once words are explained by each other.

A word is explained by the same word, an inflection, a misspelling or a synonym on the other side
(``engine/cache/lexicon.py``). What stays unexplained, how heavy it is and on which side it stands is what the
verifier learns from, beside the cosine. The order of the two makes no difference. Not the verifier, not the guard.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.cache import lexicon
from engine.cache.profile import Profile

COMPARED_MAX: Final = 6
"""Unexplained words of a side that are compared with the other side's by meaning: the heaviest ones."""
NEAREST: Final = 0.003
"""Cosine distances below it are all the same: half precision and misspellings make as much."""
NAMES: Final = (
    "cosine", "cosine_high", "distance_log", "heavy_jaccard", "share_low", "share_high", "left_low",
    "left_high", "left_count_low", "left_count_high", "heaviest_low", "heaviest_high", "explained_synonym",
    "explained_related", "explained_typo", "rivals", "opposed", "names_left", "numbers_left", "grams", "order",
    "words_jaccard", "asks_same", "asks_why", "asks_how", "asks_fact", "asks_yes", "negation", "persons",
    "limits", "length_low", "length_ratio", "sentences", "nothing_left", "one_sided", "swap_one", "same_words",
    "length_high", "cosine_by_length_low", "distance_by_length_low", "cosine_by_length_high",
    "distance_by_length_high",
)  # fmt: skip
SMALL_EDIT: Final = 0.6
"""Share of common words from which one question is a small edit of the other, not a rewording of it."""


_COMMON: Final = NAMES.index("words_jaccard")
_NOTHING_LEFT: Final = NAMES.index("nothing_left")
_EXPLAINING: Final[tuple[tuple[str, Callable[[str, str], bool]], ...]] = (
    ("typo", lexicon.typo_of),
    ("synonym", lexicon.synonyms),
    ("related", lexicon.related),
)


def is_small_edit(row: NDArray[np.float64]) -> bool:
    """Whether little but what the lexicon explains tells the two apart; everything else is a rewording."""
    return bool(row[_COMMON] >= SMALL_EDIT or row[_NOTHING_LEFT] > 0)


def is_turned(a: Profile, b: Profile) -> bool:
    """Whether who does something in one has it done to them in the other: I sue my school, my school sues me."""
    return bool(a.acting & b.suffering or a.suffering & b.acting)


def compare(a: Profile, b: Profile, cosine: float) -> NDArray[np.float64]:
    """One row, in the order of ``NAMES``."""
    kinds, left = _explained(a, b)
    total = [max(sum(each.heavy.values()), 0.3) for each in (a, b)]
    unexplained = [sum(left[0].values()), sum(left[1].values())]
    shares = [1.0 - unexplained[side] / total[side] for side in (0, 1)]
    heaviest = [max(each.values(), default=0.0) for each in left]
    counts = [len(each) for each in left]
    common = _jaccard(a.stems, b.stems)
    nothing_left = not left[0] and not left[1]
    # Looking words up in pairs is what takes time, and for rewordings nothing is learned from it.
    rivals, opposed = _conflicts(left[0], left[1]) if common >= SMALL_EDIT else (0, 0)
    both = a.heavy.keys() | b.heavy.keys()
    lengths = sorted((len(a.words), len(b.words)))
    shorter, longer = (math.log1p(length) for length in lengths)
    distance = -math.log(max(1.0 - cosine, NEAREST))
    names = len((a.names & left[0].keys()) | (b.names & left[1].keys()))
    values = (
        cosine,
        max(0.0, cosine - 0.9),
        distance,
        1.0 - (len(left[0]) + len(left[1])) / max(1, len(both)),
        min(shares),
        max(shares),
        min(unexplained),
        max(unexplained),
        min(*counts, 8),
        min(max(counts), 12),
        min(heaviest),
        max(heaviest),
        min(kinds["synonym"], 4),
        min(kinds["related"], 4),
        min(kinds["typo"], 3),
        min(rivals, 3),
        min(opposed, 2),
        min(names, 4),
        min(len((a.numbers & left[0].keys()) | (b.numbers & left[1].keys())), 4),
        _jaccard(a.grams, b.grams),
        _order(a, b),
        common,
        *_asking(a, b),
        min(abs(a.negated - b.negated), 2),
        len(a.persons ^ b.persons),
        min(len(a.limits ^ b.limits), 4),
        shorter,
        (lengths[0] + 2) / (lengths[1] + 2),
        min(abs(a.sentences - b.sentences), 4),
        float(nothing_left),
        float(bool(left[0]) != bool(left[1])),
        float(counts == [1, 1]),
        float(a.stems == b.stems),
        longer,
        cosine * shorter,
        distance * shorter,
        cosine * longer,
        distance * longer,
    )
    return np.array(values, dtype=np.float64)


def _asking(a: Profile, b: Profile) -> tuple[float, ...]:
    """Whether the same kind of answer is wanted, and which kinds meet where it is not."""
    asks, same = {a.asks, b.asks}, a.asks == b.asks
    return (
        float(same),
        float("why" in asks and not same),
        float("how" in asks and not same),
        float(bool(asks & {"when", "where", "who"}) and not same),
        float("yes" in asks and not same),
    )


def _explained(a: Profile, b: Profile) -> tuple[dict[str, int], tuple[dict[str, float], dict[str, float]]]:
    """How many words were explained how, and what is left of both sides."""
    left = tuple(
        {
            word: weight
            for word, weight in one.heavy.items()
            if word not in other.heavy and lexicon.lemma(word) not in other.stems
        }
        for one, other in ((a, b), (b, a))
    )
    counted: dict[str, int] = {}
    for kind, explains in _EXPLAINING:
        one, other = _heaviest(left[0]), _heaviest(left[1])
        pairs = [(x, y) for x in one for y in other if explains(x, y)]
        for side in (0, 1):
            for word in {pair[side] for pair in pairs}:
                del left[side][word]
        counted[kind] = max(len({pair[0] for pair in pairs}), len({pair[1] for pair in pairs}))
    return counted, (left[0], left[1])


def _heaviest(words: dict[str, float]) -> list[str]:
    if len(words) <= COMPARED_MAX:
        return list(words)
    return sorted(words, key=lambda word: -words[word])[:COMPARED_MAX]


def _conflicts(left: dict[str, float], right: dict[str, float]) -> tuple[int, int]:
    """Pairs of different things of one kind, and of opposites, among what nothing explains."""
    rivals = opposed = 0
    for one in _heaviest(left):
        for other in _heaviest(right):
            opposed += lexicon.opposites(one, other)
            rivals += lexicon.same_class(one, other)
    return rivals, opposed


def _jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / max(1, len(a | b))


def _order(a: Profile, b: Profile) -> float:
    """Share of neighbours, among words both have, that follow each other the same way round in the other one."""
    return (_followed(a, b) + _followed(b, a)) / 2.0


def _followed(a: Profile, b: Profile) -> float:
    places = {root: at for at, root in enumerate(b.roots)}
    shared = [places[root] for root in a.roots if root in places]
    steps = [second > first for first, second in pairwise(shared)]
    return sum(steps) / len(steps) if steps else 1.0
