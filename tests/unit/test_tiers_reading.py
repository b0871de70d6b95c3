"""Which questions can be compared by meaning: those that the encoder read in full, in a language it knows."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from configs.settings import Settings
from engine.cache.question import Question
from engine.routing.contract import Reading, Vectors
from engine.routing.thread import EncoderThread
from engine.tiers import TierNeeds, read_question
from tests.support.minilm import minilm

CONTEXT = "The patient takes bisoprolol, rivaroxaban and hydrochlorothiazide. " * 20


async def question_of(reading: Reading, text: str = "?") -> Question | None:
    """What becomes of a text that is read like this."""

    async def aread(_: str) -> Reading:
        return reading

    needs = SimpleNamespace(reader=SimpleNamespace(aread=aread), degraded={})
    return await read_question(cast("TierNeeds", needs), Settings(), text)


def vector(value: float) -> Vectors:
    """Two dimensions are enough here."""
    return np.array([value, 0.6], dtype=np.float32)


@pytest.mark.req("cache.semantic")
async def test_questions_that_are_alike_up_to_the_encoders_limit_are_not_compared_by_meaning():
    """Their ends ask for different things and their vectors are equal; without the long context both are read."""
    reader = EncoderThread(minilm, Settings().encoder)
    needs = cast("TierNeeds", SimpleNamespace(reader=reader, degraded={}))
    try:
        dose, drive = "What is the dose of bisoprolol?", "Is she allowed to drive a car?"
        one, other = await asyncio.gather(reader.aread(CONTEXT + dose), reader.aread(CONTEXT + drive))
        assert np.array_equal(one.vector, other.vector)
        assert await read_question(needs, Settings(), CONTEXT + dose) is None
        short = await read_question(needs, Settings(), dose)
    finally:
        await reader.aclose()
    assert short is not None
    assert short.text == dose


@pytest.mark.req("cache.semantic")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
async def test_a_vector_that_is_not_finite_is_no_question(value: float):
    """It is neither near anything nor far from it; the finite twin is one."""
    assert await question_of(Reading(vector=vector(value), familiarity=1.0)) is None
    found = await question_of(Reading(vector=vector(0.8), familiarity=1.0))
    assert found is not None
    assert found.text == "?"


@pytest.mark.req("cache.semantic")
async def test_a_text_without_direction_or_in_an_unknown_language_is_no_question():
    """Zeros, and words that the encoder does not know."""
    zeros = np.zeros(2, dtype=np.float32)
    assert await question_of(Reading(vector=zeros, familiarity=1.0)) is None
    assert await question_of(Reading(vector=vector(0.8), familiarity=0.0)) is None
    assert await question_of(Reading(vector=vector(0.8), familiarity=1.0, cut=True)) is None
