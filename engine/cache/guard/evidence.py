"""What the words of two questions say, as numbers for the learned verifier. Evidence, no decision. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

from engine.cache import lexicon
from engine.cache.guard.align import Compared, compare
from engine.cache.guard.language import language_of
from engine.cache.guard.names import named
from engine.cache.guard.text import Kind, Token

PAIRS: Final = 400
"""Of words left on both sides that are looked up; beyond it the questions share nothing worth a look."""

RARE: Final = 5
"""Rank, in thousands, from which a word is rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Counts unless said otherwise; «fewer» is the side with fewer of them. Symmetric in the questions."""

    tokens_fewer: float
    tokens_more: float
    content_fewer: float
    content_more: float
    shared: float
    """Content words aligned in order."""
    moved: float
    """Content words of both sides in another order."""
    by_synonym: float
    by_spelling: float
    unexplained_fewer: float
    unexplained_more: float
    overlap: float
    """Share of the longer question's content that the other has, 0 to 1."""
    coverage: float
    """Share of the shorter question's content that the other has, 0 to 1."""
    substitutions: float
    """Gaps of the alignment with words left on both sides."""
    related_left: float
    """Words left on one side that are related in a wider sense to one of the other."""
    same_class_left: float
    """Words left on one side that name another thing of the kind of one of the other."""
    opposites_left: float
    names_shared: float
    names_fewer: float
    names_more: float
    numbers_shared: float
    numbers_fewer: float
    numbers_more: float
    units_left: float
    code_left: float
    quantities_left: float
    negations_apart: float
    """Difference of how often the sides deny."""
    rare_left: float
    """Words left that are not among the 5,000 commonest (``RARE``)."""
    fillers_apart: float
    """Little words and question words on one side only."""
    inversions: float
    """Share of pairs of shared words that stand in the other order, 0 to 1."""
    same_question_word: float
    """1 when both ask with the same question words, 0 when not."""
    both_question_word: float
    same_language: float
    same_first_content: float
    same_last_content: float

    def values(self) -> tuple[float, ...]:
        """The fields in order; ``Evidence.names()`` names them."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @staticmethod
    def names() -> tuple[str, ...]:
        """Names of the fields in order."""
        return tuple(field.name for field in fields(Evidence))


def _ordered(x: int, y: int) -> tuple[float, float]:
    return float(min(x, y)), float(max(x, y))


def _left(compared: Compared, *kinds: Kind) -> tuple[int, int]:
    return (
        sum(w.token.kind in kinds for w in compared.left_a),
        sum(w.token.kind in kinds for w in compared.left_b),
    )


def _inversions(a: Iterable[Token], b: Iterable[Token]) -> float:
    """Of the words of both sides, the share of neighbours in a that are the other way round in b."""
    first, second = [t.key for t in a if t.content], [t.key for t in b if t.content]
    places = {key: at for at, key in enumerate(second)}
    seen = [places[key] for key in dict.fromkeys(first) if key in places]
    steps = list(pairwise(seen))
    return sum(x > y for x, y in steps) / len(steps) if steps else 0.0


def _lookups(compared: Compared) -> tuple[int, int, int]:
    """(related, of one class, opposite): words left on the one side with such a partner on the other."""
    if len(compared.left_a) * len(compared.left_b) > PAIRS:
        return 0, 0, 0
    counts = [0, 0, 0]
    for asks, at in ((lexicon.related, 0), (lexicon.same_class, 1), (lexicon.opposites, 2)):
        counts[at] = sum(any(asks(x.token.text, y.token.text) for y in compared.left_b) for x in compared.left_a)
        other = sum(any(asks(x.token.text, y.token.text) for x in compared.left_a) for y in compared.left_b)
        counts[at] = max(counts[at], other)
    return counts[0], counts[1], counts[2]


def _edge(compared: Compared, at: int) -> float:
    first = [t.key for t in compared.a if t.content]
    second = [t.key for t in compared.b if t.content]
    return float(bool(first and second) and first[at] == second[at])


def _texts(compared: Compared, *kinds: Kind) -> tuple[set[str], set[str]]:
    """Keys of the tokens of these kinds, on either side."""
    a, b = ({token.key for token in side if token.kind in kinds} for side in (compared.a, compared.b))
    return a, b


def _name_keys(tokens: Iterable[Token]) -> set[str]:
    return {token.key for token in tokens if token.kind == "word" and lexicon.is_name(token.text)}


def evidence(asked: str, stored: str) -> Evidence:
    """What the words of both questions say. Symmetric; linear in the length of long texts."""
    c = compare(asked, stored)
    content = _ordered(*(sum(token.content for token in side) for side in (c.a, c.b)))
    left = _ordered(len(c.left_a), len(c.left_b))
    matched = c.shared + c.moved + len(c.pairs)
    names = _ordered(*(sum(named(word) for word in side) for side in (c.left_a, c.left_b)))
    numbers = _texts(c, "number")
    numbers_left = _ordered(*_left(c, "number"))
    questions = _texts(c, "question")
    related, same_class, opposite = _lookups(c)
    tokens = _ordered(len(c.a), len(c.b))
    return Evidence(
        tokens_fewer=tokens[0],
        tokens_more=tokens[1],
        content_fewer=content[0],
        content_more=content[1],
        shared=float(c.shared),
        moved=float(c.moved),
        by_synonym=float(c.by_synonym),
        by_spelling=float(c.by_spelling),
        unexplained_fewer=left[0],
        unexplained_more=left[1],
        overlap=c.overlap,
        coverage=matched / (matched + left[0]) if matched + left[0] else 1.0,
        substitutions=float(len({word.gap for word in c.left_a} & {word.gap for word in c.left_b})),
        related_left=float(related),
        same_class_left=float(same_class),
        opposites_left=float(opposite),
        names_shared=float(len(_name_keys(c.a) & _name_keys(c.b))),
        names_fewer=names[0],
        names_more=names[1],
        numbers_shared=float(len(numbers[0] & numbers[1])),
        numbers_fewer=numbers_left[0],
        numbers_more=numbers_left[1],
        units_left=float(sum(_left(c, "unit"))),
        code_left=float(sum(_left(c, "code"))),
        quantities_left=float(sum(_left(c, "quantity"))),
        negations_apart=float(
            abs(sum(t.kind == "negation" for t in c.a) - sum(t.kind == "negation" for t in c.b))
        ),
        rare_left=float(sum(lexicon.rank(word.token.text) >= RARE for word in c.left_a + c.left_b)),
        fillers_apart=float(c.fillers_apart),
        inversions=(_inversions(c.a, c.b) + _inversions(c.b, c.a)) / 2,
        same_question_word=float(questions[0] == questions[1]),
        both_question_word=float(bool(questions[0] and questions[1])),
        same_language=float(language_of(asked) == language_of(stored)),
        same_first_content=_edge(c, 0),
        same_last_content=_edge(c, -1),
    )
