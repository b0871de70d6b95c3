"""Rule `question`: the same words, and another kind of answer wanted: why against when, should I against how do I.

Not a parser: a question that begins in no known way is of no kind, and where one side has no kind nothing is
refused. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.cache.guard.align import Compared, Left
from engine.cache.guard.text import Token
from engine.cache.guard.wording import (
    ADVISED,
    ALLOWED,
    AMOUNTS,
    ASKED_BEFORE,
    ASKED_FOR,
    AUXILIARY,
    COUNTED_AS,
    FACTS,
    LEADING,
    OBLIGED,
    ORDERED,
    PLACED,
    REASONED,
    SAME,
    TURNED,
    TURNS,
)

START: Final = 7
"""Words from the question word on in which «the best way to» and its like are looked for."""
HALF: Final = 0.5
"""Share of the longer question's content below which two questions are not the same words."""
OPEN: Final = 4
"""Words without a partner that the beginnings of both questions may explain; more are another question."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What kind of answer is wanted, the words that say so, and the verb right behind them."""

    name: str
    words: frozenset[str]
    turn: str = ""
    rest: tuple[str, ...] = ()
    """Further question words of the text."""


def _kind(name: str, texts: Sequence[str], length: int) -> _Kind:
    """The kind told by the first ``length`` words."""
    following = texts[length] if length < len(texts) else ""
    return _Kind(name, frozenset(texts[:length]), TURNS.get(following, ""))


def _begins(texts: Sequence[str], phrases: Sequence[tuple[str, ...]]) -> int:
    """Length of the phrase the words begin with; 0 when with none."""
    return next((len(phrase) for phrase in phrases if tuple(texts[: len(phrase)]) == phrase), 0)


def _headed(texts: Sequence[str], *, start: int) -> _Kind | None:
    """What is the best way to, is there a reason, which year: the noun says what is wanted."""
    for at, text in enumerate(texts[start:START], start):
        name = ASKED_FOR.get(text)
        following = texts[at + 1] if at + 1 < len(texts) else ""
        if name and (name == "reason" or following in AUXILIARY or following in ASKED_BEFORE):
            return _kind(name, texts, at + 1)
    return None


def _how(texts: Sequence[str]) -> _Kind | None:
    """How many, how long and how old each ask for their own figure; how with a verb for a manner."""
    following = texts[1] if len(texts) > 1 else ""
    if following == "come" or tuple(texts[1:4]) == ("is", "it", "that"):
        return _kind("reason", texts, 2)
    if following in {"many", "much"} and len(texts) > 2 and texts[2] in COUNTED_AS:
        return _kind(COUNTED_AS[texts[2]], texts, 3)
    if tuple(texts[1:3]) == ("long", "since"):
        return None
    if following in AMOUNTS:
        return _kind(AMOUNTS[following], texts, 2)
    return _kind("manner", texts, 1) if following in AUXILIARY or following == "to" else None


def _what(texts: Sequence[str]) -> _Kind | None:
    """What causes it, what is the best way to do it, what time is it; else what it is."""
    headed = _headed(texts, start=1)
    if headed:
        return headed
    following = texts[1] if len(texts) > 1 else ""
    if following in REASONED:
        return _kind("reason", texts, 2)
    if texts[-1] in LEADING:
        return None
    return _kind("thing" if following in AUXILIARY and texts[0] == "what" else "which", texts, 1)


def _asks(texts: Sequence[str]) -> _Kind | None:
    """The kind of a question that starts with its question word."""
    first, following = texts[0], texts[1] if len(texts) > 1 else ""
    if first == "how":
        return _how(texts)
    if first in {"what", "which"}:
        return _what(texts)
    if first == "why":
        return _kind("reason", texts, 1)
    if first == "who":
        return _kind("person", texts, 1)
    if first in {"when", "where"} and (following in AUXILIARY or following == "to"):
        return _kind("time" if first == "when" else "place", texts, 1)
    return None


def _polar(texts: Sequence[str]) -> _Kind | None:
    """Should I, do I have to, can I, is it: yes or no would do."""
    for name, phrases in (("advice", ADVISED), ("ability", ALLOWED)):
        length = _begins(texts, phrases)
        if length:
            return _Kind(name, frozenset(texts[:length]))
    if len(texts) < 2 or texts[0] not in FACTS or (texts[0] == "am" and texts[1] != "i"):
        return None
    if texts[0] in {"do", "have"} and texts[1] in ORDERED:
        return None
    if texts[1] == "there":
        return _headed(texts, start=1)
    for at in range(1, min(START, len(texts) - 1)):
        if texts[0] in {"do", "does"} and (texts[at], texts[at + 1]) in OBLIGED:
            return _Kind("duty", frozenset({texts[0], *texts[at : at + 2]}))
    return _Kind(FACTS[texts[0]], frozenset(texts[:1]))


def _starts(tokens: Sequence[Token]) -> bool:
    """Whether the last of these asks: «users who», «the one which» inside a text only say more about a thing."""
    return tokens[-1].text not in {"who", "what", "which"} or not any(token.content for token in tokens)


def _of(tokens: Sequence[Token]) -> _Kind | None:
    """The kind of answer a text asks for; None when it is none of ours."""
    texts = [token.text for token in tokens]
    asking = [at for at, token in enumerate(tokens) if token.kind == "question"]
    polar = _polar(texts) if tokens and not tokens[0].content else None
    if polar:
        return replace(polar, rest=tuple(texts[at] for at in asking))
    found = _asks(texts[asking[0] :]) if asking and _starts(tokens[: asking[0] + 1]) else None
    return replace(found, rest=tuple(texts[at] for at in asking[1:])) if found else None


def _told(mine: _Kind, theirs: _Kind, tokens: Sequence[Token], left: Sequence[Left]) -> bool:
    """Whether one side's words without a partner are just those of content by which it asks."""
    asking = {token.text for token in tokens if token.content and token.text in mine.words}
    alone = {word.token.text for word in left}
    return alone <= mine.words and asking <= alone | theirs.words


def _parts(mine: _Kind, theirs: _Kind, compared: Compared) -> bool:
    """Whether an answer of the one kind is none of the other."""
    kinds = frozenset({mine.name, theirs.name})
    if len(kinds) == 1:
        return frozenset({mine.turn, theirs.turn}) in TURNED
    if "which" in kinds:
        return any("many" in kind.words for kind in (mine, theirs))
    if kinds in SAME:
        return False
    if kinds == frozenset({"advice", "reason"}):
        return "should" not in {mine.turn, theirs.turn}
    if "place" in kinds and kinds & {"manner", "ability", "thing", "is"}:
        return not any(token.key in PLACED or token.text in PLACED for token in compared.a)
    return True


def question(compared: Compared) -> str | None:
    """The same content on both sides, and different kinds of answer wanted."""
    if len(compared.left_a) + len(compared.left_b) > OPEN or compared.overlap < HALF:
        return None
    mine, theirs = _of(compared.a), _of(compared.b)
    if mine is None or theirs is None or mine.rest != theirs.rest:
        return None
    if not (_told(mine, theirs, compared.a, compared.left_a) and _told(theirs, mine, compared.b, compared.left_b)):
        return None
    if not _parts(mine, theirs, compared):
        return None
    same = mine.name == theirs.name
    return f"{mine.turn} against {theirs.turn}" if same else f"{mine.name} against {theirs.name}"
