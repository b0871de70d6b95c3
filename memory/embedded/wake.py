"""What wakes a minder: the end of its child, an order to stop, the departure of the last user. Nothing polls."""

from __future__ import annotations

import os
import select
import signal
import threading
from io import FileIO
from types import FrameType

from memory.embedded.locks import take_exclusive

NO_USERS = b"\0"
ORDERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""To stop the server and go, whoever still uses it."""


class Dismissed(Exception):
    """Nobody uses the backend any more, or the minder was asked to leave."""


class Wake:
    """Waits for signals and for the last user to leave, in one place and without polling."""

    def __init__(self, users: FileIO) -> None:
        self._inbox, self._outbox = os.pipe()
        os.set_blocking(self._outbox, False)
        signal.set_wakeup_fd(self._outbox, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, *ORDERS):
            signal.signal(number, _noted)
        self._dismissed = False
        threading.Thread(target=self._await_last_user, args=(users,), daemon=True).start()

    def _await_last_user(self, users: FileIO) -> None:
        take_exclusive(users)  # kept: nobody can attach to a backend that is being stopped
        os.write(self._outbox, NO_USERS)

    def wait(self, seconds: float | None) -> None:
        """Until something happens, at most ``seconds``. Raises ``Dismissed``, and again on every later call."""
        if not self._dismissed and select.select([self._inbox], [], [], seconds)[0]:
            news = os.read(self._inbox, 4_096)
            self._dismissed = NO_USERS in news or any(order in news for order in ORDERS)
        if self._dismissed:
            raise Dismissed

    def settle(self, seconds: float) -> None:
        """Until something happens, at most ``seconds``, on the way out."""
        if select.select([self._inbox], [], [], seconds)[0]:
            os.read(self._inbox, 4_096)


def _noted(number: int, frame: FrameType | None) -> None:
    """Python's part of a signal whose number the wake-up pipe has already brought."""
    del number, frame
