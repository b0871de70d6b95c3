"""Vectors of the shipped agents' texts, computed once by the project, so that a start does not pay for them.

Some 270 runs of the model, a second, would otherwise stand before the first answer of every process. Written by
``benchmarks/make_agent_vectors.py``; a test computes them again. Not a cache: nothing is ever added at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np

from configs.settings import EncoderSettings
from engine.routing.contract import Vectors

KNOWN_PATH: Final = Path(str(files("engine.routing") / "data" / "agent_vectors.npz"))


def key_of(text: str) -> bytes:
    """What a text is looked up by."""
    return blake2b(text.encode(), digest_size=12).digest()


def load_known(settings: EncoderSettings, path: Path = KNOWN_PATH) -> Mapping[bytes, Vectors]:
    """Unit vectors by ``key_of``; empty when the files in use are not the ones the vectors were made with."""
    with np.load(path, allow_pickle=False) as stored:
        if str(stored["made_with"]) != _made_with(settings):
            return {}
        rows = stored["vectors"].astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return {bytes(key): row for key, row in zip(stored["keys"], rows, strict=True)}


def save_known(settings: EncoderSettings, texts: Sequence[str], vectors: Vectors, path: Path) -> None:
    """Write ``vectors`` of ``texts``, in half precision: a cosine changes by less than 1e-6."""
    keys = np.array([np.frombuffer(key_of(text), dtype=np.uint8) for text in texts])
    np.savez_compressed(path, made_with=_made_with(settings), keys=keys, vectors=vectors.astype(np.float16))


def _made_with(settings: EncoderSettings) -> str:
    return f"{settings.model_sha256} {settings.tokenizer_sha256}"
