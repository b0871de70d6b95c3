"""The same request in another sentence: "how do I X" as "ways to X", "what is X" as "explain X".

A family is a list of ways to say one thing about a slot; a text that fits one of them is said in another one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from engine.training.pairs.text import capitalised, decapitalised

_VERB: Final = r"(?P<x>(?!not\b|I\b|you\b|my\b|to\b)[a-z][\w'-]*(?: .+?)?)"
_THING: Final = r"(?P<x>[^?]+?)"
_SHORT: Final = (
    r"(?P<x>(?!the\b|my\b|your\b|a good\b|\d|it\b|this\b|there\b|difference)(?:an? )?[\w./#+'-]+"
    r"(?: [\w#+'-]+){0,2})"
)
_THE: Final = r"(?P<x>the (?!difference|opposite|point|best|easiest|fastest|cheapest)[\w' -]+? of [\w' .+#-]+?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """``asked`` are patterns with a group ``x``, ``said`` the ways to say it with ``{x}``."""

    asked: tuple[str, ...]
    said: tuple[str, ...]


_HOW: Final = Family(
    asked=(
        rf"How (?:do|can|would|could) (?:I|you|we) {_VERB}\??",
        rf"How does one {_VERB}\??",
        rf"how to {_VERB}\??",
        rf"What(?:'s| is) the (?:best |easiest )?way to {_VERB}\??",
        rf"(?:best )?ways to {_VERB}",
        rf"Can you (?:tell|show) me how to {_VERB}\??",
    ),
    said=(
        "How do I {x}?",
        "How can I {x}?",
        "How do you {x}?",
        "how to {x}",
        "how can one {x}?",
        "What is the best way to {x}?",
        "What would be the way to {x}?",
        "What are the steps to {x}?",
        "What do I have to do to {x}?",
        "I want to {x}, how?",
        "I'd like to {x}. How do I do that?",
        "I need to {x}, how do I do it?",
        "I'm trying to {x}. How?",
        "Can you tell me how to {x}?",
        "Could you explain how to {x}?",
        "Show me how to {x}",
        "ways to {x}",
        "Steps to {x}",
        "help me {x}",
        "instructions to {x}",
        "Guide: how to {x}",
        "How would I go about it if I want to {x}?",
        "Is there a guide on how to {x}?",
        "I don't know how to {x}",
        "What should I do to {x}?",
        "How is it done: {x}?",
    ),
)
_DEFINE: Final = Family(
    asked=(
        rf"What(?:'s| is) {_SHORT}\??",
        rf"(?:Define|Explain) {_SHORT}",
        rf"(?:meaning|definition) of {_SHORT}",
    ),
    said=(
        "What is {x}?",
        "What's {x}?",
        "what is meant by {x}?",
        "Define {x}",
        "Explain {x}",
        "meaning of {x}",
        "definition of {x}",
        "Explain what {x} is",
        "Would you explain {x}?",
        "What exactly is {x}?",
        "Tell me what {x} is",
        "What do people mean by {x}?",
        "{x} definition",
        "I want to know what {x} is",
    ),
)
_OF: Final = Family(
    asked=(rf"What(?:'s| is) {_THE}\??", rf"Tell me {_THE}"),
    said=(
        "What is {x}?",
        "What's {x}?",
        "Tell me {x}",
        "Do you know {x}?",
        "I'd like to know {x}",
        "{x}?",
        "Can you tell me what {x} is?",
        "Could you tell me {x}?",
        "I need to know {x}",
    ),
)
_FAMILIES: Final = (
    _HOW,
    _DEFINE,
    _OF,
    Family(
        asked=(r"Why (?:do|did) (?P<x>(?!I\b|you\b|we\b)\w+ .+?)\??", r"(?:Reasons|Explain) why (?P<x>\w+ .+)"),
        said=(
            "What is the reason that {x}?",
            "Reasons why {x}",
            "Explain why {x}",
            "Why is it that {x}?",
            "how come {x}?",
        ),
    ),
    Family(
        asked=(
            rf"Is it possible to {_VERB}\??",
            rf"Can (?:I|one|you) {_VERB}\??",
            rf"Is there a way to {_VERB}\??",
        ),
        said=(
            "Is it possible to {x}?",
            "Can I {x}?",
            "Can one {x}?",
            "Can you {x}?",
            "Am I able to {x}?",
            "Would it be possible to {x}?",
            "I wonder if I can {x}",
        ),
    ),
    Family(
        asked=(rf"Should I {_VERB}\??", rf"Is it a good idea to {_VERB}\??"),
        said=(
            "Should I {x}?",
            "Is it a good idea to {x}?",
            "Is it advisable to {x}?",
            "Would you advise me to {x}?",
        ),
    ),
    Family(
        asked=(rf"Do I (?:need|have) to {_VERB}\??", rf"Is it necessary to {_VERB}\??"),
        said=("Do I need to {x}?", "Do I have to {x}?", "Is it necessary to {x}?", "Am I required to {x}?"),
    ),
    Family(
        asked=(rf"How long does it take to {_VERB}\??", rf"How much time does it take to {_VERB}\??"),
        said=(
            "How long does it take to {x}?",
            "How much time does it take to {x}?",
            "how long to {x}",
            "time needed to {x}",
            "How much time do I need to {x}?",
        ),
    ),
    Family(
        asked=(
            r"How much does (?P<x>(?!it\b|the\b)(?:an? )?[\w' -]+?) cost\??",
            rf"What(?:'s| is) the (?:price|cost) of {_THING}\??",
        ),
        said=("How much does {x} cost?", "What is the cost of {x}?", "what do I pay for {x}?", "cost of {x}"),
    ),
    Family(
        asked=(r"What happens if (?P<x>.+?)\??", r"What will happen if (?P<x>.+?)\??"),
        said=(
            "What happens if {x}?",
            "What will happen if {x}?",
            "What would happen if {x}?",
            "What are the consequences if {x}?",
            "If {x}, what happens?",
        ),
    ),
    Family(
        asked=(r"Give me (?P<x>(?:\d+|an?|some) .+)", r"(?:Suggest|I need|I'd like) (?P<x>(?:an?|\d+) .+)"),
        said=(
            "Give me {x}",
            "I need {x}",
            "I'd like {x}",
            "Could I have {x}?",
            "I'm looking for {x}",
            "please provide {x}",
        ),
    ),
    Family(
        asked=(r"List (?P<x>\w+ .+)", r"Name (?P<x>\d+ .+)"),
        said=(
            "List {x}",
            "Give me a list of {x}",
            "Could I get a list of {x}?",
            "I need a list of {x}",
            "Show me {x}",
            "Tell me {x}",
        ),
    ),
    Family(
        asked=(r"Write (?:me )?(?P<x>an? .+)",),
        said=(
            "Write {x}",
            "Write me {x}",
            "Would you write {x}?",
            "I need {x}",
            "Compose {x}",
            "Draft {x}",
            "Help me write {x}",
            "I'd like you to write {x}",
        ),
    ),
    Family(
        asked=(r"What does (?P<x>\"[^\"]+\"|\w+(?: \w+)?) mean\??",),
        said=(
            "What does {x} mean?",
            "What is the meaning of {x}?",
            "meaning of {x}",
            "Explain {x}",
            "{x} meaning",
        ),
    ),
    Family(
        asked=(r"What (?:are|were) (?P<x>the \w+ of .+?)\??",),
        said=(
            "What are {x}?",
            "List {x}",
            "Tell me {x}",
            "Name {x}",
            "Could I get a list of {x}?",
            "I want to know {x}",
        ),
    ),
    Family(
        asked=(
            r"Where can (?:I|you) (?P<x>buy|find|watch) (?P<y>.+?)\??",
            r"Where (?:do|to) (?:I )?(?P<x>buy|find) (?P<y>.+?)\??",
        ),
        said=("Where can I {x} {y}?", "where to {x} {y}", "What is a place to {x} {y}?", "Where do you {x} {y}?"),
    ),
    Family(
        asked=(r"Who (?P<x>wrote|invented|discovered|painted|founded) (?P<y>.+?)\??",),
        said=("Who {x} {y}?", "Who was it that {x} {y}?", "Name the person who {x} {y}"),
    ),
)
_COMPILED: Final = tuple(
    (tuple(re.compile(rf"^(?i:{asked})$") for asked in family.asked), family) for family in _FAMILIES
)


def rephrase(text: str, random: Random) -> str | None:
    """Another sentence with the same slot, or the same parts in another order."""
    found = [new for way in (_family, _fronted, _mirrored) if (new := way(text, random)) is not None]
    return random.choice(found) if found else None


def _family(text: str, random: Random) -> str | None:
    for patterns, family in _COMPILED:
        for pattern in patterns:
            match = pattern.match(text)
            if match is None:
                continue
            slots = {key: value.rstrip(".") for key, value in match.groupdict().items()}
            said = [new for frame in family.said if _plain(new := frame.format(**slots)) != _plain(text)]
            return _presented(random.choice(said), random)
    return None


def _plain(text: str) -> str:
    """A contraction alone is no other sentence."""
    return text.casefold().replace("what's", "what is")


def _presented(text: str, random: Random) -> str:
    return capitalised(text) if random.random() < 0.7 else text


_CLAUSE: Final = re.compile(
    r"^(?P<a>.+?),? (?P<b>(?:if|when) (?:I|my|you|your|a|the|he|she|they|it) [^,?]+?)(?P<mark>\??)$"
)
_PLACE: Final = re.compile(
    r"^(?P<a>(?:How|What|Why|Where|When|Which|Is|Can|Do|Should) .+?) (?P<b>(?:in|on) [A-Z][\w+#.]*(?: \d+)?)\?$"
)


def _fronted(text: str, random: Random) -> str | None:
    """The condition or the place first."""
    del random
    for pattern in (_CLAUSE, _PLACE):
        match = pattern.match(text)
        if match and len(match.group("a").split()) > 2:
            return f"{capitalised(match.group('b'))}, {decapitalised(match.group('a'))}?"
    return None


_NAMES: Final = r"[\w+#./-]+(?: (?!and\b|or\b|for\b|in\b)[\w+#./-]+){0,2}?"
_MIRRORS: Final[Sequence[re.Pattern[str]]] = (
    re.compile(rf"(?i)\bdifferences? between (?P<a>{_NAMES}) and (?P<b>{_NAMES})(?=[?.]?$| in\b| for\b)"),
    re.compile(rf"(?i)^(?P<a>{_NAMES}) (?:vs\.?|versus) (?P<b>{_NAMES})(?=[?.]?$| for\b)"),
    re.compile(rf"(?i), (?P<a>{_NAMES}) or (?P<b>{_NAMES})\?$"),
)


def _mirrored(text: str, random: Random) -> str | None:
    """Two things whose order does not count, the other way round."""
    del random
    for pattern in _MIRRORS:
        match = pattern.search(text)
        if match:
            a, b = match.span("a"), match.span("b")
            return text[: a[0]] + text[b[0] : b[1]] + text[a[1] : b[0]] + text[a[0] : a[1]] + text[b[1] :]
    return None
