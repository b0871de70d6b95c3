"""A trained router on disk, read: verified to the last byte before anything of it is used (route.train).

A folder with ``card.json`` and the files it names with their digests. Not the writing (``engine/training``), not
the routing. What is wrong in any way is refused with ``ArtifactRefused``.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from configs.section import Section
from configs.settings import EncoderSettings, Sha256
from engine.errors import ArtifactRefused, ModelFileError
from engine.routing.encoder import DIMENSIONS, read_model
from engine.routing.head import Head

KIND: Final = "switchgear-router"
SCHEMA: Final = 1
CARD: Final = "card.json"
HEAD: Final = "head.npz"
ENCODER: Final = "encoder.onnx"
PAPERS: Final = ("MODEL_CARD.md", "report.html")
FILES: Final = frozenset({HEAD, ENCODER, *PAPERS})
CARD_BYTES_MAX: Final = 4_194_304
HEAD_BYTES_MAX: Final = 268_435_456
ENCODER_BYTES_MAX: Final = 1_073_741_824
Arrays = Mapping[str, NDArray[Any]]
_AGAIN: Final = "train it again, or copy it again with all its files"


class MadeWith(Section):
    """The encoder whose vectors the head was fitted on; those of another one mean nothing to it."""

    model_sha256: Sha256
    tokenizer_sha256: Sha256
    max_tokens: int


class Card(Section):
    """``card.json``: what was trained, from what, how well, and the digest of every file."""

    kind: Literal["switchgear-router"]
    card_schema: Literal[1]
    version: str
    """First twelve digits of the digest over head and encoder: the same rows and seed give the same version."""
    created: str
    """UTC, ISO 8601."""
    labels: tuple[str, ...]
    rows: dict[str, int]
    """How many were read, dropped for which reason, used, and in which part."""
    label_rows: dict[str, int]
    metrics: dict[str, float]
    """Measured on the test part; empty when there was none."""
    seed: int
    settings: dict[str, Any]
    data: str
    """Name of what it was trained from."""
    data_sha256: Sha256
    licence: str | None
    """What the trainer said about the licence of the rows."""
    encoder: MadeWith
    files: dict[str, Sha256]
    seal: str = ""
    """SHA-256 of this card without this line."""

    def sealed(self) -> Card:
        """The card with its seal."""
        return self.model_copy(update={"seal": self._digest()})

    def is_sealed(self) -> bool:
        """Whether nothing in it was changed since."""
        return self.seal == self._digest()

    def _digest(self) -> str:
        values = self.model_dump(mode="json", exclude={"seal"})
        return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A verified trained router."""

    head: Head
    card: Card
    path: Path
    encoder: EncoderSettings | None = None
    """The fine-tuned encoder that belongs to it; ``None``: the one of the settings."""


def is_artifact(path: Path) -> bool:
    """Whether the folder says it is one, damaged or not, and holds nothing else."""
    try:
        names = {entry.name for entry in path.iterdir()}
        kind = json.loads(_read(path / CARD, CARD_BYTES_MAX))["kind"]
    except (ArtifactRefused, OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
    return kind == KIND and names <= FILES | {CARD}


def load_artifact(path: Path, settings: EncoderSettings) -> Artifact:
    """The artifact in folder ``path``, for an engine whose encoder is ``settings``.

    Raises ``ArtifactRefused``: ``artifact_missing``, ``artifact_schema`` (another release's), ``artifact_damaged``
    (any byte differs from what was written, or it is no such file), ``artifact_encoder`` (another encoder's).
    Nothing in it is run: arrays are read without pickle, and sizes are known before memory is taken.
    """
    card = _card(path)
    encoder = _encoder(path, card, settings)
    for name in PAPERS:
        if name in card.files:
            _verified(path, name, card, HEAD_BYTES_MAX)
    head = _head(_verified(path, HEAD, card, HEAD_BYTES_MAX), card)
    return Artifact(head=head, card=card, path=path, encoder=encoder)


def _card(path: Path) -> Card:
    if not path.is_dir():
        raise ArtifactRefused(
            f"there is no trained router at {path}",
            hint="`switchgear train router DATA --out DIR` makes one",
            code="artifact_missing",
        )
    try:
        found: object = json.loads(_read(path / CARD, CARD_BYTES_MAX))
    except (ValueError, RecursionError) as exc:
        raise _damaged(f"{CARD} is not JSON") from exc
    schema = cast("dict[str, object]", found).get("card_schema") if isinstance(found, dict) else None
    if type(schema) is int and schema != SCHEMA:
        raise ArtifactRefused(
            f"the artifact has schema {schema}, this release reads {SCHEMA}",
            hint="train it again with this release",
            code="artifact_schema",
        )
    try:
        card = Card.model_validate(found)
    except ValidationError as exc:
        where = ", ".join(".".join(str(part) for part in error["loc"]) for error in exc.errors()[:3])
        raise _damaged(f"{CARD} is not a card: {where or 'not an object'}") from exc
    if not card.is_sealed():
        raise _damaged(f"{CARD} was changed after it was written")
    if HEAD not in card.files or not card.files.keys() <= FILES:
        raise _damaged(f"{CARD} names other files than an artifact has")
    return card


def _encoder(path: Path, card: Card, settings: EncoderSettings) -> EncoderSettings | None:
    """The encoder the artifact brings, or ``None`` when that of the settings is the one it was made with."""
    brought = card.files.get(ENCODER)
    chosen = settings
    if brought is not None:
        _verified(path, ENCODER, card, ENCODER_BYTES_MAX)
        chosen = settings.model_copy(update={"model_path": path / ENCODER, "model_sha256": brought})
    try:
        model = model_digest(chosen)
    except ModelFileError as exc:
        raise ArtifactRefused(
            f"the artifact's encoder cannot be checked: {exc.message}", hint=exc.hint, code="artifact_encoder"
        ) from exc
    if (model, chosen.tokenizer_sha256) != (card.encoder.model_sha256, card.encoder.tokenizer_sha256):
        raise ArtifactRefused(
            "the artifact was made with another encoder: model or tokenizer differ from settings.encoder",
            hint="train it again with these settings, or use the encoder it was made with",
            code="artifact_encoder",
        )
    return None if brought is None else chosen


def model_digest(settings: EncoderSettings) -> str:
    """SHA-256 of the model file, which the loader checks; computed where the settings trust any file.

    Raises ``ModelFileError``.
    """
    if settings.model_sha256 is not None:
        return settings.model_sha256
    return hashlib.sha256(read_model(settings)).hexdigest()


def _verified(path: Path, name: str, card: Card, bytes_max: int) -> bytes:
    data = _read(path / name, bytes_max)
    if hashlib.sha256(data).hexdigest() != card.files[name]:
        raise _damaged(f"{name} is not the file that was written (SHA-256 differs)")
    return data


def _read(path: Path, bytes_max: int) -> bytes:
    """The bytes of a regular file, read once, so that what was verified is what is used."""
    try:
        if not path.is_file():
            raise _damaged(f"{path.name} is missing")
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as exc:
        raise _damaged(f"{path.name} cannot be read: {exc.strerror}") from exc
    if len(data) > bytes_max:
        raise _damaged(f"{path.name} is larger than {bytes_max:,} bytes")
    return data


def _head(data: bytes, card: Card) -> Head:
    try:
        head = Head.from_arrays(read_arrays(data))
        with np.errstate(all="ignore"):
            judged = head.judge(np.eye(1, DIMENSIONS, dtype=np.float32), [""])
    except ArtifactRefused as exc:
        raise _damaged(exc.message) from exc
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as exc:
        raise _damaged(f"{HEAD} does not hold a head: {exc}") from exc
    found = judged.probabilities
    if tuple(head.labels) != card.labels or found.shape != (1, len(card.labels)) or not np.isfinite(found).all():
        raise _damaged(f"{HEAD} and {CARD} do not belong together")
    return head


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz``. Raises ``ValueError`` for anything else, pickled objects and bombs included."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as members:
            listed = members.infolist()
            if sum(member.file_size for member in listed) > HEAD_BYTES_MAX:
                raise ValueError("it unpacks to more than it may")
            for member in listed:
                with members.open(member) as file:
                    _check_header(file, member)
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, EOFError, KeyError, NotImplementedError, RuntimeError) as exc:
        raise ValueError(f"not an array file: {exc}") from exc
    except (zipfile.BadZipFile, zlib.error) as exc:
        raise ValueError(f"not an array file: {exc}") from exc


def _check_header(file: Any, member: zipfile.ZipInfo) -> None:
    """Refuse a header that promises more than there is: NumPy takes the memory first and reads later."""
    major = np.lib.format.read_magic(file)[0]
    reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    size = dtype.itemsize
    for length in shape:
        size *= length
    if file.tell() + size != member.file_size:
        raise ValueError(f"{member.filename} has another size than it says")


def _damaged(reason: str) -> ArtifactRefused:
    return ArtifactRefused(f"the artifact is damaged: {reason}", hint=_AGAIN, code="artifact_damaged")
