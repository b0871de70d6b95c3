"""Requests within requests: a handler that asks its own engine shares its parent's deadline and limits (F9).

Carried by context variables, which tasks inherit, so that a handler need not pass anything on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

from engine.errors import TooDeep
from engine.types import STRICTNESS, Request

_ancestors: ContextVar[tuple[Request, ...]] = ContextVar("ancestors", default=())


def asking() -> Request | None:
    """The request that is being worked on here, if any."""
    ancestors = _ancestors.get()
    return ancestors[-1] if ancestors else None


@contextmanager
def within_parent(request: Request, depth_max: int) -> Generator[Request]:
    """``request`` with no more time and freedom than the one it is asked from, if any. Raises ``TooDeep``.

    Its data counts as no less sensitive, and it stays in the same region (admit.data).
    """
    ancestors = _ancestors.get()
    if len(ancestors) >= depth_max:
        raise TooDeep(depth_max)
    if ancestors:
        parent = ancestors[-1]
        request = replace(
            request,
            deadline=min(request.deadline, parent.deadline, key=lambda deadline: deadline.at_s),
            data_class=max(request.data_class, parent.data_class, key=STRICTNESS.index),
            region=parent.region if request.region is None else request.region,
        )
    token = _ancestors.set((*ancestors, request))
    try:
        yield request
    finally:
        _ancestors.reset(token)
