"""Questions for ``bench cache``: one that is stored, ways to ask it again, and vectors of thousands of others.

Not evaluation data and no training texts: they are put together here. The vectors are mixtures of two real
questions each, so that they lie where questions lie; random ones would be far apart and easy to tell apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np

from engine.routing.contract import Vectors

STORED: Final = "How do I reset the password of my account?"
OPENINGS: Final = (
    "",
    "Hi, ",
    "Hello, ",
    "Please tell me: ",
    "Quick question: ",
    "Hey, ",
    "Good morning, ",
    "Sorry, ",
)
BEGINNINGS: Final = ("how do I", "how can I", "How do I", "How can I")
MIDDLES: Final = (
    "reset the password of my account",
    "reset my account's password",
    "reset my account password",
    "reset the password for my account",
)
ENDS: Final = ("?", "", " please?", "??", " ?", ", please?")
VERBS: Final = (
    *("install", "renew", "cancel", "compare", "repair", "explain", "sell", "clean", "paint", "translate"),
    *("store", "measure", "build", "order", "share", "print", "test", "plan", "describe", "insure"),
)
THINGS: Final = (
    *("a bicycle", "my passport", "a wooden table", "the quarterly report", "a Python package"),
    *("an old phone", "a phone contract", "the garden fence", "a birthday cake", "a love letter"),
    *("the office printer", "a tax form", "a hiking trip", "a database", "a violin", "the water pump"),
    *("a marketing video", "a mortgage", "a beehive", "the heating system", "a job offer"),
    *("a train ticket", "a house plant", "a school play", "an electric car"),
)
MIXED: Final = 0.6
"""Weight of the second question of a mixture; of two mixtures the mean cosine is then that of real questions."""


def rewordings() -> list[str]:
    """Other ways to ask ``STORED``, in a fixed order in which neighbours differ."""
    ways = itertools.product(ENDS, MIDDLES, BEGINNINGS, OPENINGS)
    texts = ["".join((opening, beginning, " ", middle, end)) for end, middle, beginning, opening in ways]
    texts = [text for text in texts if text != STORED]
    order = np.random.default_rng(1).permutation(len(texts))
    return [texts[at] for at in order]


def others() -> list[str]:
    """500 questions about other things."""
    return [f"How do I {verb} {thing}?" for verb, thing in itertools.product(VERBS, THINGS)]


def mixtures(real: Vectors, count: int) -> Iterator[Vectors]:
    """``count`` unit vectors between those of ``real``, the same ones every time."""
    chance = np.random.default_rng(2)
    for _ in range(count):
        first, second = chance.choice(len(real), size=2, replace=False)
        mixed = real[first] + np.float32(MIXED * chance.uniform(0.5, 1.5)) * real[second]
        yield (mixed / np.linalg.norm(mixed)).astype(np.float32)
