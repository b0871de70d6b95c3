"""A verifier on disk, read: checked to the last digit before it judges anything (cache.verify).

One JSON file, small enough to read by eye, sealed by a digest. What is wrong in any way is refused with
``ArtifactRefused``. Not the judging (``verifier.py``) and not the writing (``engine/training``).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, cast

import numpy as np
from pydantic import Field, ValidationError

from configs.section import Section
from configs.settings import EncoderSettings, Sha256
from engine.cache.features import NAMES
from engine.cache.verifier import PARTS, Logistic, Verifier
from engine.errors import ArtifactRefused

FILE: Final = "verifier.json"
CARD: Final = "MODEL_CARD.md"
KIND: Final = "switchgear-verifier"
SCHEMA: Final = 1
BYTES_MAX: Final = 1_048_576
WEIGHT_MAX: Final = 1e4
SHIPPED: Final = Path(str(files("engine.cache") / "data" / "verifier"))
_AGAIN: Final = "train it again, or copy it again"


class Fitted(Section):
    """One logistic function."""

    weights: dict[str, float]
    """By feature; those of ``features.NAMES``, all of them."""
    bias: float


class Sheet(Section):
    """``verifier.json``: what was fitted, on what, how well."""

    kind: Literal["switchgear-verifier"]
    sheet_schema: Literal[1]
    created: str
    """UTC, ISO 8601."""
    parts: dict[str, Fitted]
    """By ``verifier.PARTS``."""
    accept: float = Field(gt=0.0, lt=1.0)
    pairs: dict[str, int]
    """How many were learned from, by kind."""
    metrics: dict[str, float]
    """On pairs of questions that were not learned from."""
    seed: int
    settings: dict[str, Any]
    data: str
    data_sha256: Sha256
    licence: str | None
    model_sha256: Sha256
    tokenizer_sha256: Sha256
    """The encoder whose cosine was learned from; another one's means something else."""
    seal: str = ""
    """SHA-256 of this file without this line."""

    def sealed(self) -> Sheet:
        """The sheet with its seal."""
        return self.model_copy(update={"seal": self.digest()})

    def digest(self) -> str:
        """What the seal has to be."""
        values = self.model_dump(mode="json", exclude={"seal"})
        return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def verifier(self) -> Verifier:
        """The fitted functions. Raises ``ArtifactRefused`` when they are for other features."""
        edit, rewording = (self._part(name) for name in PARTS)
        return Verifier(edit=edit, rewording=rewording, accept=self.accept, version=self.digest()[:12])

    def _part(self, name: str) -> Logistic:
        part = self.parts.get(name)
        if part is None or set(part.weights) != set(NAMES):
            raise ArtifactRefused(
                "the verifier was fitted to other features than this release has",
                hint="train it again with this release",
                code="artifact_schema",
            )
        weights = np.array([part.weights[feature] for feature in NAMES])
        if not (np.abs(weights) < WEIGHT_MAX).all() or not math.isfinite(part.bias):
            raise _damaged("its weights are no numbers")
        return Logistic(weights=weights, bias=part.bias)


def is_verifier(path: Path) -> bool:
    """Whether the folder says it is one, damaged or not, and holds nothing else."""
    try:
        names = {entry.name for entry in path.iterdir()}
        kind = json.loads(_read(path / FILE))["kind"]
    except (ArtifactRefused, OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
    return kind == KIND and names <= {FILE, CARD}


def generation_of(path: Path | None) -> str:
    """What tells one verifier's counts from the next one's; empty for a folder that cannot be read."""
    try:
        return hashlib.sha256(_read((SHIPPED if path is None else path) / FILE)).hexdigest()[:12]
    except ArtifactRefused:
        return ""


def load_verifier(path: Path | None, encoder: EncoderSettings) -> Verifier:
    """The verifier in folder ``path``, or the shipped one, for an engine with this encoder.

    Raises ``ArtifactRefused``: ``artifact_missing``, ``artifact_schema`` (another release's),
    ``artifact_damaged``, ``artifact_encoder`` (another encoder's).
    """
    return _loaded(SHIPPED if path is None else path, encoder.model_sha256, encoder.tokenizer_sha256)


@lru_cache(maxsize=4)
def _loaded(path: Path, model: str | None, tokenizer: str | None) -> Verifier:
    sheet = load_sheet(path)
    if (model, tokenizer) != (sheet.model_sha256, sheet.tokenizer_sha256):
        raise ArtifactRefused(
            "the verifier was made with another encoder: model or tokenizer differ from settings.encoder",
            hint="train one with these settings: switchgear train verifier PAIRS --out DIR",
            code="artifact_encoder",
        )
    return sheet.verifier()


def load_sheet(path: Path) -> Sheet:
    """The file of folder ``path``, checked. Raises ``ArtifactRefused``."""
    try:
        found: object = json.loads(_read(path / FILE))
    except (ValueError, RecursionError) as exc:
        raise _damaged(f"{FILE} is not JSON") from exc
    schema = cast("Mapping[str, object]", found).get("sheet_schema") if isinstance(found, dict) else None
    if type(schema) is int and schema != SCHEMA:
        raise ArtifactRefused(
            f"the verifier has schema {schema}, this release reads {SCHEMA}",
            hint="train it again with this release",
            code="artifact_schema",
        )
    try:
        sheet = Sheet.model_validate(found)
    except ValidationError as exc:
        where = ", ".join(".".join(str(part) for part in error["loc"]) for error in exc.errors()[:3])
        raise _damaged(f"{FILE} is no verifier: {where or 'not an object'}") from exc
    if sheet.seal != sheet.digest():
        raise _damaged(f"{FILE} was changed after it was written")
    return sheet


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(BYTES_MAX + 1)
    except OSError as exc:
        raise ArtifactRefused(
            f"there is no verifier at {path.parent}: {exc.strerror}",
            hint="`switchgear train verifier PAIRS --out DIR` makes one",
            code="artifact_missing",
        ) from exc
    if len(data) > BYTES_MAX:
        raise _damaged(f"{path.name} is larger than {BYTES_MAX:,} bytes")
    return data


def _damaged(reason: str) -> ArtifactRefused:
    return ArtifactRefused(f"the verifier is damaged: {reason}", hint=_AGAIN, code="artifact_damaged")
