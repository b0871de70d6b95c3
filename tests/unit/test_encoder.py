"""MiniLM gives the right vectors, the same in any batch, and says what is wrong when it cannot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from configs.settings import EncoderSettings
from engine.bench.encoder import DATA, likeness
from engine.errors import EmbeddingInvalid, ModelFileError
from engine.routing.contract import Reading
from engine.routing.encoder import DIMENSIONS, MiniLm, load_encoder, read_model, start_encoder, unit
from engine.routing.known import key_of
from tests.support.minilm import minilm

REFERENCE = json.loads((DATA / "reference_texts.json").read_text(encoding="utf-8"))


class _Input:
    def __init__(self, name: str) -> None:
        self.name = name


class _Session:
    """Answers every run with ``value`` in the given shape."""

    def __init__(self, value: float, columns: int = DIMENSIONS) -> None:
        self._value = value
        self._columns = columns

    def get_inputs(self) -> list[_Input]:
        return [_Input("input_ids")]

    def run(self, names: None, feed: dict[str, np.ndarray], /) -> Sequence[np.ndarray]:
        assert set(feed) == {"input_ids"}
        return [np.full((1, feed["input_ids"].shape[1], self._columns), self._value, dtype=np.float32)]


def _with_session(session: _Session) -> MiniLm:
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    return MiniLm(session, tokenizer, EncoderSettings(), {})


@pytest.mark.req("route.embed")
def test_vectors_are_those_of_the_reference() -> None:
    """Mean cosine at least .999 and minimum .995 to sentence-transformers over all reference texts."""
    found = likeness(minilm())
    assert len(REFERENCE) >= 64
    assert found["encoder.cosine.mean"] >= 0.999
    assert found["encoder.cosine.min"] >= 0.995


@pytest.mark.req("route.embed")
def test_a_text_has_the_same_bits_alone_and_in_any_batch() -> None:
    """Not nearly the same: equal, whatever the length of its neighbours and wherever it stands."""
    alone = [minilm().encode([text])[0] for text in REFERENCE]
    order = np.random.default_rng(7).permutation(len(REFERENCE))
    together = minilm().encode([REFERENCE[i] for i in order])
    assert all(np.array_equal(together[row], alone[i]) for row, i in enumerate(order))


@pytest.mark.req("route.embed")
def test_vectors_are_float32_of_length_one_in_order() -> None:
    """Shape (n, 384), also for no text at all."""
    vectors = minilm().encode(["one", "two"])
    assert (vectors.dtype, vectors.shape) == (np.float32, (2, DIMENSIONS))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0, 1.0], abs=1e-6)
    assert minilm().encode([]).shape == (0, DIMENSIONS)


def test_a_text_beyond_the_token_limit_is_cut_and_not_refused() -> None:
    """What stands after 256 tokens changes nothing; what stands before does."""
    long = "switch " * 300
    cut, same, other = minilm().encode([long, f"{long} and something else", f"relay {long}"])
    assert np.array_equal(cut, same)
    assert not np.array_equal(cut, other)


@pytest.mark.req("route.embed")
def test_a_reading_says_whether_all_of_the_text_was_read():
    """At the limit nothing is cut, one token or one character beyond it something is, known vector or not."""
    rules = EncoderSettings()
    full, over = "switch " * (rules.max_tokens - 2), "switch " * (rules.max_tokens - 1)
    chars = "x" * rules.max_chars
    known = {key_of(text.strip()): minilm().encode([text])[0] for text in (full, over)}
    shortcut = MiniLm(_Session(1.0), _truncating(rules.max_tokens), rules, known)
    texts = [full, over, chars, f"{chars}x", "switch", ""]
    assert [_cut(one) for one in minilm().read_all(texts)] == [False, True, False, True, False, False]
    assert [_cut(shortcut.read(text)) for text in texts] == [False, True, False, True, False, False]
    assert minilm().read(over).cut
    assert not minilm().read(full).cut


def _cut(reading: Reading | EmbeddingInvalid) -> bool:
    assert isinstance(reading, Reading)
    return reading.cut


def _truncating(tokens: int) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=tokens)
    return tokenizer


def test_ten_megabytes_are_read_only_as_far_as_the_limit() -> None:
    """What stands after ``max_chars`` changes nothing, however few tokens come before it."""
    limit = EncoderSettings().max_chars
    word = "x" * limit
    cut, whole, read = minilm().encode([f"{word} switch", word, f"{word[:-7]} switch"])
    assert np.array_equal(cut, whole)
    assert not np.array_equal(cut, read)
    assert minilm().encode(["x " * 5_000_000]).shape == (1, DIMENSIONS)


@given(st.text(alphabet=st.characters(), max_size=60))
@settings(max_examples=60)
def test_any_text_has_a_vector(text: str) -> None:
    """Empty, NUL, lone surrogates, control characters and other scripts included."""
    assert np.linalg.norm(minilm().encode([text])[0]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["", "\x00", "\ud800", "\u200b", "🚀" * 300])
def test_hard_texts_have_a_vector(text: str) -> None:
    """The ones that break encoders most often."""
    assert np.linalg.norm(minilm().encode([text])[0]) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_a_vector_without_direction_is_a_typed_error(value: float) -> None:
    """NaN, infinity and zeros never leave the encoder (fault 45)."""
    with pytest.raises(EmbeddingInvalid) as caught:
        _with_session(_Session(value)).encode(["anything"])
    assert caught.value.code == "embedding_invalid"


def test_a_model_of_another_width_is_a_typed_error() -> None:
    """A wrong shape is named with both shapes."""
    with pytest.raises(EmbeddingInvalid, match="768"):
        _with_session(_Session(1.0, columns=768)).encode(["anything"])


def test_unit_keeps_the_direction() -> None:
    """Only the length changes."""
    assert unit(np.array([3.0, 4.0], dtype=np.float32)) == pytest.approx([0.6, 0.8])


def test_a_missing_model_file_says_what_to_do(tmp_path: Path) -> None:
    """The error names the whole path and carries a hint."""
    path = tmp_path / "gone.onnx"
    with pytest.raises(ModelFileError, match="cannot read") as caught:
        load_encoder(EncoderSettings(model_path=path))
    assert str(path) in caught.value.message
    assert "encoder.model_path" in caught.value.hint


def test_an_encoder_package_that_is_not_installed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ``local`` extra the hint names it."""
    monkeypatch.setattr("engine.routing.encoder.find_spec", lambda _: None)
    with pytest.raises(ModelFileError, match="not installed") as caught:
        load_encoder(EncoderSettings())
    assert "`local` extra" in caught.value.hint


def test_a_file_with_another_digest_is_refused_unread(tmp_path: Path) -> None:
    """One changed byte in model or tokenizer is enough (fault 44)."""
    model = bytearray(read_model(EncoderSettings()))
    model[1000] ^= 1
    (tmp_path / "model.onnx").write_bytes(model)
    with pytest.raises(ModelFileError, match=r"encoder\.model_sha256"):
        load_encoder(EncoderSettings(model_path=tmp_path / "model.onnx"))
    (tmp_path / "tokenizer.json").write_bytes((DATA / "tokenizer.json").read_bytes() + b" ")
    with pytest.raises(ModelFileError, match=r"encoder\.tokenizer_sha256"):
        load_encoder(EncoderSettings(tokenizer_path=tmp_path / "tokenizer.json"))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12\x07pytorch"])
def test_a_file_that_is_no_model_is_a_typed_error(content: bytes) -> None:
    """Also when nobody checks its digest."""
    with pytest.raises(ModelFileError, match="not a readable"):
        start_encoder(content, EncoderSettings(), {})


def test_known_vectors_are_taken_instead_of_computed() -> None:
    """The shipped vectors spare a run of the model, for exactly their texts."""
    marker = unit(np.arange(1, DIMENSIONS + 1, dtype=np.float32))
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    encoder = MiniLm(_Session(float("nan")), tokenizer, EncoderSettings(), {key_of("known"): marker})
    assert np.array_equal(encoder.encode(["known"])[0], marker)
    assert np.array_equal(encoder.read(" known ").vector, marker)
    with pytest.raises(EmbeddingInvalid):
        encoder.encode(["unknown"])
