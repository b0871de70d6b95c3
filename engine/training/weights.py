"""The weights inside an ONNX file of MiniLM: read as PyTorch names them, and put back into the same graph.

The graph that ships is kept, so a fine-tuned encoder runs as fast as the shipped one and nothing is traced. In it
each matrix is int8 with a scale per channel; one that training changed is written in half precision instead, since
its steps are smaller than those of int8 and rounding would undo them. Needs ``onnx`` (extra ``train``).
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import TrainingRefused

PREFIX: Final = "inner."
EMBEDDING: Final = "embeddings"
Weights = Mapping[str, NDArray[np.float32]]


def read_weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """Every parameter under PyTorch's name and in its layout, de-quantised.

    Raises ``TrainingRefused`` when ``model`` is not the shipped graph.
    """
    graph = _Graph(model)
    found = {name.removeprefix(PREFIX): graph.plain(name) for name in graph.floats}
    for name, stored in graph.quantised.items():
        value = graph.dequantised(stored)
        found[name] = value if EMBEDDING in name else value.T.copy()
    return found


def write_weights(model: bytes, weights: Weights) -> bytes:
    """``model`` with ``weights`` in place of its own. What is equal stays as it is, byte for byte."""
    graph = _Graph(model)
    for name in graph.floats:
        graph.put(name, weights[name.removeprefix(PREFIX)].astype(np.float32))
    for name, stored in graph.quantised.items():
        value = weights[name] if EMBEDDING in name else weights[name].T
        if not np.array_equal(value, graph.dequantised(stored)):
            graph.widen(stored, value)
    return graph.model.SerializeToString()


class _Graph:
    """The shipped graph: initializers ``X_q`` and ``X_scale``, a Cast and a Mul that make ``X`` of them."""

    def __init__(self, model: bytes) -> None:
        onnx = import_module("onnx")
        self._numpy: Any = import_module("onnx.numpy_helper")
        try:
            self.model = onnx.load_model_from_string(model)
        except (ValueError, *_decode_errors()) as exc:
            raise _not_ours() from exc
        self._nodes = self.model.graph.node
        self._values = {value.name: value for value in self.model.graph.initializer}
        readers = {name: node for node in self._nodes for name in node.input}
        self.floats = [n for n in self._values if n.startswith(PREFIX) and self._values[n].data_type == 1]
        self.floats = [n for n in self.floats if not n.endswith("_scale")]
        self.quantised: dict[str, str] = {}
        for name in self._values:
            if name.endswith("_q"):
                self.quantised[_torch_name(name.removesuffix("_q"), readers)] = name.removesuffix("_q")
        if not self.quantised or not self.floats:
            raise _not_ours()

    def plain(self, name: str) -> NDArray[np.float32]:
        """A value that is stored in single precision."""
        return np.array(self._numpy.to_array(self._values[name]), dtype=np.float32)

    def dequantised(self, stored: str) -> NDArray[np.float32]:
        """A matrix as the graph computes it."""
        return self.plain(f"{stored}_q") * self.plain(f"{stored}_scale")

    def put(self, name: str, value: NDArray[Any]) -> None:
        """Replace a value; type and shape may change."""
        self._values[name].CopyFrom(self._numpy.from_array(np.ascontiguousarray(value), name))

    def widen(self, stored: str, value: NDArray[np.float32]) -> None:
        """Store a matrix in half precision: the Cast is all that is left of the two nodes."""
        self.put(f"{stored}_q", value.astype(np.float16))
        (cast,) = (node for node in self._nodes if f"{stored}_q" in node.input)
        (scaled,) = (node for node in self._nodes if list(node.output) == [stored])
        self._nodes.remove(scaled)
        cast.output[0] = stored
        self.model.graph.initializer.remove(self._values.pop(f"{stored}_scale"))


def _torch_name(stored: str, readers: Mapping[str, Any]) -> str:
    """An embedding has its name; a matrix goes by the bias that is added to its product."""
    if stored.startswith(PREFIX):
        return stored.removeprefix(PREFIX)
    try:
        product = readers[stored].output[0]
        (bias,) = (name for name in readers[product].input if name.endswith(".bias"))
    except (KeyError, ValueError) as exc:
        raise _not_ours() from exc
    return bias.removeprefix(PREFIX).removesuffix("bias") + "weight"


def _decode_errors() -> tuple[type[Exception], ...]:
    return (import_module("google.protobuf.message").DecodeError,)


def _not_ours() -> TrainingRefused:
    return TrainingRefused(
        "--finetune starts from the shipped encoder, and settings.encoder names another file",
        hint="leave encoder.model_path as it is, or train without --finetune",
        code="train_encoder",
    )
