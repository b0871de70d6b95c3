"""What the guarded call does not depend on may fail: it is logged and goes on without (B15, B13).

With ``shield.py`` the only place of this package that catches whatever is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from engine.contract import BreakerMoved

T = TypeVar("T")
U = TypeVar("U")
log = logging.getLogger(__name__)


async def answer_or(otherwise: Callable[[], U], answer: Awaitable[T], subject: str, without: str) -> T | U:
    """The answer of a breaker store, or ``otherwise()`` when it fails; ``without`` says what is missing then."""
    try:
        return await answer
    except Exception as exc:
        log.warning("%s: %s", subject, without, exc_info=exc)
        return otherwise()


def tell(listeners: Iterable[Callable[[BreakerMoved], None]], event: BreakerMoved) -> None:
    """Hand an event to every listener; one that raises costs neither the others nor the call."""
    for listener in listeners:
        try:
            listener(event)
        except Exception:
            log.exception("a listener failed on %s", event)
