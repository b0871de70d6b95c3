"""What every ``TextEncoder`` promises; the real one and the twin without a model run the same claims."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest

from configs.settings import EncoderSettings
from engine.errors import EngineClosed
from engine.routing.contract import TextEncoder
from engine.routing.encoder import DIMENSIONS
from engine.routing.inmemory import HashedWords
from engine.routing.thread import EncoderThread
from tests.support.minilm import minilm

TEXTS = ("a short text", "", "Another, somewhat longer text with a few more words in it.", "短い文")


@pytest.fixture(params=["minilm", "hashed_words"])
async def encoder(request: pytest.FixtureRequest) -> AsyncIterator[TextEncoder]:
    """Each implementation in turn."""
    made = EncoderThread(minilm, EncoderSettings()) if request.param == "minilm" else HashedWords()
    yield made
    await made.aclose()


async def test_one_unit_vector_per_text_in_order(encoder: TextEncoder) -> None:
    """float32, shape (n, 384), length 1, also for an empty text."""
    vectors = await encoder.aencode(TEXTS)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(TEXTS), DIMENSIONS))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


async def test_no_text_gives_no_row(encoder: TextEncoder) -> None:
    """An empty batch has the right width."""
    assert (await encoder.aencode(())).shape == (0, DIMENSIONS)


async def test_the_batch_does_not_change_a_vector(encoder: TextEncoder) -> None:
    """Alone, in a batch, in another order, and read as a question: the same bits."""
    batch = await encoder.aencode(TEXTS)
    turned = (await encoder.aencode(TEXTS[::-1]))[::-1]
    alone = [(await encoder.aencode((text,)))[0] for text in TEXTS]
    read = [(await encoder.aread(text)).vector for text in TEXTS]
    for row, vector in enumerate(batch):
        assert np.array_equal(vector, turned[row])
        assert np.array_equal(vector, alone[row])
        assert np.array_equal(vector, read[row])


async def test_likeness_follows_shared_words(encoder: TextEncoder) -> None:
    """The least that a similarity must mean."""
    cat, cats, tax = await encoder.aencode(("the cat sleeps", "a cat is sleeping", "tax return due in May"))
    assert cat @ cats > cat @ tax


async def test_familiarity_tells_english_from_another_script(encoder: TextEncoder) -> None:
    """1 for plain English, 0 for text in letters the encoder has no words of."""
    assert (await encoder.aread("How do I keep the lights on?")).familiarity == 1.0
    assert (await encoder.aread("Как сделать так, чтобы свет горел?")).familiarity == 0.0


async def test_a_closed_encoder_refuses(encoder: TextEncoder) -> None:
    """With a typed error, for texts and for questions."""
    await encoder.aclose()  # type: ignore[attr-defined] - both have it; routers do not close what they are given
    with pytest.raises(EngineClosed):
        await encoder.aencode(("late",))
    with pytest.raises(EngineClosed):
        await encoder.aread("late")
