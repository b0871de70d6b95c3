"""An event loop whose time jumps to the next timer when nothing else is left to do, so that no test waits.

::

    @on_virtual_time
    async def test_something_takes_an_hour() -> None: ...

``asyncio.get_running_loop().time`` is then the clock to inject. Sockets work, but time does not wait for them: use
it for code without I/O.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import ParamSpec

from tests.support.guards import tasks_left_behind

P = ParamSpec("P")
START_S = 5_000.0


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.jump: Callable[[float], None] = lambda _: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits for something that nobody will do")
            self.jump(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A selector loop on its own clock, which starts at ``START_S``."""

    def __init__(self) -> None:
        selector = _JumpingSelector()
        self._now_s = START_S
        selector.jump = self._jump
        super().__init__(selector)

    def time(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def _jump(self, seconds: float) -> None:
        self._now_s += max(0.0, seconds)


def on_virtual_time(test: Callable[P, Coroutine[object, object, None]]) -> Callable[P, None]:
    """Run an async test on a loop of its own kind; fails it when tasks are left behind, like any async test."""

    async def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        await test(*args, **kwargs)
        left = await tasks_left_behind()
        assert not left, f"tasks left behind: {left}"

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(checked(*args, **kwargs))

    return run
