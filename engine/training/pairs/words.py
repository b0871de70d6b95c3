"""The word lists beside this module, read once: synonyms, opposites, names of things, units, spellings.

All written for this project. Not the editing: ``swaps`` and its siblings put one word for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from random import Random
from typing import Final

from engine.training.pairs.inflect import plural, verb_forms
from engine.training.pairs.lists import data_lines, word_set
from engine.training.pairs.text import Phrases, Span, Words, phrases_of

DETERMINERS: Final = word_set("determiners")
BARE_BEFORE: Final = word_set("bare_before")
"""After these comes the bare form of a verb."""
PERFECT: Final = word_set("perfect")
_ADJECTIVE_BEFORE: Final = word_set("adjective_before")
_LOWER_AMBIGUOUS: Final = word_set("not_names_in_lower_case")
"""In a text without capitals these are words, not names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """One reading of a form: word class, number of the form, what may stand for it in that form."""

    word_class: str
    form: int
    others: tuple[str, ...]


@dataclass(frozen=True)
class Lexicon:
    """Forms by their folded spelling."""

    senses: Mapping[str, Sequence[Sense]]

    @cached_property
    def phrases(self) -> Phrases:
        """The forms, to look for."""
        return phrases_of(self.senses)

    def choices(self, words: Words) -> Iterator[tuple[Span, str]]:
        """Each place where a word may be put for another one, with each word that may."""
        taken = list(words.spans(fixed_phrases()))
        for span, phrase in words.spans(self.phrases):
            if any(f.first <= span.first <= f.last and phrase != p for f, p in taken):
                continue
            for sense in self.senses[phrase]:
                if _fits(sense, span, words):
                    yield from (
                        (span, other) for other in sense.others if _stands(sense, other, words.after(span))
                    )


def _fits(sense: Sense, span: Span, words: Words) -> bool:
    """The words before ``span`` allow this reading of it."""
    before = words.before(span, 1)
    match sense.word_class, sense.form:
        case "v", 0:
            return before in BARE_BEFORE or (not before and span.last + 1 < len(words.places))
        case "v", 1:
            return bool(before) and before not in DETERMINERS | BARE_BEFORE
        case "v", (2 | 3) as form:
            perfect = any(words.before(span, back) in PERFECT for back in (1, 2, 3))
            return before not in DETERMINERS and perfect == (form == 3)
        case "n", _:
            return bool(before) and before not in BARE_BEFORE - {"to", "and", "or", "me"}
        case "a", _:
            return before in _ADJECTIVE_BEFORE or (not before and words.after(span) not in {"", "the", "my", "a"})
        case _:
            return True


def _stands(sense: Sense, other: str, after: str) -> bool:
    """An adjective of several words does not stand before its noun."""
    joined = " " in other and not other.startswith(("very ", "most ", "least ", "more ", "less ", "not "))
    return not (sense.word_class == "a" and joined) or after in _AFTER_PREDICATE


_AFTER_PREDICATE: Final = word_set("after_predicate") | {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name as a list has it; ``form`` 1 is the plural."""

    spelled: str
    list_id: int
    item: int
    form: int = field(default=0)


@dataclass(frozen=True)
class Names:
    """Things of which one may be put for another, by list."""

    lists: Sequence[Sequence[tuple[str, ...]]]
    with_plurals: frozenset[int]

    @cached_property
    def by_phrase(self) -> Mapping[str, Sequence[Name]]:
        """Each name by its folded spelling."""
        found: dict[str, list[Name]] = {}
        for list_id, items in enumerate(self.lists):
            for item, names in enumerate(items):
                for name in names:
                    found.setdefault(name.casefold(), []).append(Name(spelled=name, list_id=list_id, item=item))
                    if list_id in self.with_plurals:
                        several = Name(spelled=plural(name), list_id=list_id, item=item, form=1)
                        found.setdefault(several.spelled.casefold(), []).append(several)
        return found

    @cached_property
    def phrases(self) -> Phrases:
        """The names, to look for."""
        return phrases_of(self.by_phrase)

    def found(self, words: Words) -> Iterator[tuple[Span, Name]]:
        """Each name in the text, in the spelling it has there."""
        lower = words.text.lower() == words.text
        for span, phrase in words.spans(self.phrases):
            written = words.text[span.start : span.end]
            for name in self.by_phrase[phrase]:
                proper = name.spelled != name.spelled.lower()
                if proper and span.first == 0 and phrase in _LOWER_AMBIGUOUS:
                    continue
                if (proper and (written == name.spelled or (lower and phrase not in _LOWER_AMBIGUOUS))) or (
                    not proper and (written == phrase or (span.first == 0 and written.casefold() == phrase))
                ):
                    yield span, name

    def another(self, name: Name, random: Random) -> str:
        """Another thing of the same list, in the same number."""
        items = self.lists[name.list_id]
        chosen = random.choice([i for i in range(len(items)) if i != name.item])
        spelled = items[chosen][0]
        return plural(spelled) if name.form else spelled


@cache
def irregular_verbs() -> Mapping[str, tuple[str, str]]:
    """Past and participle by base."""
    return {base: (past, participle) for base, past, participle in map(str.split, data_lines("irregular.txt"))}


@cache
def fixed_phrases() -> Phrases:
    """Phrases of which no single word is put for another."""
    return phrases_of(data_lines("fixed.txt"))


@cache
def synonyms() -> Lexicon:
    """Words of one meaning; words of many meanings are only put in, never taken out."""
    return _lexicon("synonyms.txt", frozenset(data_lines("polysemous.txt")))


@cache
def antonyms() -> Lexicon:
    """Words of opposite meaning."""
    return _lexicon("antonyms.txt", frozenset())


@cache
def entities() -> Names:
    """Countries, cities, products, foods, animals, diseases and so on."""
    return _names("entities.txt")


@cache
def code_names() -> Names:
    """Commands, flags, exceptions, suffixes and parts of identifiers."""
    return _names("code.txt")


@cache
def code_parts() -> Names:
    """Verbs and nouns that identifiers are put together from."""
    return _names("code_parts.txt")


@cache
def spellings() -> Mapping[str, str]:
    """British by American and American by British."""
    pairs = [tuple(line.split()) for line in data_lines("spelling.txt")]
    return {old: new for british, american in pairs for old, new in ((british, american), (american, british))}


@cache
def spelling_phrases() -> Phrases:
    """The words of ``spellings``, to look for."""
    return phrases_of(spellings())


@cache
def unit_lines() -> Sequence[Sequence[tuple[str, ...]]]:
    """Units of one quantity a line, each with the names it goes by."""
    return [_items(line) for line in data_lines("units.txt")]


def _lexicon(file: str, kept: frozenset[str]) -> Lexicon:
    senses: dict[str, list[Sense]] = {}
    for line in data_lines(file):
        word_class, _, rest = line.partition(" ")
        directed = " > " in rest
        lemmas = [lemma.strip() for lemma in rest.replace(" > ", ",").split(",")]
        forms = [_forms(lemma, word_class) for lemma in lemmas]
        for number, lemma in enumerate(lemmas):
            if lemma in kept or (directed and number):
                continue
            for form, spelled in enumerate(forms[number]):
                if spelled in kept:
                    continue
                others = tuple(f[form] for n, f in enumerate(forms) if n != number and f[form] != spelled)
                if others:
                    sense = Sense(word_class=word_class, form=form, others=others)
                    senses.setdefault(spelled.casefold(), []).append(sense)
    return Lexicon(senses)


def _forms(lemma: str, word_class: str) -> tuple[str, ...]:
    if word_class == "v":
        return verb_forms(lemma, irregular_verbs())
    if word_class == "n" and " or " not in lemma and lemma.islower():
        return (lemma, plural(lemma))
    return (
        (lemma, lemma + "s") if word_class == "n" and " or " not in lemma else (lemma,) * (1 + (word_class == "n"))
    )


def _names(file: str) -> Names:
    lists: list[list[tuple[str, ...]]] = []
    with_plurals: set[int] = set()
    for line in data_lines(file):
        if line.startswith("["):
            if "+s" in line:
                with_plurals.add(len(lists))
            lists.append([])
        else:
            lists[-1].extend(_items(line))
    return Names(lists, frozenset(with_plurals))


def _items(line: str) -> list[tuple[str, ...]]:
    return [tuple(name.strip() for name in item.split("=")) for item in line.split(";") if item.strip()]
