"""What one replica knows of one shared breaker: a view of some age, reports not sent yet, its stand-in.

Answers from the view while it is young; never decides more than the record would have at that age. No connection
here, and nothing is awaited.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import replace

from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Refusal
from engine.resilience.local import LocalBreaker
from engine.resilience.wire import Asked, Ended, Order, Seen, Stands

ADMITS = frozenset({BreakerState.CLOSED, BreakerState.FORCED_CLOSED, BreakerState.DISABLED})


class Known:
    """One subject as this replica knows it. ``lock`` keeps its steps in order, one on its way at a time."""

    __slots__ = (
        "_alone_s",
        "_got_s",
        "_view",
        "_view_s",
        "asked_s",
        "base",
        "cell",
        "history",
        "issued",
        "lock",
        "opens",
        "outbox",
        "probes",
        "registered_s",
        "released",
        "subject",
        "taken",
        "told",
    )

    def __init__(self, subject: str, rules: BreakerSettings) -> None:
        self.subject = subject
        self.lock = asyncio.Lock()
        self.base = 0
        """Generation of the shared record when last heard of; 0: never."""
        self.told = 0
        """Listeners have heard of everything up to this generation (B13)."""
        self.opens = 0
        self.outbox: list[Ended] = []
        self.issued = 0
        self.taken = 0
        """Of ``issued`` reports, this many have left the outbox."""
        self.released: deque[str] = deque(maxlen=rules.dedup_calls)
        """Calls that asked for leave and left without an answer; the next step that arrives frees their place."""
        self.probes: dict[str, float] = {}
        """Leases of this replica and when they end, on its own clock."""
        self.cell: LocalBreaker | None = None
        """The stand-in, from the first failure of Redis until its next answer."""
        self.history: deque[BreakerMoved] = deque(maxlen=rules.events_kept)
        self.registered_s = -math.inf
        self.asked_s = -math.inf
        self._alone_s = -math.inf
        self._got_s = -math.inf
        self._view_s = rules.view_s
        self._view = BreakerView(
            subject=subject,
            state=BreakerState.CLOSED,
            generation=0,
            consecutive_failures=0,
            ema_success=rules.ema_start,
            retry_after_s=None,
            reason="",
        )

    @property
    def idle(self) -> bool:
        """Whether forgetting it loses nothing but age."""
        busy = self.outbox or self.released or self.probes or self.lock.locked()
        if busy or (self.cell is not None and not self.cell.calm):
            return False
        return self._view.state is BreakerState.CLOSED

    def young(self, now_s: float) -> bool:
        """Whether the view may be answered from: young enough, and nothing in it is over."""
        if now_s - self.asked_s > self._view_s:
            return False
        wait = self._view.retry_after_s
        return wait is None or now_s - self._got_s < wait

    def view(self, now_s: float) -> BreakerView:
        """The breaker as known, waiting times counted down."""
        if self.cell is not None:
            return self.cell.view()
        wait = self._view.retry_after_s
        if wait is None or now_s <= self._got_s:
            return self._view
        return replace(self._view, retry_after_s=max(0.0, wait - (now_s - self._got_s)))

    def quiet(self) -> bool:
        """CLOSED, as far as known: a success then changes nothing that anybody has to know at once."""
        return self.cell is None and self._view.state is BreakerState.CLOSED

    def answer(self, call_id: str, now_s: float) -> Permit | Refusal | None:
        """Leave or refusal from a young view; ``None``: only the shared record can say."""
        if self.base == 0 or not self.young(now_s):
            return None
        state = self._view.state
        if state in ADMITS:
            return Permit(subject=self.subject, call_id=call_id, generation=self.base, probe=False, state=state)
        if state is not BreakerState.HALF_OPEN:
            return refusal(self.view(now_s), self._view.reason)
        if self._view.retry_after_s is None or call_id in self.probes:
            return None
        return refusal(self.view(now_s), "a probe is running")

    def seen(self, now_s: float) -> Seen | None:
        """What the next step is told about this replica's knowledge."""
        view = self.view(now_s)
        if view.generation == 0:
            return None
        return Seen(
            base=self.base,
            generation=view.generation,
            told=self.told,
            view=view,
            opens=self.opens if self.cell is None else self.cell.record.opens_in_a_row,
        )

    def post(self, ended: Ended) -> int:
        """Put a report into the outbox; its number."""
        self.outbox.append(ended)
        self.issued += 1
        return self.issued

    def take(self) -> list[Ended]:
        """Empty the outbox."""
        taken, self.outbox = self.outbox, []
        self.taken = self.issued
        return taken

    def ask(self, now_s: float, *, acquire: str | None = None, order: Order | None = None) -> Asked:
        """The next step, which takes everything along that waits to be sent."""
        return Asked(
            subject=self.subject,
            seen=self.seen(now_s),
            reports=self.take(),
            acquire=acquire,
            order=order,
            released=tuple(self.released),
        )

    def unanswered(self, asked: Asked) -> None:
        """Nobody knows whether the step was taken: the next one carries the same, with the same ids (X3)."""
        self.outbox[:0] = asked.reports
        self.taken = self.issued - len(self.outbox)
        self.left(asked)

    def left(self, asked: Asked) -> None:
        """Whoever asked for leave by this step will never know of it (B8)."""
        if asked.acquire is not None:
            self.released.append(asked.acquire)

    def answered(self, asked: Asked) -> None:
        """The step was taken."""
        for _ in asked.released:
            self.released.popleft()

    def adopt(self, stands: Stands, asked_s: float, now_s: float) -> tuple[BreakerMoved, ...]:
        """Take over what the shared record said; the events that listeners have not heard.

        An answer that was overtaken by a later one is of no use any more.
        """
        generation = stands.view.generation
        if generation < self.base or asked_s < self._alone_s:
            return ()
        if generation == self.base and asked_s < self.asked_s:
            return ()
        if generation != self.base:
            self.probes.clear()
        self.cell = None
        self.base = generation
        self.opens = stands.opens
        self.asked_s, self._got_s = asked_s, now_s
        self._view = stands.view
        news = tuple(event for event in stands.events if event.generation > self.told)
        self.told = max(self.told, generation)
        self.history.extend(news)
        return news

    def go_on(self, cell: LocalBreaker, now_s: float) -> None:
        """From now on ``cell`` knows best; whatever was asked before is no news."""
        self.cell = cell
        self.asked_s, self._alone_s = -math.inf, now_s

    def heard(self, event: BreakerMoved) -> None:
        """The stand-in has moved."""
        self.told = max(self.told, event.generation)
        self.history.append(event)


def refusal(view: BreakerView, reason: str) -> Refusal:
    """No leave, as ``view`` stands."""
    return Refusal(
        subject=view.subject,
        state=view.state,
        generation=view.generation,
        retry_after_s=view.retry_after_s,
        reason=reason,
    )
