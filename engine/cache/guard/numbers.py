"""Numbers and units as a question writes them: "four", "1,000", "1k", "5kg", "twenty-five", "3 lakh". Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

DIGITS: Final = re.compile(r"\d+(?:\.\d+)*")
LONGEST: Final = 40
"""Digits of the longest number that is worked out; a longer one is compared as it is written."""
SMALL: Final = {
    word: value
    for value, word in enumerate(
        (
            *(
                "zero",
                "one",
                "two",
                "three",
                "four",
                "five",
                "six",
                "seven",
                "eight",
                "nine",
                "ten",
                "eleven",
                "twelve",
            ),
            *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
        )
    )
}
TENS: Final = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
POWERS: Final = {
    "dozen": 12, "hundred": 100, "hundreds": 100, "k": 1000, "thousand": 1000, "thousands": 1000, "lac": 10**5,
    "lacs": 10**5, "lakh": 10**5, "lakhs": 10**5, "million": 10**6, "millions": 10**6, "mn": 10**6, "crore": 10**7,
    "crores": 10**7, "billion": 10**9, "billions": 10**9, "bn": 10**9, "trillion": 10**12,
}  # fmt: skip
ORDINALS: Final = {
    "third": "3", "fourth": "4", "fifth": "5", "sixth": "6", "seventh": "7", "eighth": "8", "ninth": "9",
    "tenth": "10", "eleventh": "11", "twelfth": "12", "thirteenth": "13", "fourteenth": "14", "fifteenth": "15",
}  # fmt: skip
"""«first» and «second» stay words: both mean other things more often than a number."""
NUMBER_WORDS: Final = frozenset({*SMALL, *TENS, *ORDINALS})
ALONE: Final = frozenset({"hundred", "thousand", "million", "billion", "trillion", "lakh", "crore", "dozen"})
"""Powers that need no number before them."""
STARTING: Final = NUMBER_WORDS | ALONE
_UNITS: Final = """
kg kgs kilo kilos kilogram kilograms kilogramme kilogrammes
gram grams gramme grammes g gm gms
mg milligram milligrams
mcg microgram micrograms
lb lbs pound pounds
oz ounce ounces
stone stones
ton tons tonne tonnes
km kms kilometer kilometers kilometre kilometres
meter meters metre metres m
cm cms centimeter centimeters centimetre centimetres
mm millimeter millimeters millimetre millimetres
nm nanometer nanometers
mile miles mi
yard yards yd yds
foot feet ft
inch inches
liter liters litre litres l
ml milliliter milliliters millilitre millilitres
gallon gallons gal
pint pints
quart quarts
cup cups
tablespoon tablespoons tbsp
teaspoon teaspoons tsp
celsius centigrade
fahrenheit
kelvin
second seconds sec secs s
millisecond milliseconds ms
microsecond microseconds
nanosecond nanoseconds ns
minute minutes min mins
hour hours hr hrs h
day days
week weeks wk wks
month months
year years yr yrs
decade decades
century centuries
bit bits
byte bytes
kb kilobyte kilobytes
mb megabyte megabytes
gb gigabyte gigabytes
tb terabyte terabytes
hz hertz
khz kilohertz
mhz megahertz
ghz gigahertz
watt watts w
kw kilowatt kilowatts
kwh
volt volts v
amp amps ampere amperes
mah
ohm ohms
joule joules j
calorie calories
kcal kcals
newton newtons
pascal pascals
psi
bar
mph
kmh kmph kph
knot knots
rpm
acre acres
hectare hectares
degree degrees
percent percentage pct
dollar dollars usd
euro euros eur
gbp
rupee rupees rs inr
yen jpy
yuan rmb
cent cents
am
pm
px pixel pixels
mp megapixel megapixels
fps
dpi
mbps
gbps
"""
UNITS: Final = {word: line.split()[0] for line in _UNITS.strip().splitlines() for word in line.split()}
"""Written form to the one form that is compared."""
AFTER_NUMBER_ONLY: Final = frozenset(
    {
        *(
            "g",
            "m",
            "mi",
            "l",
            "s",
            "h",
            "w",
            "v",
            "j",
            "min",
            "sec",
            "bar",
            "am",
            "pm",
            "mp",
            "second",
            "seconds",
        ),
        *("stone", "bit", "pascal", "pound", "kelvin", "amp", "cup", "foot", "newton", "gal", "rs", "ms"),
    }
)
"""Units that are units after a number only; elsewhere they are letters or other words."""
SIGNS: Final = {"$": "dollar", "€": "euro", "£": "gbp", "₹": "rupee", "¥": "yen", "%": "percent", "°": "degree"}


def plain(digits: str) -> str:
    """One writing per number: no leading zeros, no trailing ones behind the point; versions stay as they are."""
    if digits.count(".") > 1 or len(digits) > LONGEST:
        return digits
    if "." in digits:
        whole, fraction = digits.split(".")
        fraction = fraction.rstrip("0")
        return f"{whole.lstrip('0') or '0'}.{fraction}" if fraction else (whole.lstrip("0") or "0")
    return digits.lstrip("0") or "0"


def _value(word: str) -> Decimal | None:
    if word in SMALL:
        return Decimal(SMALL[word])
    if word in TENS:
        return Decimal(TENS[word])
    return Decimal(word) if DIGITS.fullmatch(word) and word.count(".") < 2 and len(word) <= LONGEST else None


def _written(value: Decimal) -> str:
    return plain(format(value, "f"))


def read_number(words: Sequence[str], at: int) -> tuple[str, int] | None:
    """The number that starts at ``words[at]`` and how many words it takes; None when none starts there.

    "twenty five" is 25, "two hundred and five" is 205, "3 lakh" is 300000; "two three" are two numbers.
    """
    word = words[at]
    if not (word[:1].isdigit() or word in STARTING):
        return None
    if word in ORDINALS:
        return ORDINALS[word], 1
    if DIGITS.fullmatch(word) and _value(word) is None:
        return word, 1
    if word in ALONE:
        return _written(Decimal(POWERS[word])), 1
    return _spoken(words, at)


def _spoken(words: Sequence[str], at: int) -> tuple[str, int] | None:
    """A number of several words: each power multiplies what precedes it, and from a thousand on closes a part."""
    current = _value(words[at])
    if current is None:
        return None
    total, taken, tens_open = Decimal(0), 1, words[at] in TENS
    for following in words[at + 1 : at + LONGEST]:
        if following in POWERS:
            current *= POWERS[following]
            if POWERS[following] >= 1000:
                total, current = total + current, Decimal(0)
            tens_open = True
        elif tens_open and 0 < SMALL.get(following, 0) < 10:
            current, tens_open = current + SMALL[following], False
        elif tens_open and following in TENS and current % 100 == 0:
            current += TENS[following]
        else:
            break
        taken += 1
    return _written(total + current), taken
