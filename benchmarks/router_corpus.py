"""Training texts of the shipped router's head: our own sentences, our own terms and our own patterns (CC0).

Not the texts by which agents are known (``configs/agents``), though those are learned from too. No row of an
evaluation set (``tests/unit/test_no_evaluation_rows.py``) and no question of ``tests/data`` that judges the router
is in here. A few came near one and were reworded; by wording alone others may still be alike.
"""

from __future__ import annotations

import random
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

FOLDER: Final = Path(__file__).parent / "router_texts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One training text."""

    text: str
    label: str
    topic: str
    """Texts of one topic stay on one side of a cross-validation."""
    times: int
    """How often it counts."""


def written(folder: Path, times: int) -> Iterator[Text]:
    """Sentences written one by one: a file per agent, a topic per heading; ``\\n`` stands for a line break."""
    for path in sorted(folder.glob("*.txt")):
        topic = path.stem
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("# "):
                topic = f"{path.stem} {line}"
            elif line.strip():
                yield Text(text=line.replace("\\n", "\n"), label=path.stem, topic=topic, times=times)


def terms(folder: Path, shells_each: int, seed: int, times: int) -> Iterator[Text]:
    """Every term of every field in ``shells_each`` sentences."""
    raw = cast("dict[str, object]", yaml.safe_load((folder / "concepts.yaml").read_text("utf-8")))
    shells = cast("list[str]", raw["shells"])
    random_ = random.Random(seed)  # noqa: S311 - a sample of texts, no secret
    for label, joined in cast("dict[str, str]", raw["concepts"]).items():
        for number, term in enumerate(joined.split(", ")):
            for shell in random_.sample(shells, shells_each):
                topic = f"{label} terms {number // 12}"
                yield Text(text=shell.format(term.strip()), label=label, topic=topic, times=times)


def filled(folder: Path, each: int, seed: int, times: int) -> Iterator[Text]:
    """Every pattern with its slots filled ``each`` times; its own topic."""
    raw = cast("dict[str, object]", yaml.safe_load((folder / "patterns.yaml").read_text("utf-8")))
    slots = cast("dict[str, list[str]]", raw["slots"])
    random_ = random.Random(seed)  # noqa: S311 - a sample of texts, no secret
    for label, patterns in cast("dict[str, list[str]]", raw["patterns"]).items():
        for pattern in patterns:
            for _ in range(each):
                yield Text(
                    text=_fill(pattern, slots, random_), label=label, topic=f"{label} {pattern}", times=times
                )


def _fill(pattern: str, slots: Mapping[str, Sequence[str]], random_: random.Random) -> str:
    """``pattern`` with another word in every slot."""
    parts = string.Formatter().parse(pattern)
    return "".join(literal + (random_.choice(slots[name]) if name else "") for literal, name, _, _ in parts)
