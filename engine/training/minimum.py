"""The one search that every fit here uses: L-BFGS-B (Byrd et al. 1995), typed. Not a loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Loss = Callable[[Floats], tuple[float, Floats]]
"""Value and gradient."""
CORRECTIONS: Final = 6
ITERATIONS: Final = 500


def minimum(
    loss: Loss,
    start: Floats,
    *,
    iterations: int | None = None,
    bounds: Sequence[tuple[float, float]] | None = None,
) -> tuple[Floats, float]:
    """Where ``loss`` is least, and how much it is there. Deterministic."""
    optimize: Any = import_module("scipy.optimize")  # late: 0.3 s that only training pays
    options = {"maxiter": ITERATIONS if iterations is None else iterations, "maxcor": CORRECTIONS}
    found: Any = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(found.x, dtype=np.float64), float(found.fun)
