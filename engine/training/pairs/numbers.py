"""Edits of numbers and units: those that change the answer, and those that write the same number otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Final

from engine.training.pairs import words as lists
from engine.training.pairs.lists import word_set
from engine.training.pairs.text import put

_NUMBER: Final = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)*")
_SMALL: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_TENS: Final = ["thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS: Final = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_COUNTING: Final = (*_SMALL[2:], *_TENS)
_NUMBER_WORD: Final = re.compile(rf"\b(?:{'|'.join(_COUNTING)})\b", re.IGNORECASE)
_YEAR: Final = re.compile(r"(?:1[5-9]|20)\d\d")


@cache
def _worded() -> Mapping[str, int]:
    """0 to 99 in words."""
    found = {word: value for value, word in enumerate(_SMALL)}
    for ten, word in enumerate(_TENS, start=3):
        found[word] = ten * 10
    for ten, word in (*enumerate(_TENS, start=3), (2, "twenty")):
        for one in range(1, 10):
            found[f"{word}-{_SMALL[one]}"] = ten * 10 + one
    return found


def number(text: str, random: Random) -> str | None:
    """Another number, year, date or version for one that is there."""
    found = list(_NUMBER.finditer(text))
    if not found:
        return _number_word(text, random)
    match = random.choice(found)
    new = _other_number(match.group(), random)
    return put(text, match.start(), match.end(), new) if new != match.group() else None


def _number_word(text: str, random: Random) -> str | None:
    found = list(_NUMBER_WORD.finditer(text))
    if not found:
        return None
    match = random.choice(found)
    new = random.choice([word for word in _COUNTING if word != match.group().lower()])
    return put(text, match.start(), match.end(), new)


def _other_number(old: str, random: Random) -> str:
    at = random.choice([i for i, c in enumerate(old) if c.isdigit()])
    changed = old[:at] + _digit(old[at], random, first=at == 0) + old[at + 1 :]
    if not old.isdigit():
        return changed
    if _YEAR.fullmatch(old):
        return str(int(old) + random.choice((-10, -4, -3, -2, -1, 1, 2, 3, 4, 10)))
    others = [old + "0", str(int(old) + random.choice((1, 2, 3, 5))), changed, changed]
    if len(old) > 1:
        others.append(old[:-1] if old.endswith("0") else old[::-1])
    return random.choice([other for other in others if other != old])


def _digit(old: str, random: Random, *, first: bool) -> str:
    return random.choice([c for c in "123456789" if c != old] + ([] if first or old == "0" else ["0"]))


_AMBIGUOUS_UNITS: Final = word_set("ambiguous_units")
_AFTER_NUMBER: Final = re.compile(r"(?<![\w.])(\d[\d.,]*)(\s?)([A-Za-z°%²/]+|€|£)(?![\w])")
_MONEY: Final = re.compile(r"([$€£])(?=\d)")
_UNIT_PLACE: Final = re.compile(r"(?i)\b(?:to|into|in|many|of|per|from|convert|vs)\s+$")


@cache
def _units() -> Mapping[str, tuple[int, int]]:
    """Line and item of each name of a unit."""
    return {
        name: (line, item)
        for line, items in enumerate(lists.unit_lines())
        for item, names in enumerate(items)
        for name in names
    }


def unit(text: str, random: Random) -> str | None:
    """Another unit of the same quantity, or another currency."""
    places: list[tuple[int, int, str]] = []
    for match in _AFTER_NUMBER.finditer(text):
        name = match.group(3) if match.group(3) in _units() else match.group(3).lower()
        if name in _units():
            places.append((match.start(3), match.end(3), name))
    for match in re.finditer(r"(?<![\w$€£.-])[A-Za-z]{2,}(?![\w-])", text):
        name = match.group() if match.group() in _units() else match.group().lower()
        asked = (
            len(name) > 3
            or match.group().isupper()
            or name in {"kg", "km", "lb", "lbs", "mph", "cm", "mm", "ml", "oz"}
        )
        if (
            name in _units()
            and asked
            and name not in _AMBIGUOUS_UNITS
            and _UNIT_PLACE.search(text[: match.start()])
        ):
            places.append((match.start(), match.end(), name))
    places += [(m.start(), m.end(), m.group()) for m in _MONEY.finditer(text)]
    if not places:
        return None
    start, end, name = random.choice(places)
    new = _other_unit(name, random)
    if re.search(rf"(?i)(?<!\w){re.escape(new)}(?!\w)", text):
        return None
    if new.isalpha() and text[start - 1 : start].isdigit() and len(new) > 3:
        new = " " + new
    return text[:start] + new + text[end:]


def _other_unit(name: str, random: Random) -> str:
    """A name of the same style: sign for sign, plural for plural."""
    line, item = _units()[name]
    if name in "$€£":
        return random.choice([sign for sign in "$€£" if sign != name])
    others = [(n, names) for n, names in enumerate(lists.unit_lines()[line]) if n != item]
    # The next bigger or smaller one is what people mix up.
    names = random.choices([names for _, names in others], [4 if abs(n - item) == 1 else 1 for n, _ in others])[0]
    if name.startswith("°"):
        return next((n for n in names if n.startswith("°")), names[0])
    words = [n for n in names if n.isalpha() and len(n) > 3] if len(name) > 3 else []
    same = [n for n in words if n.endswith("s") == name.endswith("s")]
    return (same or words or [n for n in names if n.isascii()] or list(names))[0]


def number_format(text: str, random: Random) -> str | None:
    """The same number, written otherwise."""
    ways = [new for way in _WAYS if (new := way(text)) is not None and new != text]
    return random.choice(ways) if ways else None


_COUNTED: Final = re.compile(
    r"(?<![\w$€£.,:/%-])(?<![A-Z][a-z] )(\d{1,2})(?= [a-z]{3,})(?! (?:mg|kg|am|pm|km|px|psi)\b)"
)


def _to_words(text: str) -> str | None:
    for match in _COUNTED.finditer(text):
        before = text[: match.start()].split()
        if before and ((before[-1][:1].isupper() and len(before) > 1) or before[-1].lower() in _LABELS):
            continue
        value = int(match.group(1))
        word = next((w for w, v in _worded().items() if v == value and not match.group(1).startswith("0")), None)
        if word:
            return text[: match.start()] + word + text[match.end() :]
    return None


_LABELS: Final = word_set("labels_of_numbers")


def _to_digits(text: str) -> str | None:
    match = _any_worded().search(text)
    return text[: match.start()] + str(_worded()[match.group().lower()]) + text[match.end() :] if match else None


@cache
def _any_worded() -> re.Pattern[str]:
    """2 to 99 in words."""
    found = sorted((word for word, value in _worded().items() if value > 1), key=len, reverse=True)
    return re.compile(rf"(?i)\b(?:{'|'.join(found)})\b(?! or\b)")


def _separator(text: str) -> str | None:
    plain = re.sub(r"(?<![\d.])(\d{1,3}),(\d{3})(?!\d)", r"\1\2", text)
    if plain != text:
        return plain
    match = re.search(r"(?<![\w.,/#-])(?!(?:1[5-9]|20)\d\d\b)(\d{4,6})(?![\w.,/-])", text)
    if (
        match is None
        or re.search(r"[A-Z]\w* $", text[: match.start()])
        or re.search(r"(?i)port|version|code|error|year", text)
    ):
        return None
    return f"{text[: match.start()]}{int(match.group()):,}{text[match.end() :]}"


def _thousands(text: str) -> str | None:
    new = re.sub(r"(?<![\d.,])(\d{1,3}),000(?![\d,.])", r"\1k", text)
    return new if new != text else re.sub(r"(?<![\w.,])(\d{1,3})k\b", r"\g<1>,000", text)


def _percent(text: str) -> str | None:
    new = re.sub(r"(\d)\s?%", r"\1 percent", text)
    return new if new != text else re.sub(r"(\d) per ?cent\b", r"\1%", text)


def _ordinal(text: str) -> str | None:
    for place, word in enumerate(_ORDINALS, start=1):
        if word == "second":
            continue
        ending = {1: "st", 3: "rd"}.get(place, "th")
        new = re.sub(rf"\b{place}{ending}\b", word, text)
        new = (
            new
            if new != text
            else re.sub(rf"(?<!at )\b{word}\b(?= [a-z])(?! name| aid)", f"{place}{ending}", text)
        )
        if new != text:
            return new
    return None


def _unit_space(text: str) -> str | None:
    joined = r"(\d)(kg|km|cm|mm|ml|mg|lb|lbs|oz|GB|MB|TB|KB|mph|am|pm|px|kcal)\b"
    new = re.sub(joined, r"\1 \2", text)
    return new if new != text else re.sub(joined.replace(")(", ") (", 1), r"\1\2", text)


def _long_unit(text: str) -> str | None:
    for short, long in (("kg", "kilograms"), ("km", "kilometers"), ("cm", "centimeters"), ("ml", "milliliters")):
        new = re.sub(rf"(\d) ?{short}\b(?!/)", rf"\1 {long}", text)
        new = new if new != text else re.sub(rf"(\d) {long}\b", rf"\1 {short}", text)
        if new != text:
            return new
    return None


def _currency(text: str) -> str | None:
    new = re.sub(r"\$(\d[\d,.]*\d|\d)(?! ?[a-z]*illion)", r"\1 dollars", text)
    return new if new != text else re.sub(r"\b(\d[\d,.]*) dollars\b", r"$\1", text)


_WAYS: Final = (
    _to_words,
    _to_digits,
    _separator,
    _thousands,
    _percent,
    _ordinal,
    _unit_space,
    _long_unit,
    _currency,
)
