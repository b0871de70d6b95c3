"""The benches of encoder and router print the figures that others rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.bench import encoder, router
from engine.errors import ModelFileError
from tests.support.minilm import minilm, shipped, ten_agents


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "ROUNDS", 3)
    monkeypatch.setattr(encoder, "WARM_UP", 1)
    monkeypatch.setattr(encoder, "load_encoder", lambda *_, **__: minilm())
    monkeypatch.setattr(encoder, "likeness", lambda _: {"encoder.cosine.mean": 1.0})
    monkeypatch.setattr(router, "DECISIONS", 40)
    monkeypatch.setattr(router, "ROUTES", 4)
    monkeypatch.setattr(router, "REGISTRATIONS", 2)
    monkeypatch.setattr(router, "CROWD", 2)


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


@pytest.mark.req("route.scale")
def test_bench_router_prints_every_figure_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sizes, a whole route, a registration and the crowd."""
    monkeypatch.setattr(router, "load_encoder", lambda *_, **__: minilm())
    monkeypatch.setattr(router, "agent_table", lambda *_: ten_agents())
    report = router.run(shipped())
    assert set(report.figures) == {
        *(f"decide.agents_{n}.p95_ms" for n in (10, 150, 1_000)),
        *("route.p50_ms", "register.p50_ms", "concurrency_100.throughput_ratio"),
    }
    assert all(value > 0 for value in report.figures.values())


def test_a_crowd_has_its_size_and_keeps_the_configured_agents() -> None:
    """The ten are in it, the rest are made up."""
    table = router._crowd(ten_agents().profiles, 150, shipped().routing)
    assert len(table.names) == 150
    assert set(ten_agents().names) <= set(table.names)
    assert table.general is not None
