"""The observer that puts every finished request into history, and vectors as rows hold them.

What a sibling package knows (the cache's fingerprint, the encoder's reading of the question) comes in as a
function, so that history depends on neither.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.contract import Finished, Observer
from engine.history.contract import History
from engine.history.record import row_of
from engine.types import Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


def observer_of(
    history: History,
    *,
    now_s: Callable[[], float],
    fingerprint: Callable[[Request], str],
    vector: Callable[[str], Vector | None],
) -> Observer:
    """An observer for ``engine.run.Run``.

    ``now_s``: Unix time. ``vector``: of a question, if somebody has read it already; ``None`` for one that nobody
    has, such as an exact hit's: nothing is computed for history's sake.
    """

    def observe(finished: Finished) -> None:
        read = vector(finished.request.question)
        row = row_of(
            finished,
            row_id=uuid.uuid4().hex,
            now_s=now_s(),
            fingerprint=finished.fingerprint or fingerprint(finished.request),
            embedding=None if read is None else packed(read),
        )
        history.put(row)

    return observe


def packed(vector: Vector) -> bytes:
    """As rows hold it: float16, little-endian; of a unit vector the cosine to itself stays above 0.9999."""
    return vector.astype("<f2").tobytes()


def unpacked(data: bytes) -> Vector:
    """The vector again, as float32. Raises ``ValueError`` for an odd number of bytes."""
    import numpy as np  # noqa: PLC0415 - who only puts rows that nobody has read needs no numpy

    return np.frombuffer(data, dtype="<f2").astype(np.float32)
