"""A question's bytes beside a stored answer."""

from __future__ import annotations

import numpy as np
import pytest

from engine.cache.question import Question, pack, unpack


def _question(text: str = "How do I reset 2FA? \u00e9\ud800") -> Question:
    vector = np.random.default_rng(7).normal(size=384).astype(np.float32)
    return Question(text=text, vector=vector / np.float32(np.linalg.norm(vector)))


@pytest.mark.req("cache.verify")
def test_a_question_comes_back_as_it_was_stored() -> None:
    """The text to the character, the vector to half precision and of length 1."""
    asked = _question()
    found = unpack(pack(asked))
    assert found is not None
    assert found.text == asked.text
    assert abs(float(np.linalg.norm(found.vector)) - 1.0) < 1e-6
    assert float(found.vector @ asked.vector) > 0.999_99


@pytest.mark.req("cache.verify")
def test_no_changed_byte_and_no_missing_one_comes_back_as_a_question() -> None:
    """Every single changed byte and every shorter or longer string of bytes is refused."""
    data = pack(_question("ab"))
    for place in range(len(data)):
        assert unpack(data[:place] + bytes([data[place] ^ 0x41]) + data[place + 1 :]) is None
        assert unpack(data[:place]) is None
    assert unpack(data + b"\0") is None
    assert unpack(data) is not None


@pytest.mark.req("cache.verify")
@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_vector_without_direction_is_never_stored(value: float) -> None:
    """Zeros, NaN and infinity are refused at the door."""
    with pytest.raises(ValueError, match="without a direction"):
        pack(Question(text="x", vector=np.full(384, value, np.float32)))
