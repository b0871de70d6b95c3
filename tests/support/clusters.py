"""Made-up vectors in clusters, one per label: what a head is fitted on where the encoder does not matter."""

from __future__ import annotations

import numpy as np

from engine.routing.contract import Vectors
from engine.routing.head import DIMENSIONS
from engine.training.fit import Labelled

NOISE = 0.04


def centre(label: int) -> Vectors:
    """The direction of one label, or of something else for another number."""
    found = np.random.default_rng(1_000 + label).normal(size=DIMENSIONS)
    return (found / np.linalg.norm(found)).astype(np.float32)


def near(label: int, count: int, *, seed: int = 0, noise: float = NOISE) -> Vectors:
    """``count`` unit vectors around the direction of ``label``."""
    spread = np.random.default_rng([seed, label]).normal(size=(count, DIMENSIONS)) * noise
    found = centre(label) + spread
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def labelled(labels: int, each: int, *, seed: int = 0, noise: float = NOISE) -> Labelled:
    """``each`` rows of ``labels`` labels named ``a``, ``b``, …; each text names its label's own word."""
    names = [chr(ord("a") + i) for i in range(labels)]
    return Labelled(
        vectors=np.concatenate([near(i, each, seed=seed, noise=noise) for i in range(labels)]),
        texts=[f"word{name} number {n}" for name in names for n in range(each)],
        labels=[name for name in names for _ in range(each)],
    )
