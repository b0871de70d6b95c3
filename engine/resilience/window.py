"""The rate rules: at least this share of at least so many calls failed, or were slow, in a sliding window (B12).

Pure, bounded memory: outcomes are summed in buckets of ``window_s / window_buckets`` seconds, at most
``window_buckets`` of them, so the window reaches back between one bucket less and its full length. Buckets are
numbered from the clock's own zero, so that a Lua twin computes the same numbers from the server's time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from configs.settings import BreakerSettings


class Bucket(NamedTuple):
    """Outcomes of one slice of time."""

    number: int
    successes: int
    failures: int
    slow: int
    """Of the successes."""


Window = tuple[Bucket, ...]
"""Oldest first, only slices in which something ended."""

EMPTY: Window = ()


def width_s(rules: BreakerSettings) -> float:
    """Seconds per bucket."""
    return rules.window_s / rules.window_buckets


def number_at(rules: BreakerSettings, now_s: float) -> int:
    """Number of the bucket that ``now_s`` falls into; a bucket starts at its own first instant."""
    return math.floor(now_s / width_s(rules))


def add(
    window: Window, rules: BreakerSettings, now_s: float, *, successes: int, failures: int, slow: int
) -> Window:
    """The window with outcomes of ``now_s`` added and everything too old dropped.

    A clock that went back (a failed-over server) adds to the newest bucket: the past is not rewritten.
    """
    number = number_at(rules, now_s)
    if not window:
        return (Bucket(number, successes, failures, slow),)
    newest = window[-1]
    if newest.number >= number:
        grown = Bucket(newest.number, newest.successes + successes, newest.failures + failures, newest.slow + slow)
        return (*window[:-1], grown)
    oldest_kept = number - rules.window_buckets
    kept = window if window[0].number > oldest_kept else tuple(b for b in window if b.number > oldest_kept)
    return (*kept, Bucket(number, successes, failures, slow))


def calm(window: Window) -> bool:
    """Whether no number of quick successes can trip a rule: nothing in it has failed or was slow."""
    return not any(b.failures or b.slow for b in window)


def trips(window: Window, rules: BreakerSettings) -> str | None:
    """Why a rate rule opens now, or ``None``. To be asked right after ``add``."""
    failures = sum(b.failures for b in window)
    slow = sum(b.slow for b in window)
    calls = failures + sum(b.successes for b in window)
    if calls < rules.rate_min_calls:
        return None
    if failures / calls >= rules.failure_rate:
        return f"{failures} of {calls} calls failed within {rules.window_s:g} s"
    if slow / calls >= rules.slow_rate:
        return f"{slow} of {calls} calls were slow within {rules.window_s:g} s"
    return None
