"""Experiments as one process runs them: arms given at once, outcomes counted behind the answer, arms judged.

Nothing here waits for Redis on the request path: placing reads a copy, counting adds to a sum, and a background
task, woken by requests, sends and fetches both at most every ``splits.refresh_s``. Until an experiment has been
fetched once everybody is in its control group, so that no replica gives traffic to an arm that was rolled back
before it started. While Redis is gone the copy stays, and what could not be sent is not sent again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from configs.errors import SwitchgearError
from configs.kernel import Outcome
from configs.splits import CONTROL, Experiment, SplitSettings
from engine.contract import Finished
from engine.splits.assign import Placement, place
from engine.splits.contract import NO_STATS, NOTHING, ArmStats, Moments, SplitState, Standing
from engine.splits.judge import judge
from engine.types import Request

log = logging.getLogger(__name__)
NOT_ITS_DOING = frozenset({Outcome.CANCEL.value, "invalid_input", "rejected_by_model", "engine_closed"})
"""Ends of a request that say nothing about an arm."""
FALLBACK = "fallback"
Open = Callable[[], Awaitable[SplitState]]


class Splits:
    """Needs ``aclose``; for one event loop."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        settings: SplitSettings,
        open_: Open,
        *,
        clock: Callable[[], float],
    ) -> None:
        """``open_`` makes the shared state when it is first needed; ``clock`` is monotonic."""
        self._experiments = {one.name: one for one in experiments if one.enabled}
        self._settings = settings
        self._open = open_
        self._clock = clock
        self._state: SplitState | None = None
        self._standing: dict[str, tuple[Standing, float]] = {}
        self._unsent: dict[str, dict[str, ArmStats]] = {}
        self._synced_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.degraded = ""
        """Why experiments are not shared right now; empty when they are, or there are none."""

    def place(self, request: Request, agent: str, models: Collection[str | None]) -> Placement | None:
        """The arm of a request whose chosen agent and chain these are; ``None``: no experiment is about it."""
        if not self._experiments:
            return None
        self._wake()
        now_s = self._clock()
        ages = {name: found.age_s + now_s - at_s for name, (found, at_s) in self._standing.items()}
        halted = {name: found.halted.keys() for name, (found, _) in self._standing.items()}
        return place(tuple(self._experiments.values()), halted, ages, request, (agent, models))

    def observe(self, finished: Finished) -> None:
        """``engine.contract.Observer``: count how a request of an experiment ended."""
        name, _, arm = ("" if finished.decision is None else finished.decision.arm).partition("/")
        if name in self._experiments and (counted := stats_of(finished)) is not None:
            arms = self._unsent.setdefault(name, {})
            arms[arm] = arms.get(arm, NO_STATS) + counted
            self._wake()

    async def sync(self) -> None:
        """Send, fetch, judge, roll back, now. Never raises for a Redis that is gone."""
        self._synced_s = self._clock()
        try:
            if self._state is None:
                self._state = await self._open()
            for name, experiment in self._experiments.items():
                await self._sync(self._state, name, experiment)
            self.degraded = ""
        except SwitchgearError as gone:
            self.degraded = gone.message

    async def aclose(self) -> None:
        """Send what is left and stop. The state's client is its owner's."""
        self._closing = True
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=self._settings.timeout_s)
            self._task.cancel()
            await asyncio.wait((self._task,))
        if self._unsent:
            await self.sync()

    async def _sync(self, state: SplitState, name: str, experiment: Experiment) -> None:
        # At most once: a reply that was lost may have been counted, and twice would end an arm for nothing.
        found = await state.add(experiment, self._unsent.pop(name, {}))
        for arm, reason in harmful(experiment, found).items():
            if await state.halt(experiment, arm, reason):
                log.warning("experiment %s: %s is rolled back: %s", name, arm, reason)
            found = await state.add(experiment, {})
        self._standing[name] = found, self._clock()

    def _wake(self) -> None:
        due = self._synced_s is None or self._clock() >= self._synced_s + self._settings.refresh_s
        if due and not self._closing and (self._task is None or self._task.done()):
            # Whoever woke it may be inside a trace or a request's own context, which this must not keep.
            self._task = asyncio.get_running_loop().create_task(self.sync(), context=contextvars.Context())


def harmful(experiment: Experiment, found: Standing) -> Mapping[str, str]:
    """Arms to roll back, and why."""
    control = found.stats.get(CONTROL, NO_STATS)
    verdicts = {
        arm.name: judge(found.stats.get(arm.name, NO_STATS), control, experiment.rails)
        for arm in experiment.arms
        if arm.name not in found.halted
    }
    return {arm: verdict.reason for arm, verdict in verdicts.items() if verdict.action == "roll_back"}


def stats_of(finished: Finished) -> ArmStats | None:
    """What one request adds; ``None`` for one that says nothing: cached, cancelled, the caller's fault."""
    answer = finished.answer
    if finished.error in NOT_ITS_DOING or (answer is not None and answer.source == "exact_cache"):
        return None
    failed = answer is None or FALLBACK in answer.degraded
    cost = sum(attempt.cost.micros for attempt in finished.attempts)
    return ArmStats(
        requests=1,
        errors=int(failed),
        cost_micros=Moments.of(cost),
        latency_ms=NOTHING if failed else Moments.of(finished.latency_ms),
    )
