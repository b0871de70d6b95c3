"""Words of a question: stems, the agents whose cues and keywords occur in it, and whether its language is known.

Pure, standard library only. Not meaning: that is the encoder's part.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
# Signs that separate words; a keyword with any other sign, or with a space at its edge, is matched as it stands.
_PLAIN: Final = re.compile(r"[\w\s./'’-]*")
_LATIN_END: Final = "ɏ"
_FEW_WORDS: Final = 4
# Frequent in English and rare in languages with the same letters.
_ENGLISH: Final = """
    the a an and or of to in on for with is are was were be it its this that these those i you he she we they my
    your our their me us them what which who how why when where can could do does did please not from by at as if
    but about into than then there have has had will would should while after before between through only each
    every some any more most other make get give find write show explain need want just very many much without
    within during because since until again such
"""
_FUNCTION_WORDS: Final = frozenset(_ENGLISH.split())


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """A crude English stem, so that «summarising» finds «summarize» and «charts» finds «chart».

    Both sides of a comparison go through it, so it need not be a word; it must only bring forms together.
    """
    w = word.lower()
    if len(w) <= 3 or not w.isascii():
        return w
    w = w.replace("iz", "is").replace("yz", "ys")
    if len(w) > 4 and w.endswith("s") and not w.endswith(("ss", "us", "is")):
        w = w[:-1]
    for suffix, rest in (("isation", "is"), ("ation", "at"), ("ing", ""), ("ed", "")):
        root = w.removesuffix(suffix)
        if root != w and len(root) >= 4:
            doubled = not rest and root[-1] == root[-2] and root[-1] not in "sl"
            w = root[:-1] if doubled else root + rest
            break
    if len(w) > 4:
        w = w.removesuffix("e")
    return w[:-1] + "i" if len(w) > 4 and w.endswith("y") else w


def stems(text: str) -> tuple[str, ...]:
    """Stems of all words in order."""
    return tuple(stem(word) for word in _WORD.findall(text))


@dataclass(frozen=True, slots=True)
class Term:
    """One cue or keyword, ready to be looked for: by ``stems``, or by ``pattern`` when it has signs of its own."""

    text: str
    cue: bool
    stems: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None


def term(text: str, *, cue: bool) -> Term | None:
    """``text`` as a term; ``None`` when there is nothing in it to look for."""
    if _PLAIN.fullmatch(text) and text == text.strip() and "_" not in text:
        words = stems(text)
        return Term(text, cue, stems=words) if words else None
    if not text.strip():
        return None
    start = r"(?<!\w)" if text[0].isalnum() else ""
    end = r"(?!\w)" if text[-1].isalnum() else ""
    flags = re.IGNORECASE if text == text.lower() else re.NOFLAG
    return Term(text, cue, pattern=re.compile(start + re.escape(text) + end, flags))


@dataclass(frozen=True, slots=True)
class Hits:
    """What a question says outright for one agent, each term once, in order of appearance in its lists."""

    cues: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()


class TermIndex:
    """Terms of all agents, found in one pass over a question: its cost does not grow with the number of agents."""

    def __init__(self, terms: Iterable[tuple[int, Term]]) -> None:
        self._by_stem: dict[str, list[tuple[int, int, Term]]] = {}
        self._by_pattern: dict[re.Pattern[str], tuple[str, list[tuple[int, int, Term]]]] = {}
        for order, (agent, each) in enumerate(terms):
            if each.pattern is not None:
                needle = each.text.lower()
                self._by_pattern.setdefault(each.pattern, (needle, []))[1].append((order, agent, each))
            else:
                self._by_stem.setdefault(each.stems[0], []).append((order, agent, each))

    def find(self, text: str) -> dict[int, Hits]:
        """Agents (by position) with at least one term in ``text``."""
        words = stems(text)
        found: dict[int, dict[int, Term]] = {}
        for position, word in enumerate(words):
            for order, agent, each in self._by_stem.get(word, ()):
                if words[position : position + len(each.stems)] == each.stems:
                    found.setdefault(agent, {})[order] = each
        lower = text.lower()
        for pattern, (needle, entries) in self._by_pattern.items():
            # First whether it is there at all: that takes a tenth of the time, and it rarely is.
            if needle in lower and pattern.search(text):
                for order, agent, each in entries:
                    found.setdefault(agent, {})[order] = each
        return {agent: _hits(terms) for agent, terms in found.items()}


def _hits(terms: dict[int, Term]) -> Hits:
    ordered = [terms[order] for order in sorted(terms)]
    return Hits(tuple(t.text for t in ordered if t.cue), tuple(t.text for t in ordered if not t.cue))


def edges(text: str, chars: int) -> str:
    """The first and last ``chars / 2`` characters: what is wanted stands before or after what is pasted."""
    if len(text) <= chars:
        return text
    return f"{text[: chars // 2]}\n{text[-(chars // 2) :]}"


def familiarity(text: str, known: Callable[[str], bool]) -> float:
    """0 to 1: share of words that are ``known``, plus twice the share of English function words.

    ``known`` says whether a lower-case word without accents is in the encoder's vocabulary. A text mostly in
    another script is 0; one with fewer than four words is 1, because names and slips would decide.
    """
    plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    letters = [c for c in plain if c.isalpha()]
    if sum(c > _LATIN_END for c in letters) * 2 > len(letters):
        return 0.0
    words = [word for word in _LETTERS.findall(plain) if len(word) > 1]
    if len(words) < _FEW_WORDS:
        return 1.0
    read = sum(word.isascii() and known(word) for word in words)
    function = sum(word in _FUNCTION_WORDS for word in words)
    return min(1.0, (read + 2 * function) / len(words))
