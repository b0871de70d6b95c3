"""The artifact on disk: what is in it, that any damage is refused, that the old one outlives a failed writing."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.settings import EncoderSettings
from engine.errors import ArtifactRefused, TrainingRefused
from engine.routing.artifact import (
    CARD,
    ENCODER,
    HEAD,
    Card,
    is_artifact,
    load_artifact,
    read_arrays,
)
from engine.training.folder import write_folder
from tests.support.minilm import minilm
from tests.support.trained import AGENTS, PER_AGENT, artifact_files, put_artifact, resealed

ENCODING = EncoderSettings()


def _refusal(path: Path, encoder: EncoderSettings = ENCODING) -> ArtifactRefused:
    with pytest.raises(ArtifactRefused) as caught:
        load_artifact(path, encoder)
    assert caught.value.hint
    return caught.value


def _npz(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _arrays() -> dict[str, Any]:
    return read_arrays(artifact_files()[HEAD])


@pytest.mark.req("route.train")
def test_an_artifact_reads_back_as_it_was_trained(tmp_path: Path) -> None:
    """The card says from what and how well; the head judges; nothing needs another encoder."""
    artifact = load_artifact(put_artifact(tmp_path / "router"), ENCODING)
    card = artifact.card
    assert set(artifact_files()) == {CARD, HEAD, "MODEL_CARD.md", "report.html"} == {CARD, *card.files}
    assert (card.labels, card.label_rows) == (AGENTS, dict.fromkeys(AGENTS, PER_AGENT))
    assert card.rows["read"] == card.rows["used"] == PER_AGENT * len(AGENTS)
    assert card.rows["train"] + card.rows["calibration"] + card.rows["test"] == card.rows["used"]
    assert (card.licence, card.seed, card.created) == ("CC0", 0, "2026-11-21T12:00:00+00:00")
    assert 0.0 <= card.metrics["ece"] <= 1.0
    assert card.encoder.model_sha256 == ENCODING.model_sha256
    assert artifact.encoder is None
    question = "Write a SELECT statement that joins two tables"
    judged = artifact.head.judge(minilm().encode([question]), [question])
    assert artifact.head.labels[int(judged.probabilities.argmax())] == "sql"


@pytest.mark.req("route.train")
@settings(max_examples=60)
@given(st.sampled_from([CARD, HEAD, "MODEL_CARD.md", "report.html"]), st.floats(0, 1), st.integers(1, 255))
def test_no_byte_may_differ(tmp_path_factory: pytest.TempPathFactory, name: str, where: float, flip: int) -> None:
    """Whichever byte of whichever file is changed, the artifact is refused."""
    path = put_artifact(tmp_path_factory.mktemp("flip") / "router")
    data = bytearray(artifact_files()[name])
    data[int(where * (len(data) - 1))] ^= flip
    (path / name).write_bytes(data)
    if name == CARD and _same_json(bytes(data)):
        return  # white space between two values: the same card
    assert _refusal(path).code in {"artifact_damaged", "artifact_schema"}
    shutil.rmtree(path)


def _same_json(data: bytes) -> bool:
    try:
        return json.loads(data) == json.loads(artifact_files()[CARD])
    except ValueError:
        return False


@pytest.mark.req("route.train")
@pytest.mark.parametrize("name", [CARD, HEAD, "MODEL_CARD.md", "report.html"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999, None])
def test_a_file_cut_short_or_missing_is_refused(tmp_path: Path, name: str, keep: float | None) -> None:
    """Nothing, half, all but the end, no file at all."""
    path = put_artifact(tmp_path / "router")
    data = artifact_files()[name]
    if keep is None:
        (path / name).unlink()
    else:
        (path / name).write_bytes(data[: int(keep * (len(data) - 3))])
    assert _refusal(path).code == "artifact_damaged"


def _bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as members:
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
        members.writestr("weights.npy", header.getvalue())
    return buffer.getvalue()


def _hostile() -> dict[str, bytes]:
    arrays = _arrays()
    largest = max((name for name in arrays if arrays[name].dtype.kind == "f"), key=lambda n: arrays[n].size)
    return {
        "pickle inside": _npz(**{**arrays, largest: np.array([{"a": 1}], dtype=object)}),
        "pickle alone": b"\x80\x04]\x94.",
        "no zip": b"hello",
        "empty zip": b"PK\x05\x06" + bytes(18),
        "text in a zip": _zipped("weights.npy", b"hello"),
        "other arrays": _npz(a=np.zeros(3)),
        "an array missing": _npz(**{k: v for k, v in arrays.items() if k != largest}),
        "another shape": _npz(**{**arrays, largest: arrays[largest][:1]}),
        "not finite": _npz(**{**arrays, largest: np.full_like(arrays[largest], np.nan)}),
        "another type": _npz(**{**arrays, largest: arrays[largest].astype(str)}),
        "other labels": _npz(**{**arrays, "labels": np.array(["x", "y", "z"])}),
        "a promise of eight terabytes": _bomb(),
    }


def _zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as members:
        members.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.req("route.train")
def test_a_hostile_head_under_a_card_that_fits_is_refused(tmp_path: Path) -> None:
    """Digests only say who wrote it: pickle, foreign arrays, wrong shapes, huge promises are refused too."""
    refused = {
        name: _refusal(put_artifact(tmp_path / name, head_npz=data)).code for name, data in _hostile().items()
    }
    assert refused == dict.fromkeys(refused, "artifact_damaged")
    assert len(refused) == 12


@pytest.mark.req("route.train")
@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"card_schema": 2}, "artifact_schema"),
        ({"kind": "other"}, "artifact_damaged"),
        ({"files": {}}, "artifact_damaged"),
        ({"labels": ("python", "sql", "rust")}, "artifact_damaged"),
        ({"labels": ()}, "artifact_damaged"),
    ],
)
def test_a_card_of_another_kind_is_refused(tmp_path: Path, values: dict[str, Any], code: str) -> None:
    """Another release's schema says so; a card that does not fit its head is damage."""
    path = put_artifact(tmp_path / "router")
    (path / CARD).write_bytes(resealed(artifact_files(), **values))
    assert _refusal(path).code == code


def test_a_card_cannot_name_files_elsewhere(tmp_path: Path) -> None:
    """A path out of the folder is no file of an artifact."""
    path = put_artifact(tmp_path / "router")
    (tmp_path / "secret").write_bytes(b"x")
    (path / CARD).write_bytes(resealed({**artifact_files(), "../secret": b"x"}))
    assert _refusal(path).code == "artifact_damaged"


@pytest.mark.req("route.train")
def test_an_artifact_of_another_encoder_is_refused(tmp_path: Path) -> None:
    """Vectors of another model mean nothing to the head; the same model trusted without a digest is the same."""
    path = put_artifact(tmp_path / "router")
    other = ENCODING.model_copy(update={"model_sha256": "0" * 64})
    assert _refusal(path, other).code == "artifact_encoder"
    assert _refusal(path, ENCODING.model_copy(update={"tokenizer_sha256": "0" * 64})).code == "artifact_encoder"
    assert load_artifact(path, ENCODING.model_copy(update={"model_sha256": None})).card.seed == 0


def test_an_encoder_in_the_folder_is_the_one_to_use(tmp_path: Path) -> None:
    """A fine-tuned model comes as settings of the encoder, with the digest it must have."""
    card = Card.model_validate_json(artifact_files()[CARD])
    files = {**artifact_files(), ENCODER: b"a model"}
    path = put_artifact(tmp_path / "router")
    (path / ENCODER).write_bytes(files[ENCODER])
    (path / CARD).write_bytes(resealed(files))
    assert _refusal(path).code == "artifact_encoder"
    right = Card.model_validate_json(resealed(files)).files[ENCODER]
    made_with = card.encoder.model_copy(update={"model_sha256": right})
    (path / CARD).write_bytes(resealed(files, encoder=made_with))
    encoder = load_artifact(path, ENCODING).encoder
    assert encoder == ENCODING.model_copy(update={"model_path": path / ENCODER, "model_sha256": right})


@pytest.mark.req("route.train")
def test_only_an_artifact_is_replaced(tmp_path: Path) -> None:
    """Nothing, an empty folder and an artifact, damaged or not, make room; anything else is kept and named."""
    empty, damaged = tmp_path / "empty", put_artifact(tmp_path / "damaged")
    empty.mkdir()
    (damaged / HEAD).write_bytes(b"x")
    for path in (tmp_path / "a" / "new", empty, damaged):
        write_folder(path, artifact_files(), lambda made: load_artifact(made, ENCODING))
        assert load_artifact(path, ENCODING).path == path
    with_notes = put_artifact(tmp_path / "notes")
    (with_notes / "notes.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for path in (with_notes, tmp_path / "file", tmp_path):
        with pytest.raises(TrainingRefused) as caught:
            write_folder(path, artifact_files(), lambda _made: None)
        assert caught.value.code == "out_not_artifact"
    assert (with_notes / "notes.txt").read_text() == (tmp_path / "file").read_text() == "mine"
    assert not is_artifact(with_notes)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_what_fails_its_own_check_is_not_put_in_place(tmp_path: Path) -> None:
    """The old folder stays and nothing is left beside it."""
    path = put_artifact(tmp_path / "router")
    with pytest.raises(ArtifactRefused):
        write_folder(path, {**artifact_files(), HEAD: b"x"}, lambda made: load_artifact(made, ENCODING))
    assert load_artifact(path, ENCODING).path == path
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, signal, sys
from pathlib import Path
from engine.training import folder

out, old, new = (Path(a) for a in sys.argv[1:])
read = lambda place: {p.name: p.read_bytes() for p in place.iterdir()}
files = read(new)
places = [(folder, name) for name in ("_sibling", "_write", "_sync_folder", "_take_place", "_exchange")]
places += [(folder.shutil, "rmtree"), (Path, "rename")]
steps = [(owner, name, getattr(owner, name)) for owner, name in places]
def run(deadly):
    count = 0
    def wrapped(step):
        def call(*args, **options):
            nonlocal count
            count += 1
            if count == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **options)
        return call
    for owner, name, step in steps:
        setattr(owner, name, wrapped(step))
    folder.write_folder(out, files, read)
killed = 0
for deadly in range(1, 100):
    pid = os.fork()
    if pid == 0:
        run(deadly)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    now = read(out)
    if status == 0:
        break
    killed += 1
    assert now in (read(old), files), f"half an artifact after step {deadly}"
    print(deadly, "old" if now == read(old) else "new")
assert now == files
print("left", [p.name for p in out.parent.iterdir() if p.name.startswith(".")])
"""


@pytest.mark.req("route.train")
def test_a_kill_at_any_step_leaves_the_old_artifact_or_the_new_one(tmp_path: Path) -> None:
    """SIGKILL before each file, sync, exchange and removal: never half a folder, and the next run cleans up."""
    old, new = put_artifact(tmp_path / "old"), put_artifact(tmp_path / "new")
    (new / "report.html").write_bytes(b"another report")
    out = put_artifact(tmp_path / "place" / "router")
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(out), str(old), str(new)],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.split("\n")
    assert sum(line.endswith(" old") for line in lines) >= 7
    assert any(line.endswith(" new") for line in lines)
    assert "left []" in lines, ran.stdout
