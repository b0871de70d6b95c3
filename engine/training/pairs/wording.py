"""Edits that leave the answer: synonyms, spelling, contractions, politeness, who asks, articles.

Each takes a question and a source of chance and gives the edited one, or ``None`` where it has nothing to edit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Final

from engine.training.pairs import words as lists
from engine.training.pairs.inflect import plural
from engine.training.pairs.text import capitalised, decapitalised, one_of, put, words_of

_REQUEST: Final = re.compile(
    r"^(?:Write|List|Give|Show|Tell|Explain|Summari[sz]e|Translate|Convert|Suggest|Recommend|Name|Find|Set|Turn|Open|Play"
    r"|Book|Remind|Rewrite|Make|Check|Round|Lock|Skip)\b"
)


def synonym(text: str, random: Random) -> str | None:
    """A word of the same meaning for one word; nothing inside quotation marks and no name."""
    quoted = [match.span() for match in re.finditer(r'"[^"]*"', text)]
    names = [span for span, name in lists.entities().found(words_of(text)) if name.spelled[0].isupper()]
    kept = quoted + [(span.start, span.end) for span in names]
    choices = [
        (span, other)
        for span, other in lists.synonyms().choices(words_of(text))
        if not any(start < span.end and span.start < end for start, end in kept)
        and (span.first == 0 or text[span.start].islower())
    ]
    return one_of(text, choices, random)


def spelling(text: str, random: Random) -> str | None:
    """The British spelling of an American word, or the other way round."""
    known, phrases = lists.spellings(), lists.spelling_phrases()
    return one_of(text, [(span, known[word]) for span, word in words_of(text).spans(phrases)], random)


_CONTRACTIONS: Final[Sequence[tuple[str, str]]] = tuple(
    (pair.partition("/")[0], pair.partition("/")[2])
    for pair in [
        "where is/where's",
        "who is/who's",
        "how is/how's",
        "when is/when's",
        "that is/that's",
        "there is/there's",
        "I have/I've",
        "I would/I'd",
        "I will/I'll",
        "you are/you're",
        "they are/they're",
        "does not/doesn't",
        "did not/didn't",
        "is not/isn't",
        "are not/aren't",
        "was not/wasn't",
        "can not/can't",
        "could not/couldn't",
        "should not/shouldn't",
        "will not/won't",
        "would not/wouldn't",
        "have not/haven't",
    ]
)


def contraction(text: str, random: Random) -> str | None:
    """Where is as where's, isn't as is not; now and then without the apostrophe."""
    plain = text.replace("’", "'")
    found: list[str] = []
    for long, short in _CONTRACTIONS:
        found += [_replaced(plain, long, short), _replaced(plain, short, long)]
        if short not in {"I'd", "I'll"}:
            found.append(_replaced(plain, short, short.replace("'", "")))
    negated = re.match(
        r"(?i)^(.*?\b)(do|does|is|are|can|should|won|did)n?'t (I|you|my \w+|this|they|we) (.+)$", plain
    )
    if negated and negated.group(2).lower() not in {"won", "can"}:
        head, aux, who, rest = negated.groups()
        found.append(f"{head}{aux} {who} not {rest}")
    found = [new for new in found if new != plain]
    return random.choice(found) if found else None


_PARTICIPLE: Final = re.compile(
    r" (?:already |just |never |always )?(?:\w+ed|been|got|had|done|lost|found|seen|given|taken)\b"
)


def _replaced(text: str, old: str, new: str) -> str:
    """``new`` for ``old`` once, not where a possessive or a part of a longer word stands there."""
    if old.casefold() not in text.casefold():
        return text
    match = re.search(rf"(?<![\w'])(?i:{re.escape(old)})(?![\w'])", text)
    if match is None or (old == "I have" and not _PARTICIPLE.match(text[match.end() :])):
        return text
    if old in {"I have", "where is", "that is"} and not re.match(r" \w", text[match.end() :]):
        return text
    return put(text, match.start(), match.end(), new)


_BEFORE_QUESTION: Final = (
    "Hi, {}",
    "Hello, {}",
    "Howdy, {}",
    "dear all, {}",
    "Greetings! {}",
    "Good morning, {}",
    "Excuse me, {}",
    "Something I keep wondering: {}",
    "Just wondering, {}",
    "Sorry to bother you, but {}",
    "Please tell me, {}",
    "Could you help me? {}",
    "I have a question: {}",
    "Please help: {}",
    "Maybe a silly question, but {}",
    "So, {}",
    "Ok so {}",
)
_BEHIND_QUESTION: Final = (
    " Thanks!",
    " Thank you!",
    " Thanks in advance.",
    " Please help.",
    " Any help is appreciated.",
    " please",
    " Many thanks",
    " Thank you very much.",
    " Cheers!",
    " I'd be grateful for an answer.",
)
_REQUESTS: Final = (
    "If you would, {}",
    "Could you {}?",
    "Can you {} please?",
    "Could you please {}?",
    "Are you able to {}?",
    "Would you please {}?",
    "I'd like you to {}.",
    "Would it be possible for you to {}?",
    "It would be nice if you could {}.",
    "{}, please",
    "Kindly {}",
    "Hi, can you {}? Thanks",
)
_POLITE_HEAD: Final = re.compile(r"(?i)^(?:(?:can|could|would) you please |(?:could|would) you )(?=\w)")


def polite(text: str, random: Random) -> str | None:
    """A greeting, a please or a thank you put around it, or taken off."""
    head = _POLITE_HEAD.match(text)
    if head and _REQUEST.match(capitalised(text[head.end() :])) and random.random() < 0.5:
        return capitalised(text[head.end() :].rstrip("?"))
    if _REQUEST.match(text):
        body = decapitalised(text).rstrip(".?")
        return capitalised(random.choice(_REQUESTS).format(body))
    if random.random() < 0.35:
        return text + random.choice(_BEHIND_QUESTION)
    frame = random.choice(_BEFORE_QUESTION)
    return frame.format(text if frame.endswith(("! {}", "? {}")) else decapitalised(text))


_ANYBODY: Final = re.compile(
    r"(?i)^((?:.*?\b)?(?:how|what|when|where|why|which)?\b.*?\b(?:do|can|should|would)) I\b"
)
_PERSONAL: Final = re.compile(
    r"(?i)\b(?:I was|I am|I'm|I've|I have|I'd|I want|my (?:order|account|parcel|package|card))\b"
)
_PERSONS: Final = {"i": "you", "my": "your", "me": "you", "myself": "yourself", "mine": "yours"}
_ARTICLE: Final = re.compile(r"(?<=\w )(?:a|an|the) (?=[a-z]{3,})")
_LAST_NOUN: Final = re.compile(
    r"^((?:How|What is the best way) (?:do|can|to) ?(?:I|you)? ?\w+ )(?:an?) ((?:[a-z]+ )?[a-z]{3,})([?.]?)$"
)


def person(text: str, random: Random) -> str | None:
    """I as one or you where anybody may be meant; an article left out; one thing of a kind as several."""
    found: list[str] = []
    if _ANYBODY.search(text) and not re.search(r"[.!?,] ", text) and not _PERSONAL.search(text):
        found.append(re.sub(r"(?i)\b(?:I|my|me|myself|mine)\b(?!')", lambda m: _PERSONS[m.group().lower()], text))
        if not re.search(r"(?i)\b(?:my|me|myself)\b", text):
            found.append(
                re.sub(r"(?i)\bdo I\b", "does one", re.sub(r"(?i)\b(can|should|would) I\b", r"\1 one", text))
            )
    elif re.match(r"(?i)^(?:how|when|where|why|what) (?:do|can|should) you\b", text) and "yourself" not in text:
        found.append(re.sub(r"(?i)\byour\b", "my", re.sub(r"(?i)\byou\b", "I", text, count=1)))
    if _ARTICLE.search(text) and '"' not in text:
        found.append(_ARTICLE.sub("", text, count=1))
        found.append(_ARTICLE.sub("", text))
    match = _LAST_NOUN.match(text)
    if match and not match.group(2).endswith(("s", "ing", "ed", "ly")):
        found.append(f"{match.group(1)}{plural(match.group(2))}{match.group(3)}")
    found = [new for new in found if new != text]
    return random.choice(found) if found else None
