"""Whether a text holds personal or health data, so that it stays on local models (admit.data). Pure, linear time.

Patterns with check digits or rules of structure, and words around them; not a judgement of meaning: a name alone
is not found, nor is a picture. What is found is named by its rule, never by its value. Every pattern is bounded,
no repetition without a limit, so that time grows with the length of the text only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from engine.gateway import identifiers as known
from engine.gateway.health_data import HEALTH_RULES
from engine.types import STRICTNESS, DataClass

_NEAR: Final = 40
"""Characters before a number in which a word can say what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found. Never the value itself."""

    data_class: DataClass
    rule: str


def detect(text: str) -> Finding | None:
    """The strictest finding in ``text``, health before personal data; ``None``: nothing was recognised."""
    seen = _plain(text)
    lower = seen.lower()
    words = frozenset(_WORD.findall(lower))
    for rule, needed, found in HEALTH_RULES:
        if not words.isdisjoint(needed) and found(seen, lower):
            return Finding(data_class="phi", rule=rule)
    for rule in _personal(seen, lower, words):
        return Finding(data_class="pii", rule=rule)
    return None


def stricter(caller: DataClass | None, found: Finding | None) -> DataClass:
    """The class that counts: the caller's, unless something stricter was found; ``internal`` when neither says."""
    said: DataClass = caller if caller is not None else "internal"
    if found is None or STRICTNESS.index(said) >= STRICTNESS.index(found.data_class):
        return said
    return found.data_class


_WORD: Final = re.compile(r"[a-z]{2,24}")
# Full-width signs, blanks of other widths and hyphens of other lengths stand for their ASCII twins; what has no
# width is left out. One character each, so that the text never grows; the dotted I would in small letters.
_TWINS: Final[dict[int, int | None]] = {
    **{0xFF01 + n: 0x21 + n for n in range(94)},
    **dict.fromkeys((0x00A0, 0x2007, 0x2009, 0x202F, 0x3000), 0x20),
    **dict.fromkeys(range(0x2010, 0x2016), 0x2D),
    0x0130: 0x49,
    **dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF), None),
}
_ODD: Final = re.compile(f"[{''.join(re.escape(chr(code)) for code in _TWINS)}]")


def _plain(text: str) -> str:
    return text.translate(_TWINS) if not text.isascii() and _ODD.search(text) else text


# Numbers. Each pattern begins where no word or number goes on, and every repetition has a limit.
_SEVEN: Final = re.compile(r"\d(?:[ .()/-]{0,3}\d){6}")
_EMAIL: Final = re.compile(r"(?<![\w.+%-])([\w.+%-]{1,64})@((?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24})(?![\w@])")
_SPELLED: Final = re.compile(
    r"(?<![\w.+%-])([\w.+%-]{1,64}) ?[\[({<] ?at ?[\])}>] ?"
    r"((?:[a-z0-9-]{1,63}(?:\.| dot | ?[\[({<] ?dot ?[\])}>] ?)){1,4}[a-z]{2,6})(?![\w(.])"
)
"""An address whose sign is written out in brackets, in small letters."""
_DOT: Final = re.compile(r"[^a-z0-9.-]{1,4}dot[^a-z0-9.-]{1,4}")
_DOCUMENT: Final = re.compile(
    r"\b(?:passport|reisepass|passnummer|driver'?s?'? licen[cs]e|driving licen[cs]e|identity card)"
    r"(?: (?:number|no|nr|id)\b\.?)?(?: is)?[\s:#]{1,3}"
    r"(?:[a-z]{0,3}[ -]?\d{3}-?\d{3,9}|[a-z9]{5}\d{6}[a-z9]{2}\d[a-z]{2})(?![\w-]|\.\d)"
)
_DOCUMENT_WORDS: Final = frozenset(("passport", "reisepass", "passnummer", "license", "licence", "identity"))
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]){11,30}")
_CARD: Final = re.compile(
    r"(?<![\w.-])(\d{4}([ -]?)\d{4}\2\d{4}\2\d{1,4})(\2\d{3})?(?![\w-]|\.\d)"
    r"|(?<![\w.-])(\d{4}([ -]?)\d{6}\5\d{4,5})(?![\w-])"
)
_CARD_FOLDED: Final = re.compile(
    r"(?<![\w.-])(?:\d{4}([ -]?)\d{4} ?\r?\n {0,4}\d{4}\1\d{4}|\d{4}([ -])\d{4}\2\d{4} ?\r?\n {0,4}\d{4}"
    r"|\d{4} ?\r?\n {0,4}\d{4}([ -])\d{4}\3\d{4})(?![\w-]|\.\d)"
)
"""A card of sixteen digits with one line break between its groups; a column of single numbers is none."""
_AHV: Final = re.compile(r"(?<![\w.])756[. ]?\d{4}[. ]?\d{4}[. ]?\d{2}(?!\w)")
_SSN: Final = re.compile(r"(?<![\w-])(\d{3})-(\d{2})-(\d{4})(?![\w-])")
_NINE: Final = re.compile(r"(?<![\w-])\d{3} ?\d{2} ?\d{4}(?![\w-])")
_NHS: Final = re.compile(r"(?<![\w-])\d{3}[ -]?\d{3}[ -]?\d{4}(?![\w-])")
_TAX: Final = re.compile(r"(?<![\w.-])\d{2} ?\d{3} ?\d{3} ?\d{3}(?![\w-]|\.\d)")
_NINO: Final = re.compile(r"(?<!\w)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2}( ?)\d{2}\1\d{2} ?[A-D](?!\w)", re.I)
_PASSPORT: Final = re.compile(r"(?<![A-Z0-9<])[A-Z0-9<]{9}\d[A-Z<]{3}\d{7}[MFX<]\d{7}[A-Z0-9<]{14}\d\d?")
_PASSPORT_NAME: Final = re.compile(r"(?<![A-Z0-9<])P[A-Z<][A-Z<]{3}[A-Z]{1,30}<<[A-Z<]{5,38}")
_IPV4: Final = re.compile(r"(?<![\w.-])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\w-]|\.\d)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_E164: Final = re.compile(r"(?<![\w+)])(?:\+|00)[1-9](?:[ .()/-]{0,3}\d){7,14}(?![\w-])")
_NANP: Final = re.compile(
    r"(?<![\w.+-])(?<!\d[ .-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?![\w-]|\.\d)"
)
_NATIONAL: Final = re.compile(
    r"(?<![\w.+-])(?<!\d )\(?0[1-9]\d{0,3}\)?[ /-]{1,3}\d{2,4}(?:[ -]\d{2,4}){1,4}(?![\w-]|\.\d)"
    r"|(?<![\w.+-])(?<!\d )\(?0[1-9]\d{1,3}\)?(?: ?/ ?| )\d{5,8}(?!\w)"
)
_ANY_PHONE: Final = re.compile(r"(?<![\w.+-])\(?\d(?:[ .()/-]{0,2}\d){6,13}(?![\w-]|\.\d)")
_PHONE_WORD: Final = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|whatsapp|fax|call|ring|text|handy|telefon|natel|sms"
    r"|(?:my|his|her|their) (?:new |private )?number)\b",
    re.I,
)
_OTHER_NUMBER: Final = re.compile(
    r"(?:order|invoice|ticket|tracking|serial|part|sku|isbn|issn|article|item|case|account|ref|reference|id|no|nr"
    r"|number|code|version|port|bestellung|rechnung)[\s.:#-]{0,3}"
    r"(?:no|nr|number|id|code)?[\s.:#-]{0,3}(?:is )?#?$|#$",
    re.I,
)
_VERSION_WORD: Final = re.compile(
    r"(?:version|release|build|section|chapter|rev|ver|v|oid|§)[\s.:=#-]{0,3}$", re.I
)
_NO_VERSION: Final = 30
"""Four numbers below it may be a version or a section, unless the text speaks of addresses."""
_IP_WORDS: Final = frozenset(("ip", "ipv", "address", "host", "server", "client", "login", "logged", "visitor"))
_GENERIC_NAMES: Final = """
    user users username name someone somebody email test foo example you your admin info support contact hello
    sales help me abc xyz
"""
_GENERIC: Final = frozenset(_GENERIC_NAMES.split())
_ROLES: Final = frozenset(("noreply", "no-reply", "donotreply", "postmaster", "git"))
_SAMPLE_DOMAIN: Final = re.compile(
    r"(?:example|domain|company|test|email|mail|bar|abc|xyz|yourdomain)\.[a-z.]{2,6}"
)


def _personal(text: str, lower: str, words: frozenset[str]) -> Iterator[str]:
    """Rules that fire, cheapest first; each group only when the text has what it cannot do without."""
    if "@" in text and any(not _sample_mail(m[1].lower(), m[2].lower()) for m in _EMAIL.finditer(text)):
        yield "email"
    if "at" in words and any(_spelled_mail(m) for m in _SPELLED.finditer(lower)):
        yield "email"
    if "<<" in text and _is_passport(text):
        yield "passport"
    if text.count(":") >= 2 and any(known.is_personal_ipv6(m[0]) for m in _IPV6.finditer(text)):
        yield "ipv6"
    if _SEVEN.search(text):
        yield from _numbers(text, words)
    if text.count(".") >= 3 and any(_somebodys_ipv4(text, m, words) for m in _IPV4.finditer(text)):
        yield "ipv4"
    if any("0" <= c <= "9" for c in text):
        yield from _with_words(text, lower, words)


def _numbers(text: str, words: frozenset[str]) -> Iterator[str]:
    if any(known.is_iban(m[0]) for m in _IBAN.finditer(text)):
        yield "iban"
    folded = "\n" in text and any(known.is_card(known.digits_of(m[0])) for m in _CARD_FOLDED.finditer(text))
    if folded or any(_cards(m) for m in _CARD.finditer(text)):
        yield "card"
    if "756" in text and any(known.is_ahv(known.digits_of(m[0])) for m in _AHV.finditer(text)):
        yield "ahv"
    if any(known.is_ssn(m[1] + m[2] + m[3]) and not _other(text, m) for m in _SSN.finditer(text)):
        yield "ssn"
    insured = not words.isdisjoint(("ssn", "social"))
    if insured and any(known.is_ssn(known.digits_of(m[0])) for m in _NINE.finditer(text)):
        yield "ssn"
    if "nhs" in words and any(known.is_nhs(known.digits_of(m[0])) for m in _NHS.finditer(text)):
        yield "nhs"
    if any(_tax(m[0], words) for m in _TAX.finditer(text)):
        yield "tax_id"
    if any(_phones(text)):
        yield "phone"


def _with_words(text: str, lower: str, words: frozenset[str]) -> Iterator[str]:
    insured = not words.isdisjoint(("insurance", "nino"))
    if any((insured or m[1]) and known.is_nino(m[0]) for m in _NINO.finditer(text)):
        yield "nino"
    if not words.isdisjoint(_DOCUMENT_WORDS) and _DOCUMENT.search(lower):
        yield "document"
    if (not words.isdisjoint(_BIRTH_WORDS) or "d.o.b" in lower) and _BIRTH.search(lower):
        yield "birth"
    if (not words.isdisjoint(_STREETS) or any(end in lower for end in _STREET_ENDS)) and _address(text):
        yield "address"


def _is_passport(text: str) -> bool:
    second = any(known.is_passport_line(m[0]) for m in _PASSPORT.finditer(text))
    return second or _PASSPORT_NAME.search(text) is not None


def _sample_mail(local: str, domain: str) -> bool:
    return local in _ROLES or (local in _GENERIC and _SAMPLE_DOMAIN.fullmatch(domain) is not None)


def _spelled_mail(found: re.Match[str]) -> bool:
    return not _sample_mail(found[1], _DOT.sub(".", found[2]).replace(" dot ", "."))


def _cards(found: re.Match[str]) -> bool:
    whole, base = known.digits_of(found[0]), known.digits_of(found[1] or "")
    return known.is_card(whole) or known.is_card(base)


def _tax(candidate: str, words: frozenset[str]) -> bool:
    said = not words.isdisjoint(("steuer", "tax", "tin", "idnr", "steuerid", "identifikationsnummer", "taxpayer"))
    return (said or candidate.count(" ") == 3) and known.is_tax_id(known.digits_of(candidate))


def _phones(text: str) -> Iterator[bool]:
    for pattern in (_E164, _NANP, _NATIONAL):
        for m in pattern.finditer(text):
            yield not _other(text, m) and 9 <= len(known.digits_of(m[0])) <= 16
    if _PHONE_WORD.search(text):
        for m in _ANY_PHONE.finditer(text):
            before = text[max(0, m.start() - _NEAR) : m.start()]
            yield _PHONE_WORD.search(before) is not None and len(set(known.digits_of(m[0]))) > 2


def _other(text: str, found: re.Match[str]) -> bool:
    """Whether the words before say that it is the number of something else."""
    before = text[max(0, found.start() - _NEAR) : found.start()]
    return _OTHER_NUMBER.search(before) is not None and _PHONE_WORD.search(before) is None


def _somebodys_ipv4(text: str, found: re.Match[str], words: frozenset[str]) -> bool:
    a, b, c, d = (int(part) for part in found.groups())
    before = text[max(0, found.start() - _NEAR) : found.start()]
    if not known.is_personal_ipv4((a, b, c, d)) or _VERSION_WORD.search(before):
        return False
    return max(a, b, c, d) >= _NO_VERSION or not words.isdisjoint(_IP_WORDS)


_MONTH: Final = r"(?:jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]{0,6}\.?"
_DATE: Final = (
    rf"(?:\d{{1,2}}[./-]\d{{1,2}}[./-](?:19|20)?\d\d|(?:19|20)\d\d-\d\d-\d\d"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)? (?:of )?{_MONTH},? (?:19|20)\d\d"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? (?:19|20)\d\d)"
)
_BIRTH_WORDS: Final = frozenset(
    ("born", "birth", "dob", "birthday", "birthdate", "geboren", "geburtsdatum", "geb", "nato")
)
_BIRTH: Final = re.compile(
    rf"\b(?:born|dob|birthday|birthdate|date of birth|geboren|geburtsdatum|geb\.?|nato|d\.o\.b\.?)"
    rf"[^\d\n,;]{{0,20}}?(?<!\d){_DATE}(?!\d)"
)
_STREET_WORDS: Final = """
    street st road rd avenue ave lane ln drive dr boulevard blvd way court ct place pl square terrace close
    crescent hill gardens grove mews walk strasse str platz allee ring rue chemin route via viale piazza calle
"""
_STREETS: Final = frozenset(_STREET_WORDS.split())
_STREET_ENDS: Final = ("strasse", "straße", "str.", "weg ", "gasse", "platz", "allee", "ring ")
_STREET: Final = re.compile(
    r"(?<!\w)\d{1,5}[A-Za-z]?,? (?:[A-Z][\w'.-]{0,24} ){1,4}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr"
    r"|Boulevard|Blvd|Way|Court|Ct|Place|Pl|Square|Sq|Terrace|Close|Crescent|Hill|Gardens|Grove|Mews|Walk)\b"
    r"|(?<!\w)[A-ZÄÖÜ][a-zäöüß]{1,24}(?:strasse|straße|str\.|weg|gasse|platz|allee|ring) \d{1,4}[a-z]?(?!\w)"
    r"|(?<!\w)\d{1,4}(?: ?bis)?,? (?:[Rr]ue|[Aa]venue|[Bb]oulevard|[Cc]hemin|[Pp]lace|[Rr]oute)"
    r" [\w' -]{2,40}?(?=,|\n| \d)"
    r"|(?<!\w)(?:[Vv]ia|[Vv]iale|[Pp]iazza|[Cc]alle) [A-Z][\w' ]{2,30}?,? \d{1,4}(?!\w)"
)
_POSTCODE: Final = re.compile(
    r"(?<![\w-])(?:[A-Z]{2},? \d{5}(?:-\d{4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d"
    r"|(?:[A-Z]{1,2}-)?\d{4,5},? [A-ZÄÖÜÉ][\w'äöüéèß-]{1,30}|\d{5})(?!\w)"
)


def _address(text: str) -> bool:
    return any(_POSTCODE.search(text[m.end() : m.end() + 60]) for m in _STREET.finditer(text))
