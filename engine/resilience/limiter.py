"""The bulkhead of a route: so many calls at once, a bounded line of waiting ones, and a no at once for the rest.

``gradient.py`` decides how many. Per process, on purpose: the other side's room is shared by whoever measures it.
Waiting is nobody's failure: it happens before the clock of a call starts.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from configs.kernel import Outcome
from configs.settings import LimiterSettings
from engine.contract import BreakerMoved, BreakerState
from engine.resilience.gradient import Gradient

PRIORITIES = ("high", "normal", "low")
HELD_WEIGHT = PACE_WEIGHT = 0.1
SURE = 0.7
"""In an overload the line is always as long as it may be: without a margin every other wait is too long."""
SAYS_NOTHING = frozenset({Outcome.CANCEL, Outcome.REFUSED})
"""Ends that came from this side: how long such a call held its place is not how long calls take."""
SHRINKS = frozenset({Outcome.FAIL, Outcome.THROTTLE})
CLOSES = frozenset({BreakerState.OPEN, BreakerState.PARKED, BreakerState.FORCED_OPEN})
_rank: ContextVar[int] = ContextVar("priority", default=1)


@contextmanager
def asking_as(priority: str) -> Generator[None]:
    """Calls within this block, and in tasks started there, wait in the line of ``priority``."""
    token = _rank.set(PRIORITIES.index(priority))
    try:
        yield
    finally:
        _rank.reset(token)


class NoPlace(Exception):
    """The line is full, or moves too slowly for this call. Never leaves the shield."""

    def __init__(self, reason: str, retry_after_s: float | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Gate:
    """Places of one route. ``most`` overrides the setting, for routes that say how much they take."""

    def __init__(self, settings: LimiterSettings, most: int | None) -> None:
        self._settings = settings
        self._gradient = Gradient(settings, settings.most if most is None else most)
        self._lines: tuple[deque[asyncio.Future[bool]], ...] = tuple(deque() for _ in PRIORITIES)
        self._held_s = 0.0
        self._pace_s = 0.0
        self._handed_s: float | None = None
        self.running = 0

    @property
    def places(self) -> int:
        """Calls that may run at once."""
        return self._gradient.places

    @property
    def waiting(self) -> int:
        """Calls in line."""
        return sum(len(line) for line in self._lines)

    def enter(self) -> bool:
        """Take a place if one is free and nobody waits for it."""
        if self.running >= self._gradient.places or self.waiting:
            return False
        self.running += 1
        return True

    async def wait(self, patience_s: float) -> bool:
        """Wait in line for at most ``patience_s``; whether a place was taken, or everybody was sent on instead.

        Raises ``NoPlace`` at once when the line is full or too slow, and later when patience runs out or somebody
        more important came.
        """
        if self.enter():  # a place came free while its caller was still giving its permit back
            return True
        rank = _rank.get()
        patience_s = min(patience_s, self._settings.wait_s)
        expected_s = self._expected_s(rank)
        if expected_s is not None and expected_s > SURE * patience_s:
            raise NoPlace(f"{self.running} calls under way, {self.waiting} waiting", expected_s)
        if self.waiting >= self._settings.queue_max:
            self._send_one_away(rank)
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lines[rank].append(place)
        taken = False
        try:
            async with asyncio.timeout(patience_s):
                taken = await place
        except TimeoutError:
            raise NoPlace(f"no place within {patience_s:.3g} s", self._expected_s(rank)) from None
        finally:
            if not taken:
                self._leave_line(place, rank)
        return taken

    def leave(self, outcome: Outcome, first_token_s: float | None, held_s: float, now_s: float) -> None:
        """Free the place of a call that took ``held_s``."""
        if outcome not in SAYS_NOTHING:
            self._held_s += HELD_WEIGHT * (held_s - self._held_s) if self._held_s else held_s
        if outcome in SHRINKS:
            self._gradient.dropped(now_s, self._held_s)
        elif outcome is Outcome.OK and first_token_s is not None:
            self._gradient.answered(first_token_s, self.running)
        self._give_back(now_s)

    def moved(self, event: BreakerMoved) -> None:
        """Nobody waits for a route that is out, and one that is back is asked with care (ramp-up)."""
        if event.after in CLOSES:
            for line in self._lines:
                for place in line:
                    if not place.done():
                        place.set_result(False)
                line.clear()
        elif event.after is BreakerState.CLOSED and event.before is BreakerState.HALF_OPEN:
            self._gradient.restart()

    def _leave_line(self, place: asyncio.Future[bool], rank: int) -> None:
        if place in self._lines[rank]:
            self._lines[rank].remove(place)
        elif not place.cancelled() and place.exception() is None and place.result():
            self._give_back(None)  # it was given a place in the very moment in which it left

    def _give_back(self, now_s: float | None) -> None:
        self.running -= 1
        for line in self._lines:
            while line and self.running < self._gradient.places:
                place = line.popleft()
                if not place.done():
                    self.running += 1
                    place.set_result(True)
                    self._handed(now_s)

    def _handed(self, now_s: float | None) -> None:
        """The line has moved by one. How fast it does tells a newcomer's wait, this loop's own lag included."""
        if not self.waiting:
            self._handed_s, self._pace_s = None, 0.0
            return
        if now_s is not None and self._handed_s is not None:
            step_s = now_s - self._handed_s
            self._pace_s += PACE_WEIGHT * (step_s - self._pace_s) if self._pace_s else step_s
        self._handed_s = now_s

    def _expected_s(self, rank: int) -> float | None:
        """How long a newcomer waits; ``None`` while nobody knows how long a call takes."""
        if not self._held_s:
            return None
        ahead = sum(len(line) for line in self._lines[: rank + 1])
        by_calls_s = self._held_s * self._gradient.rounds(ahead + 1)
        # While the places are doubling, yesterday's pace is too slow.
        return by_calls_s if self._gradient.ramping else max(by_calls_s, self._pace_s * (ahead + 1))

    def _send_one_away(self, rank: int) -> None:
        reason = f"{self.running} calls under way and the line is full"
        for lower in reversed(range(rank + 1, len(self._lines))):
            if self._lines[lower]:
                last = self._lines[lower].pop()
                if not last.done():
                    wait_s = self._expected_s(lower)
                    last.set_exception(NoPlace(f"{reason}; a more important call came", wait_s))
                return
        raise NoPlace(reason, self._expected_s(rank))
