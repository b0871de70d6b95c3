"""A question as words with their places, and how words are put for others in it. Not which words (``words``)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Final

_CHUNK: Final = re.compile(r"\S+")
_OPENING: Final = "\"'([{«“‘"
_CLOSING: Final = "\"')]}»”’?.,!;:…"
_POSSESSIVE: Final = ("'s", "’s")
_CANONICAL: Final = re.compile(r"[\w+#%$€£°=<>]+(?:[.,:/'-]\w+)*|(?<!\S)--?\w[\w-]*")
_AN: Final = re.compile(
    r"(?:[aeioAEIO](?!ne\b|u[rcs]o)|[uU](?!ni|s[aei]|[KS]\b)|hour|hono|8|11\b|18\b|[FHLMNRSX][A-Z]+\b)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Words next to each other: their place in the text and the numbers of the first and the last of them."""

    start: int
    end: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Phrases:
    """Phrases to look for."""

    all: frozenset[str]
    longest: Mapping[str, int]
    """Words of the longest phrase, by the first word of it."""


def phrases_of(folded: Iterable[str]) -> Phrases:
    """Folded phrases, made ready to be looked for."""
    known = frozenset(folded)
    longest: dict[str, int] = {}
    for phrase in known:
        parts = phrase.split(" ")
        longest[parts[0]] = max(longest.get(parts[0], 0), len(parts))
    return Phrases(known, longest)


@dataclass(frozen=True, slots=True)
class Words:
    """A text cut at white space, punctuation around each word left off."""

    text: str
    places: tuple[tuple[int, int], ...]
    folded: tuple[str, ...]

    def spans(self, known: Phrases) -> Iterator[tuple[Span, str]]:
        """The longest phrases of ``known`` from left to right, each with its folded form."""
        at = 0
        while at < len(self.places):
            longest = known.longest.get(self.folded[at], 0)
            for length in range(min(longest, len(self.places) - at), 0, -1):
                last = at + length - 1
                start, end = self.places[at][0], self.places[last][1]
                phrase = " ".join(self.folded[at : last + 1])
                if phrase in known.all and (length == 1 or self.text[start:end].casefold() == phrase):
                    yield Span(start=start, end=end, first=at, last=last), phrase
                    at = last
                    break
            at += 1

    def before(self, span: Span, back: int) -> str:
        """The word so many before ``span``; empty where there is none."""
        return self.folded[span.first - back] if span.first >= back else ""

    def after(self, span: Span) -> str:
        """The word after ``span``; empty at the end and where punctuation stands between."""
        if span.last + 1 >= len(self.places):
            return ""
        return "" if self.text[span.end : self.places[span.last + 1][0]].strip() else self.folded[span.last + 1]


@lru_cache(maxsize=4096)
def words_of(text: str) -> Words:
    """``text`` as words."""
    places = [place for chunk in _CHUNK.finditer(text) if (place := _stripped(chunk))]
    return Words(text, tuple(places), tuple(text[s:e].casefold().replace("’", "'") for s, e in places))


def _stripped(chunk: re.Match[str]) -> tuple[int, int] | None:
    raw = chunk.group()
    start = chunk.start() + len(raw) - len(raw.lstrip(_OPENING))
    core = raw.lstrip(_OPENING)
    if not core.endswith("()"):
        core = core.rstrip(_CLOSING)
    if core.endswith(_POSSESSIVE) and core[0].isupper() and core.casefold()[:-2] not in _CONTRACTED:
        core = core[:-2]
    return (start, start + len(core)) if core else None


_CONTRACTED: Final = frozenset(
    ["what", "who", "where", "when", "how", "why", "it", "that", "there", "he", "she", "let"]
)


def put(text: str, start: int, end: int, new: str) -> str:
    """``new`` for ``text[start:end]``, with the capital the old one had and the article the new one needs."""
    old = text[start:end]
    if old[:1].isupper() and new.partition(" ")[0].islower():
        new = new.upper() if len(old) > 2 and old.isupper() else new[0].upper() + new[1:]
    head, tail = text[:start], text[end:]
    article = re.search(r"\b([Aa])n?\s+$", head)
    if article and new:
        right = article.group(1) + ("n" if _AN.match(new) else "")
        head = head[: article.start()] + right + " "
    return head + new + tail


def one_of(text: str, choices: Sequence[tuple[Span, str]], random: Random) -> str | None:
    """``text`` with one of ``choices`` put in; each place is as likely. ``None``: there is none."""
    if not choices:
        return None
    place = random.choice(sorted({span.start for span, _ in choices}))
    span, new = random.choice([choice for choice in choices if choice[0].start == place])
    return put(text, span.start, span.end, new)


def decapitalised(text: str) -> str:
    """``text`` as it stands inside a sentence: a first word that is an ordinary one begins with a small letter."""
    first = text.split(" ", 1)[0]
    plain = first[:1].isupper() and first[1:].islower() and first not in {"I", "I'm", "I'd", "I've"}
    return text[0].lower() + text[1:] if plain or first == "A" else text


def capitalised(text: str) -> str:
    """``text`` with a first letter that is a capital; a name such as iPhone stays."""
    first = text.split(" ", 1)[0]
    return text[:1].upper() + text[1:] if first.islower() or first == "a" else text


def canonical(text: str) -> str:
    """What is left of a text when case, width, spacing and punctuation between words do not count."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return " ".join(_CANONICAL.findall(folded))


def numbers_in(text: str) -> Sequence[str]:
    """Every run of digits, sorted: two texts with the same ones speak of the same numbers."""
    return sorted(re.findall(r"\d+", text))
