"""The word lists beside this module, read once: synonyms, opposites, names of things, units, spellings.

All written for this project. Not the editing: ``swaps`` and its siblings put one word for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from random import Random
from typing import Final

from engine.training.pairs.inflect import plural, verb_forms
from engine.training.pairs.text import Span, Words

PHRASE_MAX: Final = 6
"""No phrase of the lists has more words."""
DETERMINERS: Final = frozenset(
    "a an the my your his her its our their this that these those some any no every each".split()
)
BARE_BEFORE: Final = frozenset(
    "to i you we they one people not and or can can't could should would will won't must do don't please never"
    " always me let let's help may might cannot shouldn't".split()
)
"""After these comes the bare form of a verb."""
PERFECT: Final = frozenset("have has had been is are was were be being get gets got haven't hasn't isn't".split())
_ADJECTIVE_BEFORE: Final = DETERMINERS | frozenset(
    "is are was were be being been very too so more most how really feel get look seem as and or not quite isn't"
    " with for of two three some without good in what".split()
)
_LOWER_AMBIGUOUS: Final = frozenset(
    "go swift rust march may turkey nice cork mali chad jordan georgia signal wise visa meta oracle shell puma ups"
    " notion zoom opera brave express flask rails helm julia dart c r perth mercury ford emirates polish us la bp hp"
    " bath reading guinea bern cologne bali slack discord stripe target amazon sun ruby perl scala tesla newton dart"
    " get post put delete patch head options select insert update drop where having find".split()
)
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

    def choices(self, words: Words) -> Iterator[tuple[Span, str]]:
        """Each place where a word may be put for another one, with each word that may."""
        taken = list(words.spans(fixed_phrases(), PHRASE_MAX))
        for span, phrase in words.spans(self.senses, PHRASE_MAX):
            if any(f.first <= span.first <= f.last and phrase != p for f, p in taken):
                continue
            for sense in self.senses[phrase]:
                if _fits(sense, span, words):
                    yield from (
                        (span, other) for other in sense.others if _stands(sense, other, words.after(span))
                    )


def _fits(sense: Sense, span: Span, words: Words) -> bool:
    """The words before ``span`` allow this reading of it."""
    before = words.before(span)
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
    joined = " " in other and not other.startswith(("very ", "most ", "least ", "more ", "good ", "not "))
    return not (sense.word_class == "a" and joined) or after in _AFTER_PREDICATE


_AFTER_PREDICATE: Final = frozenset(["", *"to for in and or than if when on with at after before".split()])


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

    def found(self, words: Words) -> Iterator[tuple[Span, Name]]:
        """Each name in the text, in the spelling it has there."""
        lower = words.text.lower() == words.text
        for span, phrase in words.spans(self.by_phrase, PHRASE_MAX):
            written = words.text[span.start : span.end]
            for name in self.by_phrase[phrase]:
                proper = name.spelled != name.spelled.lower()
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


def data_lines(name: str) -> list[str]:
    """The lines of a file of the lists, without comments."""
    text = files(__package__ or "").joinpath("data", name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("# ")]


@cache
def irregular_verbs() -> Mapping[str, tuple[str, str]]:
    """Past and participle by base."""
    return {base: (past, participle) for base, past, participle in map(str.split, data_lines("irregular.txt"))}


@cache
def fixed_phrases() -> Mapping[str, bool]:
    """Phrases of which no single word is put for another."""
    return dict.fromkeys(data_lines("fixed.txt"), True)


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
def spellings() -> Mapping[str, str]:
    """British by American and American by British."""
    pairs = [tuple(line.split()) for line in data_lines("spelling.txt")]
    return {old: new for british, american in pairs for old, new in ((british, american), (american, british))}


@cache
def unit_lines() -> Sequence[Sequence[tuple[str, ...]]]:
    """Units of one quantity a line, each with the names it goes by."""
    return [_items(line) for line in data_lines("units.txt")]


def _lexicon(file: str, kept: frozenset[str]) -> Lexicon:
    senses: dict[str, list[Sense]] = {}
    for line in data_lines(file):
        word_class, _, rest = line.partition(" ")
        lemmas = [lemma.strip() for lemma in rest.split(",")]
        forms = [_forms(lemma, word_class) for lemma in lemmas]
        for number, lemma in enumerate(lemmas):
            if lemma in kept:
                continue
            for form, spelled in enumerate(forms[number]):
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
