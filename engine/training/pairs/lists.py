"""The files of words beside this module, line by line, and the small sets among them. Not what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files


def data_lines(name: str) -> list[str]:
    """The lines of a file of words, without blank ones and comments. Raises ``OSError``."""
    text = files(__package__ or "").joinpath("data", name).read_text(encoding="utf-8")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("# ")]


def word_set(name: str) -> frozenset[str]:
    """A small set of words of ``sets.txt``. Raises ``KeyError``."""
    return _sets()[name]


@cache
def _sets() -> Mapping[str, frozenset[str]]:
    lines = (line.partition(":") for line in data_lines("sets.txt"))
    return {name: frozenset(words.split()) for name, _, words in lines}
