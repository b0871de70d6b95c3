"""A question cut into pieces: contractions written out, politeness gone, identifiers kept whole. Pure, linear."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from engine.cache import lexicon
from engine.cache.guard.numbers import NUMBER_WORDS, SIGNS, UNITS, plain
from engine.cache.guard.wording import AFTER, BEFORE, CONTRACTIONS, ENDINGS, IS_AFTER

SUFFIXES: Final = (
    "py|js|ts|jsx|tsx|rs|go|java|rb|php|c|h|cpp|cs|sh|sql|json|yaml|yml|xml|csv|txt|md|html|css|pdf|docx?|xlsx?|png|jpe?g|"
    "gif|mp3|mp4|zip|tar|gz|exe|dll|log|ini|toml|com|org|net|io|edu|gov|in"
)
TOKEN: Final = re.compile(
    rf"""
    (?P<flag>(?<![\w-])--?[A-Za-z][\w-]*(?=$|[\s=,.?!:;)'"`]))
    |(?P<file>(?<!\w)[A-Za-z_]\w*\.(?:{SUFFIXES})\b)
    |(?P<snake>(?<!\w)_*[^\W_]+(?:_+[^\W_]+)+_*)
    |(?P<acronym>(?<!\w)(?:[A-Za-z]\.){{2,}}(?:[A-Za-z](?!\w))?)
    |(?P<sharp>(?<!\w)[A-Za-z](?:\+\+|\#))
    |(?P<grouped>(?<!\d)(?<!\d,)\d{{1,3}}(?:,\d{{2,3}}+)++(?![\d,])(?:\.\d+)?)
    |(?P<digits>\d+(?:\.\d+)*)(?P<tail>[^\W\d_]+(?:\d\w*)?)?
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*\d*\w*)
    |(?P<sign>[$€£₹¥%°])
    """,
    re.VERBOSE,
)
OWNED_NUMBER: Final = re.compile(r"(?<=\d)'s\b")
APOSTROPHES: Final = str.maketrans("’‘ʼ´`“”–—", "'''' \"\"--")
WIDE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
ORDINAL: Final = {"1st": "first", "2nd": "second"}
LONGEST_WORD: Final = 64
"""Characters; a longer word is compared by its digest."""
PHRASE: Final = 8
"""Words of the longest polite phrase."""
REMEMBERED_CHARS: Final = 300
"""A longer text is read again each time: what is remembered stays under 30 MB whatever is asked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text before numbers are put together, lower case."""

    text: str
    capital: bool = False
    code: bool = False
    after_number: bool = False


def _contracted(raw: str, *, capital: bool) -> list[Piece]:
    """A word with an apostrophe, written out; the mark of an owner is dropped."""
    stem, _, ending = raw.rpartition("'")
    if raw.endswith("n't"):
        return [Piece(raw[:-3]), Piece("not")]
    if ending == "s":
        return [Piece(stem, capital), *([Piece("is")] if stem in IS_AFTER else [])]
    if ending in ENDINGS:
        return [Piece(stem, capital), Piece(ENDINGS[ending])]
    return [Piece(part, capital) for part in raw.split("'") if part]


def _word(piece: str) -> list[Piece]:
    """A word as written: an identifier, an abbreviation, or a word."""
    lower, capital = piece.lower(), piece[0].isupper()
    if not piece.isascii() and WIDE.search(piece):
        return [Piece(letter) for letter in piece]
    if lower in CONTRACTIONS and not (capital and len(piece) <= 2):
        return [Piece(part) for part in CONTRACTIONS[lower].split()]
    if "'" in piece:
        return _contracted(lower, capital=capital)
    camel = not capital and piece != lower and not lexicon.is_name(lower)
    if camel or not piece.isalpha():
        return [Piece(lower, code=True)]
    return [Piece("usa" if piece == "US" else lower, capital)]


def _digits(digits: str, tail: str) -> list[Piece]:
    """A number and what is written without a space behind it: a unit, a power, an ordinal, or part of a name."""
    lower = tail.lower()
    if not tail:
        return [Piece(digits)]
    if lower in UNITS or lower in {"k", "bn", "mn", "lakh", "crore"}:
        return [Piece(digits), Piece(lower, after_number=True)]
    if lower in {"st", "nd", "rd", "th"}:
        return [Piece(ORDINAL.get(digits + lower, digits))]
    return [Piece(digits + lower, code=True)]


def _read(match: re.Match[str]) -> list[Piece]:
    """What one match of ``TOKEN`` stands for."""
    piece, group = match.group(), match.lastgroup
    lower = piece.lower()
    if group == "word":
        return _word(piece)
    if group in {"digits", "tail"}:
        return _digits(plain(match["digits"]), match["tail"] or "")
    if group == "flag" and lower.lstrip("-") in NUMBER_WORDS:
        return [Piece(lower.lstrip("-"))]
    read = {
        "grouped": Piece(plain(piece.replace(",", ""))),
        "acronym": Piece("usa" if lower == "u.s." else lower.replace(".", ""), capital=True),
        "sign": Piece(SIGNS.get(piece, ""), after_number=True),
        "sharp": Piece(lower),
    }
    return [read.get(group or "", Piece(lower, code=True))]


def written(text: str) -> str:
    """``text`` in one writing of widths, quotes and dashes; quotes first: NFKC takes an acute accent apart."""
    return unicodedata.normalize("NFKC", text.translate(APOSTROPHES)).translate(APOSTROPHES)


def pieces(text: str) -> list[Piece]:
    """The pieces of a question in order. White space, case, width, quotes and punctuation do not matter."""
    plainly = OWNED_NUMBER.sub("", written(text))
    return _strip([_short(piece) for match in TOKEN.finditer(plainly) for piece in _read(match)])


def _short(piece: Piece) -> Piece:
    """A word of any length in a bounded one, so that nobody fills the caches of the lexicon with endless words."""
    if len(piece.text) <= LONGEST_WORD:
        return piece
    digest = sha256(piece.text.encode("utf-8", "backslashreplace")).hexdigest()
    return Piece(f"{piece.text[:16]}{digest[:32]}", code=True)


def _strip(words: list[Piece]) -> list[Piece]:
    """Without greetings before and thanks behind; never down to nothing."""
    start, end, moved = 0, len(words), True
    while moved:
        moved = False
        texts = [word.text for word in words[start : min(end, start + PHRASE)]]
        for phrase in _BEFORE.get(texts[0] if texts else "", ()):
            if tuple(texts[: len(phrase)]) == phrase and end - start > len(phrase):
                start, moved = start + len(phrase), True
                break
        texts = [word.text for word in words[max(start, end - PHRASE) : end]]
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
