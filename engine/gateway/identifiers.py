"""Numbers that name a person, told from other numbers by their check digits and rules of issue. Pure.

What is handed in is a candidate that a pattern found; the patterns are in ``engine/gateway/data_class.py``.
"""

from __future__ import annotations

from itertools import cycle
from typing import Final

_IBANS: Final = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18
    FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20
    LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SE24 SI19 SK24
    SM27 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_LENGTHS: Final = {each[:2]: int(each[2:]) for each in _IBANS.split()}
"""Characters of an IBAN by country (ISO 13616 registry)."""
_ISSUERS: Final = (
    ("4", "4", (13, 16, 19)),
    ("51", "55", (16,)),
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),
    ("37", "37", (15,)),
    ("300", "305", (14,)),
    ("36", "36", (14,)),
    ("38", "39", (14,)),
    ("3528", "3589", (16,)),
    ("6011", "6011", (16, 19)),
    ("644", "659", (16, 19)),
    ("62", "62", (16, 17, 18, 19)),
)
"""First digits, from and to, and lengths of the card schemes (ISO/IEC 7812)."""
_NINO_NEVER: Final = frozenset(("BG", "GB", "KN", "NK", "NT", "TN", "ZZ"))
_MRZ_WEIGHTS: Final = (7, 3, 1)


def digits_of(text: str) -> str:
    """Its ASCII digits."""
    return "".join(c for c in text if "0" <= c <= "9")


def is_iban(candidate: str) -> int:
    """Length of the IBAN that ``candidate`` begins with, without blanks; 0: it is none (ISO 7064 mod 97-10)."""
    compact = candidate.replace(" ", "").upper()
    length = _IBAN_LENGTHS.get(compact[:2], 0)
    if not length or len(compact) < length:
        return 0
    moved = compact[4:length] + compact[:4]
    return length if int("".join(str(int(c, 36)) for c in moved)) % 97 == 1 else 0


def is_card(digits: str) -> bool:
    """A card number: a scheme's first digits and length, and Luhn's check digit."""
    if len(set(digits)) < 2:
        return False
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    doubled = (2 * int(d) if place % 2 else int(d) for place, d in enumerate(reversed(digits)))
    return known and sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def is_ssn(digits: str) -> bool:
    """A number the US Social Security Administration can have given out."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    given = area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"
    return len(digits) == 9 and given


def is_ahv(digits: str) -> bool:
    """A Swiss insurance number: country 756 and the check digit of EAN-13."""
    return len(digits) == 13 and digits[:3] == "756" and _ean13(digits)


def is_nhs(digits: str) -> bool:
    """A UK health service number: weights 10 to 2, modulo 11."""
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    check = 11 - sum(int(d) * weight for d, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check % 11 == int(digits[9]) and check != 10


def is_nino(candidate: str) -> bool:
    """A UK National Insurance number, of whose letters some pairs are never given out."""
    return candidate[:2].upper() not in _NINO_NEVER


def is_tax_id(digits: str) -> bool:
    """A German tax id: one digit two or three times in the first ten, check digit by ISO 7064 mod 11,10."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    repeated = [digits[:10].count(d) for d in set(digits[:10]) if digits[:10].count(d) > 1]
    if len(repeated) != 1 or repeated[0] > 3:
        return False
    product = 10
    for d in digits[:10]:
        product = ((int(d) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_passport_line(line: str) -> bool:
    """Second line of a passport's machine-readable zone: check digits of number, birth and expiry (ICAO 9303)."""
    parts = ((line[0:9], line[9]), (line[13:19], line[19]), (line[21:27], line[27]))
    return all(_mrz(field) == int(check) for field, check in parts)


def is_personal_ipv4(parts: tuple[int, int, int, int]) -> bool:
    """A public address that can be somebody's: not private, reserved or a sample (RFC 6890), and no resolver's."""
    a, b, c, _ = parts
    if max(parts) > 255 or a in (0, 10, 127) or a >= 224 or len(set(parts)) == 1:
        return False
    private = (a, b) in ((192, 168), (169, 254)) or (a == 172 and 16 <= b < 32) or (a == 100 and 64 <= b < 128)
    reserved = (a, b, c) in ((192, 0, 0), (192, 0, 2), (198, 51, 100), (203, 0, 113)) or (a, b) in (
        (198, 18),
        (198, 19),
    )
    return not private and not reserved and parts not in ((8, 8, 4, 4), (1, 0, 0, 1))


def is_personal_ipv6(candidate: str) -> bool:
    """A complete global unicast address, 2000::/3, that is not for documentation (RFC 4291, RFC 3849)."""
    groups = candidate.split(":")
    first = groups[0].lower()
    if len(first) != 4 or first[0] not in "23" or candidate.count("::") > 1:
        return False
    if "" in groups and "::" not in candidate:
        return False
    whole = len(groups) == 8 and "" not in groups
    short = "::" in candidate and 3 <= len(groups) <= 8
    documentation = first == "2001" and groups[1].lower() in ("db8", "0db8")
    return (whole or short) and not documentation


def _ean13(digits: str) -> bool:
    return sum(int(d) * weight for d, weight in zip(digits, cycle((1, 3)), strict=False)) % 10 == 0


def _mrz(field: str) -> int:
    values = (0 if c == "<" else int(c, 36) for c in field)
    return sum(value * weight for value, weight in zip(values, cycle(_MRZ_WEIGHTS), strict=False)) % 10
