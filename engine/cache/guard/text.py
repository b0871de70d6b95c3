"""A question as comparable tokens: every word with what it is compared by and of what kind it is. Pure, linear.

Not an understanding of the question: order is kept, and every token says of what kind it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from engine.cache import lexicon
from engine.cache.guard.numbers import AFTER_NUMBER_ONLY, POWERS, UNITS, read_number
from engine.cache.guard.pieces import REMEMBERED_CHARS, Piece, pieces
from engine.cache.guard.wording import FILLER, LETTERED, MONTH_BEFORE, NEGATION, QUANTIFIERS, WH

Kind = Literal["word", "number", "unit", "code", "filler", "question", "negation", "quantity"]
NO_NUMBER_BEFORE: Final = frozenset(
    {"any", "no", "every", "which", "this", "that", "some", "can", "does", "a", "the"}
)
"""Before «one»: somebody or something is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word: as written (lower case), what it is compared by, its kind, and whether it was capitalised."""

    text: str
    key: str
    kind: Kind
    capital: bool

    @property
    def content(self) -> bool:
        """Whether its absence on one side may change the answer."""
        return self.kind in {"word", "number", "unit", "code", "quantity"}


def _means_more(raws: Sequence[Piece], at: int) -> bool:
    """Whether a little word is something else here: the month of May, to sort, an even number."""
    text = raws[at].text
    before = raws[at - 1].text if at else ""
    following = raws[at + 1].text if at + 1 < len(raws) else ""
    if len(text) == 1 and before in LETTERED:
        return raws[at].capital or text != "a" or not following
    if text == "may":
        dated = before[:1].isdigit() or following[:1].isdigit() or before in MONTH_BEFORE
        return dated or (raws[at].capital and at > 0)
    if text in {"sort", "kind"}:
        return following != "of"
    return text == "even" and following in {
        "number",
        "numbers",
        "integer",
        "integers",
        "digit",
        "digits",
        "or",
        "and",
    }


MISSPELLED: Final = ("without", "never", "cannot")
"""Words whose slip of the finger may not hide that a question denies."""
LISTED: Final[tuple[tuple[frozenset[str], Kind], ...]] = (
    (NEGATION, "negation"),
    (WH, "question"),
    (frozenset(QUANTIFIERS), "quantity"),
    (FILLER, "filler"),
)


def _kind(raw: Piece, *, after_number: bool) -> tuple[str, Kind]:
    """Key and kind of a word that is no number."""
    text = raw.text
    if raw.code:
        return text, "code"
    if text in UNITS and (after_number or raw.after_number or text not in AFTER_NUMBER_ONLY):
        return UNITS[text], "unit"
    for words, kind in LISTED:
        if text in words:
            return QUANTIFIERS.get(text, text), kind
    if len(text) >= 5 and not lexicon.is_word(text):
        meant = next((word for word in MISSPELLED if lexicon.typo_of(text, word)), None)
        if meant:
            return meant, "negation"
    return lexicon.lemma(text), "word"


def _number(raws: Sequence[Piece], words: Sequence[str], at: int) -> tuple[str, int] | None:
    """The number that starts here, if one does; «one» only where it counts something."""
    if raws[at].code:
        return None
    if words[at] == "one":
        before, following = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
        if before in NO_NUMBER_BEFORE or not (following in UNITS or following in POWERS):
            return None
    return read_number(words, at)


def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a question. Any text is taken; white space, case, width and punctuation do not matter."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _tokens(text)


@lru_cache(maxsize=2048)
def _remembered(text: str) -> tuple[Token, ...]:
    return _tokens(text)


def _tokens(text: str) -> tuple[Token, ...]:
    raws = pieces(text)
    words = [raw.text for raw in raws]
    found: list[Token] = []
    at = 0
    while at < len(raws):
        raw = raws[at]
        number = _number(raws, words, at)
        taken = number[1] if number else 1
        if number:
            written, key, kind = " ".join(words[at : at + taken]), number[0], "number"
        elif _means_more(raws, at):
            written, key, kind = raw.text, raw.text, "word"
        else:
            written = raw.text
            counted = bool(found) and found[-1].kind == "number"
            asked_for = at == len(raws) - 1 and at > 0 and words[at - 1] in {"in", "to", "into"}
            key, kind = _kind(raw, after_number=counted or asked_for)
        found.append(Token(text=written, key=key, kind=kind, capital=raw.capital))
        at += taken
    return tuple(found)
