"""Vectors of evaluation texts, kept between runs under the data folder: encoding them takes minutes.

A file per encoder, by digest, never in the repository. It holds digests of texts, not texts. Not the encoder.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from engine.routing.contract import Vectors
from engine.routing.encoder import DIMENSIONS, MiniLm

FOLDER: Final = "eval"
DIGEST_BYTES: Final = 16
CHUNK: Final = 128
OnStep = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much."""


class KeptVectors:
    """Vectors by text. One process at a time writes; a second one would lose work, not correctness."""

    def __init__(self, settings: Settings, encoder: MiniLm, on_step: OnStep) -> None:
        made = f"{settings.encoder.model_sha256} {settings.encoder.tokenizer_sha256} {settings.encoder.max_tokens}"
        name = f"vectors-{hashlib.sha256(made.encode()).hexdigest()[:16]}.npz"
        self._path = Path(settings.data_dir) / FOLDER / name
        self._encoder = encoder
        self._on_step = on_step
        self._found = _read(self._path)

    def of(self, texts: Sequence[str]) -> Vectors:
        """Shape (len(texts), 384). Encodes what is not known yet, on all cores, and keeps it.

        Raises ``EmbeddingInvalid``.
        """
        keys = [_key(text) for text in texts]
        missing = list(
            {key: text for key, text in zip(keys, texts, strict=True) if key not in self._found}.items()
        )
        if missing:
            self._encode(missing)
            self._write()
        if not keys:
            return np.empty((0, DIMENSIONS), dtype=np.float32)
        return np.stack([self._found[key] for key in keys])

    def _encode(self, missing: Sequence[tuple[bytes, str]]) -> None:
        # Texts of a length share runs of the model, so neighbours should be of a length.
        ordered = sorted(missing, key=lambda pair: len(pair[1]))
        chunks = [ordered[at : at + CHUNK] for at in range(0, len(ordered), CHUNK)]
        done = 0
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for chunk, vectors in zip(chunks, pool.map(self._chunk, chunks), strict=True):
                self._found.update(zip((key for key, _ in chunk), vectors, strict=True))
                done += len(chunk)
                self._on_step("encoding", done, len(ordered))

    def _chunk(self, chunk: Sequence[tuple[bytes, str]]) -> Vectors:
        return self._encoder.encode([text for _, text in chunk])

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        keys: NDArray[np.uint8] = np.frombuffer(b"".join(self._found), dtype=np.uint8).reshape(-1, DIGEST_BYTES)
        beside = self._path.with_suffix(f".{os.getpid()}.tmp")
        with beside.open("wb") as file:
            np.savez(file, keys=keys, vectors=np.stack(list(self._found.values())))
        beside.replace(self._path)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:DIGEST_BYTES]


def _read(path: Path) -> dict[bytes, Vectors]:
    """What was kept; nothing when the file is absent or damaged, for it can be made again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            keys, vectors = stored["keys"], stored["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    fits = keys.dtype == np.uint8 and vectors.dtype == np.float32 and len(keys) == len(vectors)
    if not fits or keys.shape[1:] != (DIGEST_BYTES,) or vectors.shape[1:] != (DIMENSIONS,):
        return {}
    return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}
