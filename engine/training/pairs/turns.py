"""Edits that change the answer by turning a question: not, without, from and to, who does what to whom.

Each takes a question and a source of chance and gives the edited one, or ``None`` where it has nothing to edit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

from engine.training.pairs.inflect import verb_forms
from engine.training.pairs.lists import word_set
from engine.training.pairs.text import capitalised, decapitalised, put
from engine.training.pairs.words import irregular_verbs

_AUX: Final = [
    "is",
    "are",
    "was",
    "were",
    "do",
    "does",
    "did",
    "can",
    "could",
    "should",
    "would",
    "will",
    "has",
    "have",
]
_NOT: Final[Mapping[str, str]] = {aux: {"can": "can't", "will": "won't"}.get(aux, aux + "n't") for aux in _AUX}
_REMOVALS: Final[Sequence[tuple[str, str]]] = (
    *((rf"\b{negated}\b", aux) for aux, negated in _NOT.items()),
    (r"\bcannot\b", "can"),
    (r"\bdon't ", ""),
    (r"\bnot ", ""),
    (r"\bnever ", ""),
    (r"\bwithout\b", "with"),
    (r"\bwith no\b", "with"),
)
_MIDDLE: Final = "(is|are|was|were|do|does|did|can|should|will)"
_INSERTIONS: Final[Sequence[tuple[str, str]]] = (
    (r"^((?:how|what|when|where|why) (?:do|can|should) (?:I|you|we)) (?!not\b)", r"\1 not "),
    (
        r"^((?:should|can|do|must) (?:I|you|we)) (?!not\b|tell\b|show\b|explain\b|please\b|give\b|help\b)",
        r"\1 not ",
    ),
    (r"^((?:how|when|where|what|why)(?: \w+)? to) ", r"\1 not "),
    (
        r"\b(if (?:I|you|we|they)) (?!don't|never|am\b|are\b|have\b|can|could\b|will\b|would\b|should)",
        r"\1 don't ",
    ),
    (r"\bwith\b(?! (?:me|you|him|her|them)\b)", "without"),
    (r"\b(want|need|like) to ", r"\1 not to "),
    (r"(^|[.,] |\bwhen |\bthat |\bbut )(I|you|we|they) (want|need|like|have)\b(?! not| no)", r"\1\2 don't \3"),
    (
        r"^(Is|Are|Was|Were|Do|Does|Did|Can|Should|Will)\b(?! (?:you|someone|anyone|somebody|anybody)\b)",
        "<negated>",
    ),
    (rf"^(?:why|who|which [\w ]+?|what \w+s|(?:when|where)(?= (?:can|should|does))) {_MIDDLE}\b", "<negated>"),
    (r"(?<=[a-z] )(causes|helps|contains|happens|lives)\b(?! of)", r"never \1"),
    (
        r"^(?=(?:write|list|show|set|turn|open|lock|play|book|remind|skip|translate|convert|use|make|find|give)\b)",
        "Don't ",
    ),
)


def negation(text: str, random: Random) -> str | None:
    """Not, never, no or without put in or taken out."""
    found = [re.sub(p, new, text, count=1, flags=re.IGNORECASE) for p, new in _REMOVALS]
    found = [new for new in found if new != text]
    if not found or random.random() < 0.2:
        found += [new for pattern, how in _INSERTIONS if (new := _inserted(text, pattern, how)) is not None]
    return capitalised(random.choice(found)) if found else None


def _inserted(text: str, pattern: str, how: str) -> str | None:
    match = re.search(pattern, text, re.IGNORECASE)
    if match is None:
        return None
    if how == "<negated>":
        return put(text, *match.span(1), _NOT[match.group(1).lower()])
    if how == "Don't ":
        return how + decapitalised(text)
    return text[: match.start()] + match.expand(how) + text[match.end() :]


_STOP: Final = r"(?=[?.!,;]|$| (?:by|in|with|without|for|on|using|under|at|as|and|after|before|every|per|when)\b)"
_NOUNS: Final = r"(?:(?:a|an|the|my|your|our|his|her)\s)?[\w$€£°+#./-]+(?:\s[\w+#./-]+){0,3}?"
_FROM_TO: Final = re.compile(rf"(?i)\bfrom ({_NOUNS}) (to|into) ({_NOUNS}){_STOP}")
_CONVERT: Final = re.compile(
    r"(?i)\b(?:convert|translate|change|turn|switch|exchange|migrate|map)(?:ing|ed)? "
    rf"((?:[\d.,]+ |\"[^\"]+\" )?)({_NOUNS}) (to|into) ({_NOUNS}){_STOP}"
)
_A_TO_B: Final = re.compile(r"(?i)^()([a-z]{3,}) (to) ([a-z]{3,})$")
_COMPARED: Final = r"(?:better|worse|\w{2,}er|(?:more|less) \w+)"
_IS_THAN: Final = re.compile(
    rf"(?i)^((?:why |how much )?(?:is|are|was|were)) ({_NOUNS}) ({_COMPARED}) than ({_NOUNS}){_STOP}"
)
_DO_THAN: Final = re.compile(
    rf"(?i)^((?:why |how much )?(?:do|does|did|can|will)) ({_NOUNS}) (\w+ (?:\w+ )*?{_COMPARED})"
    rf" than ({_NOUNS}){_STOP}"
)
_INSTEAD: Final = re.compile(
    rf"(?i)\b(use|eat|drink|take|buy|choose|have) ({_NOUNS}) (instead of|rather than) ({_NOUNS}){_STOP}"
)
_REPLACE: Final = re.compile(rf"(?i)\b(replace|substitute|swap) ({_NOUNS}) (with|for|by) ({_NOUNS}){_STOP}")
_TRANSITIVE: Final = sorted(word_set("transitive"))
_DOES: Final = re.compile(
    rf"(?i)^((?:(?:why|when|where|how|how much|how often|how long) )?(?:did|does|do|can|could|will|should))"
    rf" ({_NOUNS}) ({'|'.join(_TRANSITIVE)}) (?!(?:for|to|from|in)\b)({_NOUNS}){_STOP}"
)
_SWAPPED: Final[Sequence[tuple[re.Pattern[str], int, int]]] = (
    (_FROM_TO, 1, 3),
    (_CONVERT, 2, 4),
    (_A_TO_B, 2, 4),
    (_IS_THAN, 2, 4),
    (_DO_THAN, 2, 4),
    (_INSTEAD, 2, 4),
    (_REPLACE, 2, 4),
    (_DOES, 2, 4),
)


_SYMMETRIC: Final = re.compile(r"(?i)\b(?:distance|difference|how far|how many (?:km|miles|kilometers))\b")
"""The order of two places or things does not count."""


def direction(text: str, random: Random) -> str | None:
    """What stands in an order that counts, the other way round."""
    if _SYMMETRIC.search(text):
        return None
    found = [new for pattern, one, other in _SWAPPED if (new := _turned(text, pattern, one, other)) is not None]
    found += [new for turn in (_who, _before) if (new := turn(text)) is not None]
    return random.choice(found) if found else None


_PRONOUNS: Final = word_set("pronouns")


def _turned(text: str, pattern: re.Pattern[str], one: int, other: int) -> str | None:
    match = pattern.search(text)
    if match is None:
        return None
    first, second = match.group(one), match.group(other)
    if first.casefold() == second.casefold() or _PRONOUNS & {
        *first.casefold().split(),
        *second.casefold().split(),
    }:
        return None
    if pattern is _CONVERT and match.group(1)[:1].isdigit():
        return None if second.casefold() in {"a", "words"} else _put_two(text, match, one, other)
    return _put_two(text, match, one, other)


def _put_two(text: str, match: re.Match[str], one: int, other: int) -> str:
    first, second = match.span(one), match.span(other)
    return (
        text[: first[0]]
        + text[second[0] : second[1]]
        + text[first[1] : second[0]]
        + text[first[0] : first[1]]
        + text[second[1] :]
    )


def _bases() -> Mapping[str, str]:
    """Base of a transitive verb by its past."""
    return {verb_forms(verb, irregular_verbs())[2]: verb for verb in _TRANSITIVE}


def _who(text: str) -> str | None:
    """Who beat X: whom did X beat."""
    match = re.match(rf"(?i)^(who|what) (\w+) ({_NOUNS}){_STOP}", text)
    if match and match.group(2) in _BASES:
        return f"{match.group(1)} did {match.group(3)} {_BASES[match.group(2)]}{text[match.end() :]}"
    match = re.match(rf"(?i)^(who|what) did ({_NOUNS}) ({'|'.join(_TRANSITIVE)}){_STOP}", text)
    if match:
        past = verb_forms(match.group(3), irregular_verbs())[2]
        return f"{match.group(1)} {past} {match.group(2)}{text[match.end() :]}"
    match = re.match(r"^(Who|What) (pays|eats|owns|kills|hires|teaches|trains|feeds|hunts) (\w+)", text)
    if match:
        return f"{match.group(1)} do {match.group(3)} {match.group(2)[:-1]}{text[match.end() :]}"
    return None


_BASES: Final = _bases()


def _before(text: str) -> str | None:
    """Before and after, each for the other."""
    match = re.search(r"(?i)\b(before|after)\b(?! or (?:before|after))", text)
    if match is None or re.search(r"(?i)before or after|after or before|look after|named after", text):
        return None
    return put(text, match.start(), match.end(), "after" if match.group().lower() == "before" else "before")
