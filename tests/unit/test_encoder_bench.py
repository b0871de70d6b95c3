"""The bench of the encoder prints the figures that others rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bench import encoder
from engine.errors import ModelFileError
from tests.support.minilm import minilm, shipped


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "ROUNDS", 3)
    monkeypatch.setattr(encoder, "WARM_UP", 1)
    monkeypatch.setattr(encoder, "load_encoder", lambda *_, **__: minilm())
    monkeypatch.setattr(encoder, "likeness", lambda _: {"encoder.cosine.mean": 1.0})


@pytest.mark.parametrize("tokens", encoder.TOKENS)
def test_texts_of_the_bench_have_the_tokens_they_are_named_after(tokens: int) -> None:
    """Counted by the tokenizer itself."""
    assert len(minilm()._tokenizer.encode(encoder._text_of(tokens)).ids) == tokens


@pytest.mark.req("route.embed")
def test_bench_encoder_compares_with_a_real_fp32_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file it makes holds the weights four bytes each, and both of its sessions are timed."""
    sizes: list[int] = []
    written = encoder._written_as_fp32

    def measured(*args: object) -> Path:
        path = written(*args)  # type: ignore[arg-type] - passed through
        sizes.append(path.stat().st_size)
        return path

    monkeypatch.setattr(encoder, "_written_as_fp32", measured)
    report = encoder.run(shipped())
    assert set(report.figures) >= {
        "encoder.over_fp32_ratio",
        *(f"encoder.tokens_{n}.p50_ms" for n in (8, 32, 128)),
    }
    assert sizes[0] > 80_000_000
    assert all("fp32 by default" in note for note in report.notes)


def test_bench_encoder_takes_a_foreign_export(tmp_path: Path) -> None:
    """A file that is none fails typed instead of being measured."""
    (tmp_path / "foreign.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        encoder.run(shipped(), fp32=tmp_path / "foreign.onnx")
