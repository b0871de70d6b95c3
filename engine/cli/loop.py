"""``run``: a command's event loop, with a Ctrl-C that is never lost.

``asyncio.run`` leaves SIGINT to a handler that Python calls between two bytecodes. One that arrives after the last
of those and before the loop sleeps is seen when something else wakes the loop, which at an idle prompt is never.
A handler of the loop itself is woken through a file descriptor.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")


def run(main: Coroutine[object, object, T]) -> T:
    """Run ``main`` to its end. Ctrl-C cancels it, a second one breaks off; both raise ``KeyboardInterrupt``."""
    interrupted = False

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted or task is None:
                raise KeyboardInterrupt
            interrupted = True
            task.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            return await main
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
