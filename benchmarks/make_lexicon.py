"""Build ``engine/cache/data/lexicon.bin`` from a WordNet 3.0 dictionary folder and the encoder's vocabulary.

Usage: python -m benchmarks.make_lexicon FOLDER_WITH_data.noun_AND_index.noun

One line per word: the word, a tab, then marks separated by blanks. Numbers are base 36. ``engine.cache.lexicon``
reads the file and documents what each mark means. Rare senses are left out, because a synonym in a sense that
nobody means would let a wrong answer through.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "engine/cache/data/lexicon.bin"
TOKENIZER = ROOT / "engine/routing/data/tokenizer.json"
PARTS = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
SENSE_TYPES = {"1": "n", "2": "v", "3": "a", "4": "r", "5": "a"}
COMMON_SHARE = 0.08
"""A sense seen in less than this share of a word's tagged occurrences is rare."""
CLASSES = {
    "animal": "animal.1", "body": "body_part.1", "clothing": "clothing.1", "colour": "chromatic_color.1",
    "grey": "achromatic_color.1", "day": "day_of_the_week.1", "disease": "illness.1", "drug": "drug.1",
    "element": "chemical_element.1", "food": "food.1 food.2 beverage.1 edible_fruit.1 vegetable.1",
    "instrument": "musical_instrument.1", "kin": "relative.1", "language": "natural_language.1",
    "money": "monetary_unit.1", "month": "calendar_month.1", "nationality": "inhabitant.1",
    "organisation": "organization.1", "person": "person.1", "place": "location.1 region.1 body_of_water.1 land.4",
    "planet": "planet.1", "religion": "religion.1 religion.2", "sport": "sport.1", "season": "season.2",
    "unit": "unit_of_measurement.1", "vehicle": "vehicle.1", "science": "discipline.1", "job": "worker.1",
}  # fmt: skip
NAMES_ONLY = {"person", "place", "organisation"}
"""Classes that count for names only: "teacher" and "doctor" are persons, and no names."""


@dataclass
class Synset:
    """One WordNet synset: members in order, and its pointers (symbol, target, source word, target word)."""

    words: list[str]
    pointers: list[tuple[str, str, int, int]]
    satellite: bool


@dataclass
class Wordnet:
    """What was read: synsets by part+offset, senses by (word, part), tagged counts, exceptional forms."""

    synsets: dict[str, Synset] = field(default_factory=dict[str, Synset])
    senses: dict[tuple[str, str], list[str]] = field(default_factory=dict[tuple[str, str], list[str]])
    counts: dict[tuple[str, str, int], int] = field(default_factory=dict[tuple[str, str, int], int])
    exceptions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def rows(path: Path) -> Iterator[str]:
    """Lines of a WordNet file without its licence head, which is indented."""
    return (line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  "))


def read_synset(line: str, part: str) -> tuple[str, Synset]:
    """One line of data.*: see wndb(5WN)."""
    items = line.split(" | ", 1)[0].split()
    count = int(items[3], 16)
    words = [items[4 + 2 * index].split("(")[0] for index in range(count)]
    at = 4 + 2 * count
    pointers: list[tuple[str, str, int, int]] = []
    for index in range(int(items[at])):
        symbol, offset, target, ends = items[at + 1 + 4 * index : at + 5 + 4 * index]
        target = "a" if target == "s" else target
        pointers.append((symbol, target + offset, int(ends[:2], 16), int(ends[2:], 16)))
    return part + items[0], Synset(words, pointers, satellite=items[2] == "s")


def read_wordnet(folder: Path) -> Wordnet:
    """Everything this build needs of the dictionary folder."""
    net = Wordnet()
    for name, part in PARTS.items():
        for line in rows(folder / f"data.{name}"):
            key, synset = read_synset(line, part)
            net.synsets[key] = synset
        for line in rows(folder / f"index.{name}"):
            items = line.split()
            net.senses[items[0], part] = [part + offset for offset in items[-int(items[2]) :]]
        for line in rows(folder / f"{name}.exc"):
            odd, *bases = line.split()
            net.exceptions[odd].extend(base for base in bases if base not in net.exceptions[odd])
    for line in rows(folder / "cntlist.rev"):
        key, number, count = line.split()
        word, rest = key.split("%")
        net.counts[word, SENSE_TYPES[rest[0]], int(number)] = int(count)
    return net


def common_senses(net: Wordnet, word: str) -> list[tuple[str, int]]:
    """(synset, rank over all parts of speech) of the senses somebody is likely to mean."""
    found: list[tuple[int, int, str]] = []
    for part in PARTS.values():
        for number, synset in enumerate(net.senses.get((word, part), []), 1):
            found.append((net.counts.get((word, part, number), 0), number, synset))
    total = sum(count for count, _, _ in found)
    kept = [
        (count, number, synset)
        for count, number, synset in found
        if (count >= COMMON_SHARE * total if total else number <= 2)
    ]
    kept.sort(key=lambda item: (-item[0], item[1]))
    return [(synset, rank) for rank, (_, _, synset) in enumerate(kept[:6])]


def base36(number: int) -> str:
    """A non-negative number in base 36."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    out = digits[number % 36]
    while number := number // 36:
        out = digits[number % 36] + out
    return out


class Marks:
    """Marks per word, and numbers for whatever two words may share."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = defaultdict(list)
        self._numbers: dict[str, int] = {}

    def number(self, thing: str) -> int:
        """The number of a synset or group, given on first use."""
        return self._numbers.setdefault(thing, len(self._numbers))

    def add(self, word: str, kind: str, number: int) -> None:
        """Note ``kind`` + number at the word, once."""
        mark = kind + base36(number)
        if mark not in self.of[word]:
            self.of[word].append(mark)


def single(words: Iterable[str]) -> list[str]:
    """Members of one word only, lower case."""
    return [word.lower() for word in words if "_" not in word]


def mark_synonyms(net: Wordnet, marks: Marks, words: list[str]) -> None:
    """``s``: a common sense; ``h``: what that sense is a kind of (verbs) or similar to (adjectives)."""
    kept = {word: common_senses(net, word) for word in words}
    members: dict[str, int] = defaultdict(int)
    for senses in kept.values():
        for synset, _ in senses:
            members[synset] += 1
    for word, senses in kept.items():
        for synset, rank in senses:
            marks.add(word, "s", marks.number(synset))
            for symbol, target, _, _ in net.synsets[synset].pointers:
                loose = (symbol == "@" and synset[0] == "v") or (symbol == "&" and net.synsets[synset].satellite)
                if loose and rank <= 1 and members[target]:
                    marks.add(word, "h", marks.number(target))
                if symbol in {"@", "@i"} and synset[0] == "n" and rank <= 1:
                    marks.add(word, "t", marks.number(target))


class Ends:
    """Numbers of oppositions: one end of a pair is 2k, the other 2k+1."""

    def __init__(self) -> None:
        self._pairs: dict[tuple[str, str], int] = {}

    def number(self, mine: str, theirs: str) -> int:
        """The number of ``mine`` in its opposition to ``theirs``."""
        first, second = sorted((mine, theirs))
        return 2 * self._pairs.setdefault((first, second), len(self._pairs)) + (mine != first)


def direct_opposites(net: Wordnet) -> Iterator[tuple[str, str]]:
    """Pairs of words the dictionary calls antonyms."""
    for synset in net.synsets.values():
        for symbol, target, mine, theirs in synset.pointers:
            if symbol == "!":
                yield synset.words[mine - 1].lower(), net.synsets[target].words[theirs - 1].lower()


def opposite_heads(net: Wordnet, synset: str) -> Iterator[tuple[str, str]]:
    """An adjective's own synset or one it is similar to, and the antonym of that one."""
    similar = [target for symbol, target, _, _ in net.synsets[synset].pointers if symbol == "&"]
    for head in [synset, *similar]:
        for symbol, target, _, _ in net.synsets[head].pointers:
            if symbol == "!":
                yield head, target


def mark_opposites(net: Wordnet, marks: Marks, words: list[str]) -> None:
    """``o``: two words are opposites when one carries 2k and the other 2k+1."""
    ends = Ends()
    for left, right in direct_opposites(net):
        marks.add(left, "o", ends.number(left, right))
    for word in words:
        for synset, rank in common_senses(net, word):
            if synset[0] == "a" and rank <= 2:
                for head, target in opposite_heads(net, synset):
                    marks.add(word, "o", ends.number(head, target))


def mark_derivations(net: Wordnet, marks: Marks) -> None:
    """``d``: a family of words made from each other (decide, decision, decisive)."""
    parent: dict[str, str] = {}

    def root(word: str) -> str:
        while parent.setdefault(word, word) != word:
            word = parent[word]
        return word

    for synset in net.synsets.values():
        for symbol, target, source_word, target_word in synset.pointers:
            if symbol not in {"+", "\\"} or not source_word:
                continue
            left = synset.words[source_word - 1].lower()
            right = net.synsets[target].words[target_word - 1].lower()
            if "_" not in left + right and left[:2] == right[:2]:
                parent[root(left)] = root(right)
    for word in parent:
        marks.add(word, "d", marks.number("family " + root(word)))


def class_roots(net: Wordnet, names: list[str]) -> dict[str, list[str]]:
    """Synset at the top of a class to the names of its classes."""
    roots: dict[str, list[str]] = defaultdict(list)
    for name in names:
        for place in CLASSES[name].split():
            word, number = place.split(".")
            roots[net.senses[word, "n"][int(number) - 1]].append(name)
    return roots


def above(net: Wordnet, synset: str) -> set[str]:
    """Every synset the given one is a kind or an instance of."""
    seen: set[str] = set()
    open_ones = [synset]
    while open_ones:
        pointers = net.synsets[open_ones.pop()].pointers
        found = {target for symbol, target, _, _ in pointers if symbol in {"@", "@i"}} - seen
        seen |= found
        open_ones += found
    return seen


def is_proper(synset: Synset, word: str) -> bool:
    """Whether the word is a name in this sense: an instance, or written with a capital."""
    capital = any(member.lower() == word and member[0].isupper() for member in synset.words)
    return capital or any(symbol == "@i" for symbol, _, _, _ in synset.pointers)


def mark_classes(net: Wordnet, marks: Marks, words: list[str]) -> list[str]:
    """``k``: kinds of things one of which never stands for another (``CLASSES``); ``z``: a name."""
    names = sorted(CLASSES)
    roots = class_roots(net, names)
    for word in words:
        for synset, rank in common_senses(net, word):
            if synset[0] != "n" or rank > 1:
                continue
            proper = is_proper(net.synsets[synset], word)
            if rank == 0 and proper:
                marks.of[word].append("z")
            kinds = {name for ancestor in above(net, synset) for name in roots.get(ancestor, [])}
            for name in sorted(kinds if proper else kinds - NAMES_ONLY):
                marks.add(word, "k", names.index(name))
    return names


def common_words() -> dict[str, int]:
    """Whole words of the encoder's vocabulary and their rank, commonest first."""
    vocabulary: dict[str, int] = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]
    return {word: rank for word, rank in vocabulary.items() if word.isascii() and word.isalpha() and len(word) > 2}


def build(folder: Path) -> bytes:
    """The whole file."""
    net, marks = read_wordnet(folder), Marks()
    words = sorted({word for word, _ in net.senses if "_" not in word and not any(c.isdigit() for c in word)})
    mark_synonyms(net, marks, words)
    mark_opposites(net, marks, words)
    mark_derivations(net, marks)
    classes = mark_classes(net, marks, words)
    ranks = common_words()
    for word, rank in ranks.items():
        marks.add(word, "r", rank // 1000)
    known = sorted(set(words) | set(ranks))
    sharing: dict[str, int] = defaultdict(int)
    for word in known:
        for mark in marks.of[word]:
            sharing[mark] += 1
    lines: list[str] = []
    for word in known:
        kept = [m for m in marks.of[word] if sharing[m] > 1 or m[0] in "ozkr" or sharing["s" + m[1:]] > 0]
        kept = [m for m in kept if m[0] != "s" or sharing[m] > 1 or sharing["h" + m[1:]] > 0]
        lines.append(f"{word}\t{' '.join(kept)}")
    odd = [
        f"{word} {' '.join(b for b in bases if '_' not in b)}"
        for word, bases in sorted(net.exceptions.items())
        if "_" not in word and any("_" not in base for base in bases)
    ]
    heads, tails = zip(*(line.split("\t") for line in lines), strict=True)
    text = "\n\n".join((" ".join(classes), "\n".join(odd), "\n".join(heads), ",".join(tails)))
    return zlib.compress(text.encode(), 9)


if __name__ == "__main__":
    OUT.write_bytes(build(Path(sys.argv[1])))
    print(OUT, OUT.stat().st_size)
