"""No frame of the generated pairs is a frame of the evaluation's; skipped where that folder is absent.

A frame is what stands around a question («excuse me, {}»), or which words a contraction joins. Edits of
single words have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from random import Random
from typing import Final

import pytest

from configs.errors import ConfigError
from engine.evals.data import eval_folder, pair_rows
from engine.training.pairs.edits import POSITIVE
from engine.training.pairs.text import canonical
from engine.training.verifier_job import own_files

ROUNDS: Final = 6
FRAMED: Final = ("polite", "rephrase", "contraction")
WHOLE: Final = "{}"


def _frames(a: str, b: str) -> Iterator[str]:
    """What stands around the shorter one in the longer one, or which words stand for which."""
    short, long = sorted((canonical(a).split(), canonical(b).split()), key=len)
    for at in range(len(long) - len(short) + 1):
        if long[at : at + len(short)] == short and len(long) > len(short):
            yield " ".join((*long[:at], WHOLE, *long[at + len(short) :]))
            return
    left, right = (text.casefold().replace("’", "'").split() for text in (a, b))
    changed = [code for code in SequenceMatcher(None, left, right).get_opcodes() if code[0] == "replace"]
    if len(changed) == 1:
        _, i, j, k, n = changed[0]
        yield "/".join(sorted((" ".join(left[i:j]), " ".join(right[k:n]))))


def _of_the_evaluation() -> set[str]:
    try:
        rows = pair_rows(eval_folder(None))
    except ConfigError as exc:
        pytest.skip(f"no evaluation folder: {exc.message}")
    return {frame for row in rows if row.kind.partition("/")[2] in FRAMED for frame in _frames(row.a, row.b)}


@pytest.mark.req("cache.verify")
def test_no_generated_pair_has_a_frame_of_the_evaluation() -> None:
    """Greetings, requests, other sentences and contractions, made of the project's own questions."""
    taken = _of_the_evaluation()
    _, questions = own_files()
    found: set[str] = set()
    for kind in FRAMED:
        random = Random(kind)
        for text in questions * ROUNDS:
            made = POSITIVE[kind](text, random)
            found |= set(_frames(text, made)) if made is not None else set()
    assert len(taken) > 10
    assert len(found) > 50
    assert found & taken == set()


def test_a_frame_is_what_stands_around_the_question() -> None:
    """Before, behind, both; taken off it is the same frame; a contraction is the words it joins."""
    assert list(_frames("Where is it?", "Pray, where is it?")) == ["pray {}"]
    assert list(_frames("Pray tell me where is it, thanks", "Where is it?")) == ["pray tell me {} thanks"]
    assert list(_frames("Where is the key?", "where's the key?")) == ["where is/where's"]
