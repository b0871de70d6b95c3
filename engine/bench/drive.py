"""Load on a system under test: so many requests, so many at once, each timed; and what that amounts to.

A system is an ``Ask``: it sends one question its own way and names the model that answered, or nobody. Not an open
loop: whoever has an answer asks again (``overload.py`` offers load at a fixed rate instead).
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

Ask = Callable[[], Awaitable[str | None]]
"""Asks one question; the model that answered, ``None`` when nobody did."""
QUESTION = "What makes a good cup of tea?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One request."""

    latency_s: float
    model: str | None
    """Who answered."""


async def drive(ask: Ask, requests: int, concurrency: int) -> list[Shot]:
    """``requests`` questions, ``concurrency`` at once, in the order in which they ended."""
    left = iter(range(requests))
    shots: list[Shot] = []

    async def worker() -> None:
        for _ in left:
            began = time.perf_counter()
            model = await ask()
            shots.append(Shot(latency_s=time.perf_counter() - began, model=model))

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return shots


def success(shots: Sequence[Shot]) -> float:
    """Share that was answered."""
    return sum(shot.model is not None for shot in shots) / len(shots)


def share_of(model: str, shots: Sequence[Shot]) -> float:
    """Share that ``model`` answered."""
    return sum(shot.model == model for shot in shots) / len(shots) if shots else 0.0


def p50_ms(shots: Sequence[Shot]) -> float:
    """Median latency."""
    return statistics.median(shot.latency_s for shot in shots) * 1e3


def p95_ms(shots: Sequence[Shot]) -> float:
    """95th percentile of the latency."""
    return statistics.quantiles([shot.latency_s for shot in shots], n=20)[18] * 1e3


@contextmanager
def quiet() -> Generator[None]:
    """Hundreds of requests that fail on purpose are no news."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
