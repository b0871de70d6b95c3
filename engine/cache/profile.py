"""One question, read once for comparison: its words, what each weighs, what kind of answer it wants.

Not the comparison (``engine/cache/features.py``) and not the guard, which reads more closely and for other ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from engine.cache import lexicon


def _list(words: str) -> list[str]:
    return words.split()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


WORDS_MAX: Final = 160
"""Read of one question; what comes after it is in the vector only."""
CHARS_MAX: Final = 2_000
"""Of a question that is compared with another: what is longer is not read at all."""
REMEMBERED: Final = 512
ASKING_WORDS: Final = 12
"""Of a sentence: a question word further on belongs to a clause."""
_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:[+#]+|(?='\w)|)|'\w+|[?!.]+")
_QUOTES: Final = str.maketrans({"\u2019": "'", "\u2018": "'", "\u0060": "'", "\u00b4": "'"})
_WHOLE: Final = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "shan't": "shall not", "wanna": "want to",
    "gonna": "going to", "gotta": "got to", "lemme": "let me", "gimme": "give me", "dunno": "do not know",
    "u": "you", "ur": "your", "pls": "please", "plz": "please", "thx": "thanks",
}  # fmt: skip
_ENDS: Final = {"'re": "are", "'m": "am", "'ve": "have", "'ll": "will", "'d": "would"}
_IS: Final = _set("what who how where when why that it there here he she let this")
_NUMBERS: Final = {
    word: str(value)
    for value, word in enumerate(
        _list(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
            "sixteen seventeen eighteen nineteen twenty"
        )
    )
} | {
    word: str(10 * value) for value, word in enumerate(_list("thirty forty fifty sixty seventy eighty ninety"), 3)
}
_EMPTY: Final = _set(
    "a an the is are was were be been being am do does did doing done have has had having will would "
    "shall could can may might must should of to in on at by for with from as into about and or if so "
    "than then there here it its this that these those i me my mine we us our you your he him his she her "
    "they them their one ones please thanks thank hi hello hey dear doc doctor sir madam ok okay just "
    "really actually also very too quick tell let know like some any get got s t what which who whom "
    "whose when where why how not no nor"
)
"""Words that say little by themselves; those among them that matter are counted apart."""
_NOT: Final = _set("not no never none nothing nobody neither nor without")
_ASKING: Final = ("why", "how", "when", "where", "who", "what", "which")
_DOING: Final = _set(
    "is are was were can could do does did should shall will would has have had am may might must"
)
_MEASURES: Final = _set("many much long often far old big tall fast soon")
_PERSONS: Final = {
    **dict.fromkeys(_list("i me my mine we us our myself"), 0),
    **dict.fromkeys(_list("he him his she her they them their someone people person"), 1),
}
_SUBJECTS: Final = {"i": "i", "we": "we", "he": "he", "they": "they"}
_OBJECTS: Final = {"me": "i", "us": "we", "him": "he", "them": "they"}
_ASKED_OF: Final = _set("tell give show teach help let send explain to for")
"""Before a pronoun that only says who would like to know."""
_LIMITS: Final = _set(
    "only first last next all every most least best worst more less same different new old free without "
    "before after during while under over between except instead again still yet ever always"
)


@dataclass(frozen=True, slots=True)
class Profile:
    """One question, read once."""

    words: tuple[str, ...]
    heavy: dict[str, float]
    """Words that say something, each with its weight; numbers as digits."""
    roots: tuple[str, ...]
    """The dictionary form of each word."""
    stems: frozenset[str]
    names: frozenset[str]
    numbers: frozenset[str]
    grams: frozenset[str]
    asks: str
    negated: int
    persons: frozenset[int]
    acting: frozenset[str]
    """Persons that do something and have nothing done to them, as their pronouns say."""
    suffering: frozenset[str]
    """The other way round."""
    limits: frozenset[str]
    sentences: int
    cut: bool
    """There are more words than were read."""


@lru_cache(maxsize=REMEMBERED)
def profile(text: str) -> Profile:
    """``text`` as the features need it."""
    words, sentences, upper = _words(text)
    heavy = {word: _weight(word, word in upper) for word in words if word not in _EMPTY}
    acting = {_SUBJECTS[word] for word in words if word in _SUBJECTS}
    pairs = zip(("", *words), words, strict=False)
    suffering = {_OBJECTS[word] for before, word in pairs if word in _OBJECTS and before not in _ASKED_OF}
    roots = tuple(map(lexicon.lemma, words))
    squeezed = f" {' '.join(words)} "
    return Profile(
        words=words,
        heavy=heavy,
        roots=roots,
        stems=frozenset(roots),
        names=frozenset(word for word in heavy if word in upper or lexicon.is_name(word)),
        numbers=frozenset(word for word in heavy if word[0].isdigit()),
        grams=frozenset(squeezed[at : at + 3] for at in range(len(squeezed) - 2)),
        asks=_asks(words, sentences),
        negated=sum(word in _NOT for word in words),
        persons=frozenset(_PERSONS[word] for word in words if word in _PERSONS),
        acting=frozenset(acting - suffering),
        suffering=frozenset(suffering - acting),
        limits=frozenset(word for word in words if word in _LIMITS),
        sentences=max(1, len(sentences)),
        cut=len(words) >= WORDS_MAX,
    )


def too_long(text: str) -> bool:
    """Whether ``text`` is beyond what is compared, in characters or words. Bounded work for any text."""
    return len(text) > CHARS_MAX or profile(text).cut


def _words(text: str) -> tuple[tuple[str, ...], tuple[int, ...], frozenset[str]]:
    """Words in lower case, contractions written out; where sentences end; which stood in capitals inside one."""
    found: list[str] = []
    ends: list[int] = []
    upper: set[str] = set()
    shouting = text.isupper()
    for match in _TOKEN.finditer(text.translate(_QUOTES)):
        token = match.group()
        low = token.lower()
        if token[0] in "?!.":
            if found and (not ends or ends[-1] != len(found)):
                ends.append(len(found))
            continue
        if low[0] == "'":
            _ending(low, found)
        else:
            if (
                token[0].isupper()
                and not shouting
                and found
                and len(token) > 1
                and (not ends or ends[-1] != len(found))
            ):
                upper.add(low)
            found += _WHOLE.get(low, _NUMBERS.get(low, low.replace(",", "") if low[0].isdigit() else low)).split()
        if len(found) >= WORDS_MAX:
            break
    if found and (not ends or ends[-1] != len(found)):
        ends.append(len(found))
    return tuple(found), tuple(ends), frozenset(upper)


def _ending(low: str, found: list[str]) -> None:
    before = found[-1] if found else ""
    if low == "'t" and before.endswith("n"):
        stem = {"can": "can", "won": "will", "shan": "shall"}.get(before, before[:-1])
        found[-1:] = [stem, "not"]
    elif low == "'s":
        found += ["is"] if before in _IS else []
    else:
        found.append(_ENDS.get(low, low[1:]))


def _weight(word: str, capital: bool) -> float:
    """0.3 for the commonest words to 1 for rare ones, names and numbers."""
    if capital or word[0].isdigit():
        return 1.0
    return min(1.0, 0.35 + 0.06 * lexicon.rank(word))


def _asks(words: Sequence[str], ends: Sequence[int]) -> str:
    """What kind of answer the last sentence that asks for one wants."""
    starts = [0, *ends]
    for start, end in reversed(list(pairwise(starts))):
        for at in range(start, min(end, start + ASKING_WORDS)):
            word = words[at]
            if word in _ASKING:
                after = words[at + 1] if at + 1 < len(words) else ""
                if word == "how" and after in _MEASURES:
                    return f"how {after}"
                return "what" if word == "which" else word
            if at == start and word in _DOING:
                return "yes"
    return "what" if not words else ""
