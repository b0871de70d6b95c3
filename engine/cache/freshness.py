"""Whether a question is about now, so that its answer grows old in minutes (cache.fresh). Pure.

A word list, on the safe side: a question that only seems to be about now costs a shorter life and no sharing.
"""

from __future__ import annotations

import re
from typing import Final

_PERIOD: Final = (
    "second|minute|hour|morning|afternoon|evening|night|day|week|weekend|month|quarter|season|semester|year"
)
_NOW: Final = (
    r"now|today|todays|tonight|yesterday|tomorrow|currently|current|nowadays|latest|newest|recent|recently",
    r"breaking|upcoming|so far|as of|up[- ]to[- ]date|at the moment|these days|this (?:very )?moment",
    rf"(?:this|next|last|past|coming) (?:{_PERIOD})",
    r"what time|what day|what date|(?:the|what'?s the) (?:time|date)|how long until|days? (?:until|till|left)",
    r"news|headlines?|weather|forecast|traffic|stock price|share price|exchange rate|spot price",
    r"price of|trending|score of|standings|who won|who is winning|on sale|in stock|status of",
    r"jetzt|heute|gestern|morgen|aktuell\w*|derzeit|neueste\w*|wetter|nachrichten",
    r"aujourd'?hui|maintenant|demain|actuellement|derni(?:er|ère)s?|météo",
    r"ahora|hoy|ayer|mañana|actualmente|últim[oa]s?|reciente\w*",
    r"oggi|ieri|domani|adesso|attualmente|ultim[oie]|hoje|ontem|amanhã|agora|atualmente",
)
_ABOUT_NOW: Final = re.compile(rf"\b(?:{'|'.join(_NOW)})\b", re.IGNORECASE)
_CJK_NOW: Final = re.compile("今|现在|現在|最新|最近|昨日|明日|昨天|明天|오늘|지금|최신")
READ_CHARS: Final = 4_096
"""Longer questions carry their own material; what time they ask about stands at one of their ends."""


def about_now(question: str) -> bool:
    """Whether the right answer depends on when it is asked."""
    text = question if len(question) <= 2 * READ_CHARS else f"{question[:READ_CHARS]} {question[-READ_CHARS:]}"
    return _ABOUT_NOW.search(text.replace("\u2019", "'")) is not None or _CJK_NOW.search(text) is not None
