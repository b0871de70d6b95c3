"""A question as comparable tokens: written out, politeness gone, numbers and units in one form. Pure, linear.

Not an understanding of the question: order is kept, and every token says of what kind it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from engine.cache import lexicon
from engine.cache.guard.numbers import AFTER_NUMBER_ONLY, NUMBER_WORDS, SIGNS, UNITS, plain, read_number
from engine.cache.guard.wording import (
    AFTER,
    BEFORE,
    CONTRACTIONS,
    ENDINGS,
    FILLER,
    IS_AFTER,
    MONTH_BEFORE,
    NEGATION,
    QUANTIFIERS,
    WH,
)

Kind = Literal["word", "number", "unit", "code", "filler", "question", "negation", "quantity"]
SUFFIXES: Final = (
    "py|js|ts|jsx|tsx|rs|go|java|rb|php|c|h|cpp|cs|sh|sql|json|yaml|yml|xml|csv|txt|md|html|css|pdf|docx?|xlsx?|png|jpe?g|"
    "gif|mp3|mp4|zip|tar|gz|exe|dll|log|ini|toml|com|org|net|io|edu|gov|in"
)
TOKEN: Final = re.compile(
    rf"""
    (?P<flag>(?<![\w-])--?[A-Za-z][\w-]*(?=$|[\s=,.?!:;)'"`]))
    |(?P<file>[A-Za-z_]\w*\.(?:{SUFFIXES})\b)
    |(?P<snake>\w*[^\W_]_+[^\W_]\w*)
    |(?P<acronym>(?:[A-Za-z]\.){{2,}}[A-Za-z]?\b)
    |(?P<sharp>(?<!\w)[A-Za-z](?:\+\+|\#))
    |(?P<grouped>\d{{1,3}}(?:,\d{{2,3}})+(?![\d,])(?:\.\d+)?)
    |(?P<digits>\d+(?:\.\d+)*)(?P<tail>[^\W\d_]+(?:\d\w*)?)?
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*\d*\w*)
    |(?P<sign>[$€£₹¥%°])
    """,
    re.VERBOSE,
)
OWNED_NUMBER: Final = re.compile(r"(?<=\d)'s\b")
APOSTROPHES: Final = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "`": " ", "´": "'", "“": '"', "”": '"', "–": "-", "—": "-"})  # fmt: skip
WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
ORDINAL: Final = {"1st": "first", "2nd": "second"}


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


@dataclass(frozen=True, slots=True)
class _Raw:
    """A piece of text before numbers are put together."""

    text: str
    capital: bool = False
    code: bool = False
    after_number: bool = False


def _word(raw: str, capital: bool) -> list[_Raw]:
    """A word with its contraction written out."""
    if WIDE.search(raw):
        return [_Raw(letter) for letter in raw]
    if raw == "r" and not capital:
        return [_Raw("are")]
    if raw in CONTRACTIONS:
        return [_Raw(part) for part in CONTRACTIONS[raw].split()]
    if raw.endswith("n't"):
        return [_Raw(raw[:-3]), _Raw("not")]
    if raw.endswith("'s"):
        return [_Raw(raw[:-2], capital), *([_Raw("is")] if raw[:-2] in IS_AFTER else [])]
    for ending, written in ENDINGS.items():
        if raw.endswith(ending):
            return [_Raw(raw[: -len(ending)], capital), _Raw(written)]
    return [_Raw(part, capital) for part in raw.split("'") if part]


def _digits(digits: str, tail: str) -> list[_Raw]:
    """A number and what is written without a space behind it: a unit, a power, an ordinal, or part of a name."""
    lower = tail.lower()
    if not tail:
        return [_Raw(digits)]
    if lower == "k" or lower in UNITS or lower in {"bn", "mn", "lakh", "crore"}:
        return [_Raw(digits), _Raw(lower, after_number=True)]
    if lower in {"st", "nd", "rd", "th"}:
        return [_Raw(ORDINAL.get(digits + lower, digits))]
    return [_Raw(digits + lower, code=True)]


def _raw(text: str) -> list[_Raw]:
    """The pieces of a text in order."""
    found: list[_Raw] = []
    for match in TOKEN.finditer(text):
        piece, group = match.group(), match.lastgroup
        lower = piece.lower()
        if group in {"digits", "tail"}:
            found += _digits(plain(match["digits"]), match["tail"] or "")
        elif group == "grouped":
            found.append(_Raw(plain(piece.replace(",", ""))))
        elif group == "acronym":
            found.append(_Raw(lower.replace(".", ""), capital=True))
        elif group == "flag" and lower.lstrip("-") in NUMBER_WORDS:
            found.append(_Raw(lower.lstrip("-")))
        elif piece == "US":
            found.append(_Raw("usa", capital=True))
        elif group == "sign":
            found.append(_Raw(SIGNS[piece], after_number=True))
        elif group == "word":
            camel = piece[:1].islower() and not piece.islower() and not lexicon.is_name(lower) and "'" not in piece
            mixed = any(c.isdigit() for c in piece)
            found += [_Raw(lower, code=True)] if camel or mixed else _word(lower, piece[0].isupper())
        else:
            found.append(_Raw(lower, code=group != "sharp"))
    return found


def _strip(words: list[_Raw]) -> list[_Raw]:
    """Without greetings before and thanks behind; never down to nothing."""
    start, end, moved = 0, len(words), True
    while moved:
        moved = False
        texts = [word.text for word in words[start : min(end, start + 8)]]
        for phrase in _BEFORE.get(texts[0] if texts else "", ()):
            if tuple(texts[: len(phrase)]) == phrase and end - start > len(phrase):
                start, moved = start + len(phrase), True
                break
        texts = [word.text for word in words[max(start, end - 8) : end]]
        for phrase in _AFTER.get(texts[-1] if texts else "", ()):
            if tuple(texts[-len(phrase) :]) == phrase and end - start > len(phrase):
                end, moved = end - len(phrase), True
                break
    return words[start:end]


def _by(end: int, phrases: Sequence[tuple[str, ...]]) -> dict[str, list[tuple[str, ...]]]:
    """Phrases by their first or last word, longest first."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for phrase in sorted(phrases, key=len, reverse=True):
        found.setdefault(phrase[end], []).append(phrase)
    return found


_BEFORE: Final = _by(0, BEFORE)
_AFTER: Final = _by(-1, AFTER)


def _means_more(raws: Sequence[_Raw], at: int) -> bool:
    """Whether a little word is something else here: the month of May, to sort, an even number."""
    text = raws[at].text
    before = raws[at - 1].text if at else ""
    following = raws[at + 1].text if at + 1 < len(raws) else ""
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


def _kind(raw: _Raw, after_number: bool) -> tuple[str, Kind]:
    """Key and kind of a word that is no number."""
    text = raw.text
    if raw.code:
        return text, "code"
    if text in UNITS and (after_number or raw.after_number or text not in AFTER_NUMBER_ONLY):
        return UNITS[text], "unit"
    if text in NEGATION:
        return text, "negation"
    if text in WH:
        return text, "question"
    if text in QUANTIFIERS:
        return QUANTIFIERS[text], "quantity"
    if text in FILLER:
        return text, "filler"
    return lexicon.lemma(text), "word"


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a question. Any text is taken; white space, case, width and punctuation do not matter."""
    plain_text = unicodedata.normalize("NFKC", text).translate(APOSTROPHES)
    plain_text = OWNED_NUMBER.sub("", plain_text)
    raws = _strip(_raw(plain_text))
    words = [raw.text for raw in raws]
    found: list[Token] = []
    at = 0
    while at < len(raws):
        raw = raws[at]
        number = None if raw.code or raw.text == "one" and not _counts(words, at) else read_number(words, at)
        if number:
            found.append(
                Token(text=" ".join(words[at : at + number[1]]), key=number[0], kind="number", capital=False)
            )
            at += number[1]
            continue
        if _means_more(raws, at):
            key, kind = raw.text, "word"
        else:
            key, kind = _kind(raw, bool(found) and found[-1].kind == "number")
        found.append(Token(text=raw.text, key=key, kind=kind, capital=raw.capital))
        at += 1
    return tuple(found)


def _counts(words: Sequence[str], at: int) -> bool:
    """Whether «one» is a number here and not somebody: before a unit, a noun that can be counted, or a power."""
    following = words[at + 1] if at + 1 < len(words) else ""
    before = words[at - 1] if at else ""
    if before in {"any", "no", "every", "which", "this", "that", "some", "can", "does", "should", "a", "the"}:
        return False
    return following in UNITS or following in {
        "hundred",
        "thousand",
        "million",
        "billion",
        "lakh",
        "crore",
        "dozen",
    }
