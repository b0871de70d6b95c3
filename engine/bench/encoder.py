"""``bench encoder``: are the vectors right, the same in any batch, and as fast as an fp32 model (route.embed).

The fp32 model is made in the run: ONNX Runtime writes our weights out as float32. ``fp32`` names a foreign export
to compare with instead. Runs alternate, so that both sides meet the same machine.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.settings import EncoderSettings, Settings
from engine.bench.report import Report, report
from engine.routing.contract import Vectors
from engine.routing.encoder import MiniLm, load_encoder, onnx_runtime, read_model, start_encoder

ROUNDS: Final = 100
WARM_UP: Final = 5
TOKENS: Final = (8, 32, 128)
DATA: Final = Path(str(files("engine.routing") / "data"))
WORD: Final = "switch"
"""One token of the vocabulary, so that texts of any length can be made."""


def run(settings: Settings, say: Callable[[str], None] | None = None, fp32: Path | None = None) -> Report:
    """Figures of ``bench encoder``.

    ``encoder.over_fp32_ratio`` is our p50 at 32 tokens over that of the same model in fp32, with our session
    options or ONNX Runtime's defaults, whichever is faster. Times contain tokenising and pooling.
    """
    if say is not None:
        say("vectors")
    ours = load_encoder(settings.encoder, known={})
    found = likeness(ours)
    if say is not None:
        say("speed")
    sides = {"ours": ours, **_fp32_encoders(settings.encoder, fp32)}
    times = {tokens: _alternating(sides, _text_of(tokens)) for tokens in TOKENS}
    fastest = min(ms for name, ms in times[32].items() if name != "ours")
    found["encoder.over_fp32_ratio"] = times[32]["ours"] / fastest
    found |= {f"encoder.tokens_{tokens}.p50_ms": times[tokens]["ours"] for tokens in TOKENS}
    return report("encoder", found, notes=tuple(_line(n, ms) for n, ms in times.items()))


def likeness(encoder: MiniLm) -> dict[str, float]:
    """Cosines to the reference vectors, and of each text alone to the same text in a batch."""
    texts = [str(text) for text in json.loads((DATA / "reference_texts.json").read_text(encoding="utf-8"))]
    reference: Vectors = np.load(DATA / "reference_vectors.npy")
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    together = encoder.encode(texts[::-1])[::-1]
    cosines = _cosines(alone, reference)
    return {
        "encoder.cosine.mean": float(cosines.mean()),
        "encoder.cosine.min": float(cosines.min()),
        "encoder.batch_cosine.min": float(_cosines(alone, together).min()),
    }


def _cosines(a: Vectors, b: Vectors) -> NDArray[np.float64]:
    # In double precision: in single, a unit vector's cosine to itself may be 1 - 1e-7.
    wide, other = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(other, axis=1)
    return (wide * other).sum(axis=1) / lengths


def _fp32_encoders(settings: EncoderSettings, foreign: Path | None) -> dict[str, MiniLm]:
    if foreign is not None:
        model = foreign.read_bytes()
    else:
        with tempfile.TemporaryDirectory(prefix="sg-") as folder:
            model = _written_as_fp32(settings, Path(folder) / "fp32.onnx").read_bytes()
    return {
        "fp32 like ours": start_encoder(model, settings, {}),
        "fp32 by default": start_encoder(model, settings, {}, fusions=True),
    }


def _written_as_fp32(settings: EncoderSettings, path: Path) -> Path:
    ort = onnx_runtime()
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    ort.InferenceSession(read_model(settings), options, providers=["CPUExecutionProvider"])
    return path


def _text_of(tokens: int) -> str:
    # The tokenizer adds one token at each end.
    return " ".join([WORD] * (tokens - 2))


def _alternating(sides: Mapping[str, MiniLm], text: str) -> dict[str, float]:
    """p50 in milliseconds of each side."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(WARM_UP + ROUNDS):
        for name, encoder in sides.items():
            began = time.perf_counter()
            encoder.encode((text,))
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - began) * 1e3)
    return {name: statistics.median(ms) for name, ms in times.items()}


def _line(tokens: int, times: Mapping[str, float]) -> str:
    parts: Sequence[str] = [f"{name} {ms:.2f} ms" for name, ms in times.items()]
    return f"{tokens} tokens: {', '.join(parts)}"
