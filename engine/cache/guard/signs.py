"""Rule `signs`: characters that are no word, number or punctuation must be the same on both sides. Pure, linear.

What no rule reads, a model reads all the same: an instruction spelled in tag characters, Braille, emoji or dots
would come in unseen. Not the operators (``operators.py``), and no judgement on what such characters mean.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import groupby
from typing import Final

from engine.cache.guard.pieces import REMEMBERED_CHARS, TOKEN, written

OPERATORS: Final = "+-*/^%<>=!&|~"
PUNCTUATION: Final = frozenset("?.,;:!…¿¡'\"()[]{}«»‹›„‚‟「」『』《》〈〉【】、。・‐‑‒―")
"""Stands in ordinary sentences; may be there or not."""
MATHS: Final = str.maketrans(
    {"×": "*", "÷": "/", "−": "-", "⁄": "/", "∗": "*", "≠": "!=", "≤": "<=", "≥": ">="} | dict.fromkeys("‐‒―", "-")
)
RUN: Final = re.compile(rf"[{re.escape(''.join(sorted(PUNCTUATION)) + OPERATORS)}\s]+")
ENDING: Final = "?!. "
MARKS: Final = 3
"""Groups of punctuation in a row from which, if they differ, they are a pattern and no sentence."""
TURNS: Final = 4
"""Changes from one mark to another without a space, above which the same holds."""
SHOWN: Final = 3


def spelled_out(text: str) -> str:
    """``text`` in one writing of quotes, widths, dashes and mathematical signs."""
    return written(text).translate(MATHS)


def _pattern(run: str) -> bool:
    """Whether punctuation in a row says more than punctuation does: ``.. -. .``."""
    groups = run.split()
    if len(groups) >= MARKS and len({*groups}) > 1:
        return True
    return max((sum(1 for _ in groupby(group)) for group in groups), default=0) > TURNS


def _unread(text: str) -> Counter[str]:
    """The characters that no token reads, but for punctuation and operators; patterns of those, each as one."""
    plain = spelled_out(text)
    found = Counter(
        sign for sign in TOKEN.sub(" ", plain) if not (sign.isspace() or sign in PUNCTUATION or sign in OPERATORS)
    )
    runs = (run.strip().rstrip(ENDING) for run in RUN.findall(plain))
    found.update(run for run in runs if len(run) >= MARKS and _pattern(run))
    return found


@lru_cache(maxsize=2048)
def _remembered(text: str) -> Counter[str]:
    return _unread(text)


def unread(text: str) -> Counter[str]:
    """See ``_unread``; what is short is remembered."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARS else _unread(text)


def _named(sign: str) -> str:
    """For people: never the character itself, which may be invisible or turn the line round."""
    if len(sign) > 1:
        return "a pattern of punctuation"
    return f"U+{ord(sign):04X} {unicodedata.name(sign, '')}".strip().lower().replace("u+", "U+")


def signs(asked: str, stored: str) -> str | None:
    """Characters on one side only: symbols, emoji, marks; invisible, private or unassigned ones."""
    mine, theirs = unread(asked), unread(stored)
    if mine == theirs:
        return None
    apart = sorted({*(mine - theirs), *(theirs - mine)})
    names = list(dict.fromkeys(map(_named, apart[:SHOWN])))
    return f"only on one side, or more often there: {', '.join(names)}"
