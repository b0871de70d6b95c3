"""One attempt to attach: how long it may still take, whether anyone still wants it, how far it is.

Lives in a worker thread; ``give_up`` is the only part that other threads call.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from configs.settings import EmbeddedSettings
from memory.embedded.values import BackendSpec, Phase
from memory.errors import BackendUnavailable

STEP_S = 0.005
"""Between two looks at something that has no event to wait for: a lock that another process holds."""


class GivenUp(Exception):
    """The caller was cancelled; its thread has nothing left to do."""


class Attempt:
    """Patience of one attach."""

    def __init__(self, spec: BackendSpec, settings: EmbeddedSettings, say: Callable[[Phase], None]) -> None:
        self.spec = spec
        self.settings = settings
        self.say = say
        self._given_up = threading.Event()
        # The one before may take its time to stop, ours to start, and ours to stop again when the start fails.
        self._until_s = time.monotonic() + settings.start_s + 2 * settings.stop_s

    def give_up(self) -> None:
        """Nobody waits any more."""
        self._given_up.set()

    def pause(self, obstacle: str) -> None:
        """Wait a moment for ``obstacle`` to go away. Raises as ``go_on`` does."""
        self._given_up.wait(STEP_S)
        self.go_on(obstacle)

    def go_on(self, obstacle: str) -> None:
        """Raises ``GivenUp`` when nobody waits any more, ``BackendUnavailable`` when the time is up."""
        if self._given_up.is_set():
            raise GivenUp
        if time.monotonic() > self._until_s:
            raise BackendUnavailable(
                self.spec.name, obstacle, hint=f"try again, raise `embedded.start_s`, or {self.spec.instead}"
            )

    def wait_for(self, succeeded: Callable[[], bool], obstacle: str) -> None:
        """Until ``succeeded`` says so."""
        if succeeded():
            return
        self.say("waiting")
        while not succeeded():
            self.pause(obstacle)
