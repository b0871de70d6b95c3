"""Requests within requests: a handler that asks its own engine shares its parent's deadline and depth (F9).

Carried by context variables, which tasks inherit, so that a handler need not pass anything on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from engine.errors import TooDeep
from engine.types import Request

_ancestors: ContextVar[tuple[Request, ...]] = ContextVar("ancestors", default=())


@contextmanager
def within_parent(request: Request, depth_max: int) -> Generator[Request]:
    """``request`` with no more time than the one it is asked from, if any. Raises ``TooDeep``."""
    ancestors = _ancestors.get()
    if len(ancestors) >= depth_max:
        raise TooDeep(depth_max)
    if ancestors and ancestors[-1].deadline.at_s < request.deadline.at_s:
        request = replace(request, deadline=ancestors[-1].deadline)
    token = _ancestors.set((*ancestors, request))
    try:
        yield request
    finally:
        _ancestors.reset(token)
