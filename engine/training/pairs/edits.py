"""Labelled pairs made from any questions by rule: small edits that change the answer, and ones that leave it.

Deterministic: the same questions, seed and count give the same pairs. Not text of people, and not the judge of a
pair: an edit that people would call odd is kept, one whose label would be wrong is what the rules avoid.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from engine.training.pairs import noise, numbers, rephrase, swaps, turns, wording
from engine.training.pairs.pair import Pair
from engine.training.pairs.swaps import Edit
from engine.training.pairs.text import canonical, numbers_in, words_of
from engine.training.pairs.words import entities

NEGATIVE: Final[Mapping[str, Edit]] = {
    "number": numbers.number,
    "unit": numbers.unit,
    "negation": turns.negation,
    "antonym": swaps.antonym,
    "entity": swaps.entity,
    "direction": turns.direction,
    "quantifier": swaps.quantifier,
    "code": swaps.code,
    "modality": swaps.modality,
    "wh_word": swaps.wh_word,
}
POSITIVE: Final[Mapping[str, Edit]] = {
    "synonym": wording.synonym,
    "polite": wording.polite,
    "contraction": wording.contraction,
    "number_format": numbers.number_format,
    "typo": noise.typo,
    "surface": noise.surface,
    "rephrase": rephrase.rephrase,
    "spelling": wording.spelling,
    "person": wording.person,
}
_ROUNDS: Final = 8
"""Each question is tried so often for a kind: most have few places to edit."""
_IDLE_MAX: Final = 3
"""A question that gave nothing new so often is left alone for this kind."""
_TRIES: Final = 4


def combined(text: str, random: Random) -> str | None:
    """Two edits that leave the answer, of different kinds."""
    first, second = random.sample(sorted(POSITIVE), 2)
    once = _positive(first, text, random)
    return None if once is None else _positive(second, once, random)


def mixed(text: str, random: Random) -> str | None:
    """An edit that changes the answer, then one that would leave it."""
    once = NEGATIVE[random.choice(sorted(NEGATIVE))](text, random)
    return None if once is None else _positive(random.choice(sorted(POSITIVE)), once, random)


def edits(questions: Sequence[str], *, seed: int, per_kind: int) -> list[Pair]:
    """At most ``per_kind`` pairs of each kind, fewer where the questions have fewer places to edit.

    ``group`` is the question's place in ``questions``; a question is always the ``a`` of its pairs.
    """
    pairs: list[Pair] = []
    for kind, edit in NEGATIVE.items():
        pairs += _of_kind(kind, edit, questions, _chance(seed, kind), per_kind, duplicate=False)
    for kind in POSITIVE:
        pairs += _of_kind(kind, _kept(kind), questions, _chance(seed, kind), per_kind, duplicate=True)
    pairs += _of_kind("combined", combined, questions, _chance(seed, "combined"), per_kind, duplicate=True)
    pairs += _of_kind("mixed", mixed, questions, _chance(seed, "mixed"), per_kind, duplicate=False)
    return pairs


def _chance(seed: int, kind: str) -> Random:
    return Random(f"{seed}:{kind}")  # noqa: S311 - nothing secret: the same seed gives the same pairs


def counts(pairs: Sequence[Pair]) -> Mapping[str, int]:
    """Pairs of each kind."""
    return dict(sorted(Counter(pair.kind for pair in pairs).items()))


def _of_kind(
    kind: str, edit: Edit, questions: Sequence[str], random: Random, per_kind: int, *, duplicate: bool
) -> list[Pair]:
    made: list[Pair] = []
    seen: set[tuple[int, str]] = set()
    idle = Counter[int]()
    for _ in range(_ROUNDS):
        order = [group for group in range(len(questions)) if idle[group] < _IDLE_MAX]
        random.shuffle(order)
        for group in order:
            if len(made) >= per_kind:
                return made
            source = questions[group]
            edited = edit(source, random)
            if edited is None or (group, edited) in seen or not _differs(source, edited, duplicate=duplicate):
                idle[group] += 1
                continue
            seen.add((group, edited))
            made.append(Pair(a=source, b=edited, duplicate=duplicate, kind=kind, group=group))
    return made


def _differs(source: str, edited: str, *, duplicate: bool) -> bool:
    """In anything at all; where the answer changes, in more than case and punctuation."""
    return edited != source if duplicate else canonical(edited) != canonical(source)


def _kept(kind: str) -> Edit:
    return lambda text, random: _positive(kind, text, random)


def _positive(kind: str, text: str, random: Random) -> str | None:
    """The edit of ``kind`` that leaves every number and every name as it was; tried a few times."""
    for _ in range(_TRIES):
        edited = POSITIVE[kind](text, random)
        if (
            edited is not None
            and all(name in edited.casefold() for name in names_of(text))
            and _same_numbers(kind, text, edited)
        ):
            return edited
    return None


def _same_numbers(kind: str, text: str, edited: str) -> bool:
    return kind == "number_format" or numbers_in(text) == numbers_in(edited)


def names_of(text: str) -> frozenset[str]:
    """The names in ``text``, folded: those of the lists and every word with a capital that is not the first."""
    words = words_of(text)
    found = {text[s:e] for s, e in words.places[1:] if text[s].isupper() and not _PRONOUN.fullmatch(text[s:e])}
    found |= {text[span.start : span.end] for span, name in entities().found(words) if name.spelled[0].isupper()}
    return frozenset(name.casefold() for name in found)


_PRONOUN: Final = re.compile(r"I(?:['’]\w+)?")
