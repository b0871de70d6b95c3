"""Who is aboard one flight, whose call it is, who pays, and who is freed by a failure (cache.flight).

The deciding part of ``flight.py``: no tasks, no clock, no I/O. A crew is whatever its owner uses to tell waiters
apart; each operation costs the same however many are aboard, but for the two that give everybody something.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

from configs.errors import SwitchgearError
from engine.errors import AllRoutesUnavailable, AnswerInterrupted, RejectedByModel

M = TypeVar("M", bound=Hashable)
Role = Literal["alone", "leader", "payer", "follower", "elsewhere"]
"""``alone``: nobody waited for this call but its owner. ``leader``: its owner, others got the answer too.
``payer``: the owner had left, and this is the oldest who stayed. ``elsewhere``: another replica's answer, which
cost nobody here anything."""
PAYING: frozenset[Role] = frozenset({"alone", "leader", "payer"})


class Crew(Generic[M]):
    """The waiters of one flight, oldest first."""

    def __init__(self) -> None:
        self._aboard: dict[M, bool] = {}
        self._owner: M | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._aboard)

    def __contains__(self, member: object) -> bool:
        """Whether ``member`` still waits."""
        return member in self._aboard

    @property
    def everybody(self) -> tuple[M, ...]:
        """Oldest first."""
        return tuple(self._aboard)

    @property
    def watching(self) -> tuple[M, ...]:
        """Those who are shown the answer as it comes."""
        return tuple(member for member, streams in self._aboard.items() if streams)

    def join(self, member: M, *, streams: bool) -> None:
        """One more, the youngest."""
        self._aboard[member] = streams

    def leave(self, member: M) -> bool:
        """Whether nobody is left now because of it; ``False`` for one who was not aboard any more."""
        return self._aboard.pop(member, None) is not None and not self._aboard

    def next_owner(self) -> M | None:
        """The oldest, whose call is made next; ``None``: nobody waits."""
        self._owner = next(iter(self._aboard), None)
        return self._owner

    def landed(self, *, elsewhere: bool) -> list[tuple[M, Role]]:
        """Everybody leaves with the answer. One pays, unless it came from ``elsewhere``."""
        everybody = self._disembark()
        if elsewhere:
            return [(member, "elsewhere") for member in everybody]
        payer = self._owner if self._owner in everybody else next(iter(everybody), None)
        first: Role = "payer" if payer != self._owner else "leader" if len(everybody) > 1 else "alone"
        return [(member, first if member == payer else "follower") for member in everybody]

    def failed(self, error: BaseException, shown: str) -> list[tuple[M, BaseException]]:
        """Who leaves with which error, after ``shown`` of the answer was; all others stay and fly again."""
        leaving: list[tuple[M, BaseException]] = []
        for member, streams in self._aboard.items():
            said = error if member == self._owner else for_follower(error, shown if streams else "")
            if said is not None:
                leaving.append((member, said))
        for member, _ in leaving:
            del self._aboard[member]
        return leaving

    def disband(self) -> tuple[M, ...]:
        """Nobody waits any longer; who did."""
        return tuple(self._disembark())

    def _disembark(self) -> dict[M, bool]:
        everybody, self._aboard = self._aboard, {}
        return everybody


def for_follower(error: BaseException, shown: str) -> SwitchgearError | None:
    """What an error of the owner's call means for a waiter who was shown ``shown``; ``None``: it flies again.

    Only what is about the upstream, or about the prompt they have in common, is shared, as a new exception each
    time: one that is raised in several places carries all their tracebacks. Everything else is the owner's own
    (its deadline, its budget, its interrupt), unless text was shown: then nobody may answer in its place (F4).
    """
    if shown:
        return AnswerInterrupted(shown, error.attempts if isinstance(error, AnswerInterrupted) else ())
    if isinstance(error, AllRoutesUnavailable):
        return AllRoutesUnavailable(error.attempts)
    if isinstance(error, RejectedByModel):
        return RejectedByModel(error.attempts)
    return None
