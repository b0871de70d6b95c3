"""Breakers of this process: frozen records in mutable cells, stepped by ``breaker.py``.

Not shared by replicas, not kept over a restart, and for one event loop: no step awaits anything, which is what
makes it atomic. ``LocalBreakerStore`` is the ``BreakerStore`` of a single process and, behind a shared store, its
stand-in while Redis is gone; breakers of stores live here always.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import BreakerMoved, BreakerState, BreakerView, Permit, Refusal, Report
from engine.resilience import breaker
from engine.resilience.classify import classify
from engine.resilience.errors import CallRefused
from engine.resilience.record import Effect, Record, fresh
from engine.resilience.tolerate import tell
from engine.resilience.translate import failure_of, passes_through
from engine.resilience.window import calm, number_at, width_s

T = TypeVar("T")
Listener = Callable[[BreakerMoved], None]


class LocalBreaker:
    """The breaker of one subject. Get it from ``LocalBreakerStore.of``.

    A run of successes while all is well is only counted here and enters the record in one step
    (``breaker.succeeded``), which keeps the guarded call within a microsecond of the bare one.
    """

    __slots__ = (
        "_calm",
        "_calm_until_s",
        "_generation",
        "_record",
        "_shown",
        "_shown_of",
        "_store",
        "_successes",
        "history",
        "subject",
    )

    def __init__(self, subject: str, store: LocalBreakerStore, record: Record) -> None:
        self.subject = subject
        self.history: deque[BreakerMoved] = deque(maxlen=store.rules.events_kept)
        """The latest changes of state, oldest first."""
        self._store = store
        self._successes = 0
        self._shown_of: Record | None = None
        self._shown: BreakerView | None = None
        self._keep(record, store.clock())

    @property
    def record(self) -> Record:
        """The frozen state, with everything counted so far in it."""
        self._fold()
        return self._record

    @property
    def calm(self) -> bool:
        """CLOSED, and nothing has failed or was slow within the window."""
        return self._calm

    async def run(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call behind this breaker; raises ``CallRefused`` instead of making it.

        Exceptions pass unchanged and count as ``translate`` and ``classify`` read them. There is no timeout in
        here; ``shielded.StoreGuard`` adds one.
        """
        if not self._calm:
            return await self._run_by_permit(call)
        generation = self._generation
        try:
            result = await call()
        except BaseException as exc:
            self._broke(self._unleased(generation), exc)
            raise
        if self._calm and self._generation == generation and self._store.clock() < self._calm_until_s:
            self._successes += 1
        else:
            self.report(self._unleased(generation), Report(outcome=Outcome.OK))
        return result

    def acquire(self, call_id: str) -> Permit | Refusal:
        """Leave for one call, or why not."""
        now_s = self._store.clock()
        after, answer = breaker.acquire(self.record, self._store.rules, self.subject, call_id, now_s)
        self._become(after, now_s)
        return answer

    def report(self, permit: Permit, result: Report) -> None:
        """Say how the call of ``permit`` ended."""
        store = self._store
        now_s = store.clock()
        after, effect = breaker.report(self.record, store.rules, permit, result, now_s, store.sample())
        store.effects[effect] += 1
        self._become(after, now_s)

    def force(self, state: BreakerState, *, actor: str, reason: str) -> None:
        """Put the breaker into a state by hand (B16). Raises ``InvalidInput``."""
        self._become(breaker.force(self.record, state, actor=actor, reason=reason), self._store.clock())

    def view(self) -> BreakerView:
        """The breaker as it stands. An open time that has passed ends here, as it would at the next call."""
        if self._calm and not self._successes and self._shown is not None and self._shown_of is self._record:
            return self._shown
        now_s = self._store.clock()
        self._become(breaker.expire(self.record, now_s), now_s)
        self._shown = breaker.view(self._record, self._store.rules, self.subject, now_s)
        self._shown_of = self._record
        return self._shown

    async def _run_by_permit(self, call: Callable[[], Awaitable[T]]) -> T:
        permit = self.acquire(self._store.new_id())
        if isinstance(permit, Refusal):
            raise CallRefused(permit)
        try:
            result = await call()
        except BaseException as exc:
            self._broke(permit, exc)
            raise
        self.report(permit, Report(outcome=Outcome.OK))
        return result

    def _broke(self, permit: Permit, exc: BaseException) -> None:
        if not isinstance(exc, Exception) or passes_through(exc):
            self.report(permit, Report(outcome=Outcome.CANCEL))
            return
        failure = failure_of(exc)
        result = Report(outcome=classify(failure), reason=failure.detail, retry_after_s=failure.retry_after_s)
        self.report(permit, result)

    def _unleased(self, generation: int) -> Permit:
        return Permit(
            subject=self.subject,
            call_id=self._store.new_id(),
            generation=generation,
            probe=False,
            state=BreakerState.CLOSED,
        )

    def _become(self, after: Record, now_s: float) -> None:
        before = self._record
        if after is before:
            return
        self._keep(after, now_s)
        event = breaker.event_of(before, after, self._store.rules, self.subject, now_s)
        if event is not None:
            self.history.append(event)
            tell(self._store.listeners, event)

    def _keep(self, record: Record, now_s: float) -> None:
        rules = self._store.rules
        self._record = record
        self._generation = record.generation
        # In a calm window no success can trip a rate rule, so the order of successes is moot.
        self._calm = record.state is BreakerState.CLOSED and calm(record.window)
        self._calm_until_s = (number_at(rules, now_s) + 1) * width_s(rules)

    def _fold(self) -> None:
        if self._successes:
            times, self._successes = self._successes, 0
            rules = self._store.rules
            within_bucket_s = self._calm_until_s - width_s(rules) / 2
            self._record = breaker.succeeded(self._record, rules, times, within_bucket_s)


class LocalBreakerStore:
    """``engine.contract.BreakerStore`` in process. At most ``subjects_max`` breakers, see ``of``."""

    def __init__(
        self,
        rules: BreakerSettings,
        *,
        clock: Callable[[], float],
        sample: Callable[[], float],
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        """``clock`` is monotonic, in seconds; ``sample`` draws from [0, 1); listeners are told in order (B13)."""
        self.rules = rules
        self.clock = clock
        self.sample = sample
        self.listeners = listeners
        self.effects: Counter[Effect] = Counter()
        """How many reports counted, were neutral, late or duplicates; for metrics (B4). Quick ones are none."""
        self._breakers: dict[str, LocalBreaker] = {}
        self._unused: dict[str, BreakerView] = {}
        self._first_generation = 1
        self._ids = itertools.count()

    async def acquire(self, subject: str, call_id: str) -> Permit | Refusal:
        """Ask leave for one call."""
        return self.of(subject).acquire(call_id)

    async def report(self, permit: Permit, result: Report) -> BreakerView:
        """Say how the call ended, exactly once in effect (B6)."""
        cell = self.of(permit.subject)
        cell.report(permit, result)
        return cell.view()

    async def view(self, subjects: tuple[str, ...]) -> dict[str, BreakerView]:
        """Current state of each subject. Asking about one that was never called does not make a breaker."""
        return {subject: self._view(subject) for subject in subjects}

    async def force(self, subject: str, state: BreakerState, *, actor: str, reason: str) -> BreakerView:
        """Set FORCED_OPEN, FORCED_CLOSED or DISABLED by hand, or CLOSED to give control back (B16)."""
        cell = self.of(subject)
        cell.force(state, actor=actor, reason=reason)
        return cell.view()

    async def subjects(self) -> tuple[str, ...]:
        """Every breaker of this process, sorted."""
        return tuple(sorted(self._breakers))

    async def history(self, subject: str) -> tuple[BreakerMoved, ...]:
        """The latest changes of state, oldest first."""
        cell = self._breakers.get(subject)
        return () if cell is None else tuple(cell.history)

    def of(self, subject: str) -> LocalBreaker:
        """The breaker of ``subject``, made at its first call.

        Over the limit the least recently used one that is CLOSED without a failure in its window is forgotten (one
        in trouble never is); new breakers then start at a higher generation, so that no late report can be taken
        for one of theirs (B3, B4).
        """
        cell = self._breakers.get(subject)
        full = len(self._breakers) >= self.rules.subjects_max
        if cell is None:
            if full:
                self._forget_one()
            cell = LocalBreaker(subject, self, fresh(self.rules, self._first_generation))
            self._breakers[subject] = cell
        elif full:
            self._breakers[subject] = self._breakers.pop(subject)
        return cell

    def new_id(self) -> str:
        """A call id that is unique in this store."""
        return f"local-{next(self._ids)}"

    def _view(self, subject: str) -> BreakerView:
        cell = self._breakers.get(subject)
        if cell is not None:
            return cell.view()
        unused = self._unused.get(subject)
        if unused is None:
            if len(self._unused) >= self.rules.subjects_max:
                self._unused.clear()
            record = fresh(self.rules, self._first_generation)
            unused = self._unused[subject] = breaker.view(record, self.rules, subject, self.clock())
        return unused

    def _forget_one(self) -> None:
        for subject, cell in self._breakers.items():
            if cell.calm:
                del self._breakers[subject]
                self._first_generation = max(self._first_generation, cell.record.generation + 1)
                self._unused.clear()
                return
