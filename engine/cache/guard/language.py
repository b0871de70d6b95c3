"""Which language a question is in: its script, and for Latin letters its commonest words. Pure, deterministic."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Final

from engine.cache.guard.wording import STOP_WORDS

LOOKED_AT: Final = 500
"""Characters of a text that decide its language; the rest is more of the same."""
WORD: Final = re.compile(r"[^\W\d_]+")
SCRIPTS: Final = {
    "CYRILLIC": "cyrillic", "GREEK": "el", "ARABIC": "ar", "HEBREW": "he", "DEVANAGARI": "hi", "BENGALI": "bn",
    "TAMIL": "ta", "TELUGU": "te", "THAI": "th", "HANGUL": "ko", "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh",
    "GEORGIAN": "ka", "ARMENIAN": "hy", "GUJARATI": "gu", "GURMUKHI": "pa", "KANNADA": "kn", "MALAYALAM": "ml",
    "SINHALA": "si", "KHMER": "km", "LAO": "lo", "MYANMAR": "my", "ETHIOPIC": "am", "TIBETAN": "bo",
}  # fmt: skip
SPEAKING: Final = {
    word: tuple(code for code, words in STOP_WORDS.items() if word in words)
    for word in frozenset[str]().union(*STOP_WORDS.values())
}
"""Stop word to the languages it belongs to."""


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").split(" ", 1)[0]
    return SCRIPTS.get(name, "latin" if name in {"LATIN", "FULLWIDTH"} else "")


def language_of(text: str) -> str:
    """A language or script code: "en", "es", "de", "zh", "ja", "cyrillic" …

    Kana makes Japanese of Chinese characters. Latin letters without evidence for another language are "en", as is
    a text without letters. Another language needs two of its commonest words, and more of them than English has.
    """
    return _language(text[:LOOKED_AT])


@lru_cache(maxsize=2048)
def _language(head: str) -> str:
    if not head.isascii():
        script = _main_script(head)
        if script != "latin":
            return script
        head = unicodedata.normalize("NFC", head)
    found = Counter(code for word in sorted({*WORD.findall(head.lower())}) for code in SPEAKING.get(word, ()))
    best = min((code for code in STOP_WORDS if code != "en"), key=lambda code: (-found[code], code))
    return best if found[best] >= 2 and found[best] > found["en"] else "en"


def _main_script(text: str) -> str:
    """The script of more than half of the letters; Latin when none has so many."""
    scripts = Counter(script for letter in text if letter.isalpha() and (script := _script(letter)))
    if scripts["ja"] and scripts["zh"]:
        scripts["ja"] += scripts.pop("zh")
    most, count = min(scripts.items(), key=lambda item: (-item[1], item[0]), default=("latin", 0))
    return most if 2 * count > scripts.total() else "latin"
