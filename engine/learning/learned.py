"""The averages that all replicas share, as one process has them: read at once, written behind the answer.

``LearnedAverages`` keeps a copy. Reading it costs no message; it is fetched again in the background, at most every
``learn.refresh_s``, and comes back with every report. Reports count in the copy at once and travel in batches.
While Redis is gone they count here alone, are dropped for the others and counted, and ``degraded`` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from configs.errors import SwitchgearError
from configs.routing import LearnSettings
from engine.learning.averages import aged, replay, step
from engine.learning.contract import (
    Outcomes,
    RouteResult,
    Standing,
    Tally,
    agent_subject,
    model_subject,
)
from engine.types import Averages

Open = Callable[[], Awaitable[Outcomes]]


class LearnedAverages:
    """Averages as the router reads them. Needs ``aclose``; for one event loop."""

    def __init__(self, rules: LearnSettings, open_: Open | None, *, clock: Callable[[], float]) -> None:
        """``open_`` makes the shared store when it is first needed; ``None``: this process alone.

        ``clock`` is monotonic.
        """
        self.dropped = 0
        """Reports that the other replicas will never hear of; for metrics."""
        self._rules = rules
        self._open = open_ if rules.shared else None
        self._clock = clock
        self._outcomes: Outcomes | None = None
        self._view: dict[str, Tally] = {}
        """By the store's clock, with everything counted that is in ``_unsent``."""
        self._shown: dict[str, tuple[float, Averages]] = {}
        """Averages of ``_view`` and when they were made."""
        self._ahead_s = 0.0
        """The store's clock less ours."""
        self._synced = False
        self._unsent: list[RouteResult] = []
        self._wanted: dict[str, None] = {}
        self._asked_s: float | None = None
        self._lost_s: float | None = None
        self._reason = ""
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def degraded(self) -> str:
        """Why averages are not shared right now; empty when they are, or are not meant to be."""
        return f"averages are this process's own: {self._reason}" if self._reason else ""

    def now(self, subjects: Sequence[str]) -> dict[str, Averages]:
        """How ``subjects`` are doing, from the copy; one that is not known is left out."""
        if not self._rules.enabled:
            return {}
        self._want(subjects)
        now_s, found = self._store_s(), dict[str, Averages]()
        for subject in subjects:
            shown = self._shown.get(subject)
            if shown is None or now_s - shown[0] >= self._rules.refresh_s:
                tally = self._view.get(subject)
                if tally is None:
                    continue
                # Ageing costs more than all the rest of a choice, and changes nothing within a second.
                shown = self._shown[subject] = (now_s, aged(tally, self._rules, now_s).averages())
            found[subject] = shown[1]
        return found

    async def health(self, agents: Sequence[str]) -> Mapping[str, Averages]:
        """``engine.routing.contract.AgentHealth``: by the agents' names."""
        found = self.now([agent_subject(agent) for agent in agents])
        return {agent: found[s] for agent in agents if (s := agent_subject(agent)) in found}

    def models(self, ids: Sequence[str]) -> Mapping[str, Averages]:
        """How models are doing, by their ids in the settings."""
        found = self.now([model_subject(model) for model in ids])
        return {model: found[s] for model in ids if (s := model_subject(model)) in found}

    def in_context(self, agents: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        """Sufficient statistics of ``linucb`` by the agents' names, of those that have any."""
        found = self.moments([agent_subject(agent) for agent in agents])
        return {agent: found[s] for agent in agents if (s := agent_subject(agent)) in found}

    def moments(self, subjects: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Sufficient statistics of ``linucb``, of those that have any."""
        now_s = self._store_s()
        known = {s: aged(self._view[s], self._rules, now_s).moments for s in subjects if s in self._view}
        return {s: moments for s, moments in known.items() if moments}

    def record(self, results: Sequence[RouteResult]) -> None:
        """Count results: here at once, for everybody soon. Never waits and never fails."""
        said = [result for result in results if not result.says_nothing]
        if not self._rules.enabled or not said:
            return
        now_s = self._store_s()
        for result in said:
            self._keep(result.subject, step(self._view.get(result.subject), result, self._rules, now_s))
        if self._open is None:
            return
        room = 0 if self._alone() else self._rules.unsent_max - len(self._unsent)
        self.dropped += max(0, len(said) - room)
        self._unsent += said[:room]
        self._wake()

    async def flush(self) -> None:
        """Send what waits and fetch what is too old, now."""
        if self._open is None or self._alone():
            return
        batch, self._unsent = self._unsent, []
        stale = list(self._wanted) if self._stale() else []
        if not batch and not stale:
            return
        try:
            if self._outcomes is None:
                self._outcomes = await self._open()
            if batch:
                self._adopt(await self._outcomes.record(batch))
            rest = [s for s in stale if s not in {r.subject for r in batch}]
            if stale:
                self._asked_s = self._clock()
                self._wanted.clear()
            if rest:
                self._adopt(await self._outcomes.look(rest))
        except SwitchgearError as gone:  # not there, or cannot be started in this folder
            self.dropped += len(batch) + len(self._unsent)
            self._unsent = []
            self._lost_s = self._clock()
            self._reason = gone.message

    async def aclose(self) -> None:
        """Send what waits and stop. The store's client is its owner's."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait(
                (self._task,)
            )  # not cancelled: what is on its way would be neither sent nor dropped
        if self._unsent:
            await self.flush()

    # bookkeeping

    def _want(self, subjects: Sequence[str]) -> None:
        if self._open is None:
            return
        for subject in subjects:
            if len(self._wanted) < self._rules.subjects_max:
                self._wanted[subject] = None
        if self._stale() and not self._alone():
            self._wake()

    def _stale(self) -> bool:
        due_s = None if self._asked_s is None else self._asked_s + self._rules.refresh_s
        return bool(self._wanted) and (due_s is None or self._clock() >= due_s)

    def _alone(self) -> bool:
        return self._lost_s is not None and self._clock() < self._lost_s + self._rules.alone_s

    def _store_s(self) -> float:
        return self._clock() + self._ahead_s

    def _adopt(self, stands: Standing) -> None:
        """Take over what the store keeps, with what it has not been told yet counted on top."""
        ahead_s = stands.now_s - self._clock()
        if not self._synced:  # what was kept so far was kept by our own clock
            self._view = {s: replace(t, at_s=t.at_s + ahead_s) for s, t in self._view.items()}
            self._shown.clear()
        self._ahead_s, self._synced = ahead_s, True
        self._reason, self._lost_s = "", None
        for subject, tally in stands.tallies.items():
            mine = [result for result in self._unsent if result.subject == subject]
            after = replay(tally, mine, self._rules, stands.now_s)
            if after is not None:
                self._keep(subject, after)

    def _keep(self, subject: str, tally: Tally) -> None:
        if subject not in self._view and len(self._view) >= self._rules.subjects_max:
            oldest = min(self._view, key=lambda s: self._view[s].at_s)
            del self._view[oldest]
            self._shown.pop(oldest, None)
        self._view[subject] = tally
        self._shown.pop(subject, None)

    def _wake(self) -> None:
        if not self._closing.is_set() and (self._task is None or self._task.done()):
            # In a context of its own: what it loses must not count as a failure of the request that woke it.
            self._task = asyncio.create_task(self._run(), name="learned averages", context=contextvars.Context())

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rules.send_s):
                    await self._closing.wait()
            await self.flush()
            if not self._unsent:
                return
