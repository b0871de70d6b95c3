"""Counters of semantic hits that all replicas share, as one process has them; and what follows from them.

Counting and reading a standing cost no message. What was counted travels every ``bound.refresh_s``, and the window
comes back with it. While Redis is gone this process goes by its own counts, and ``degraded`` says so. Every change
of a stance is a warning in the log, with its figures.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from configs.caching import BoundSettings
from configs.errors import SwitchgearError
from engine.cache.tally import (
    Counts,
    Standing,
    Tally,
    TallyStore,
    can_judge,
    day_of,
    is_outcome,
    lookup,
    nothing,
    standing_of,
    tally_of,
    window,
)

log = logging.getLogger(__name__)
Open = Callable[[], Awaitable[TallyStore]]
Days = dict[int, Counter[tuple[str, str]]]
ALL: Final = None
"""Key of everybody's totals."""


class TallySync:
    """One replica's share of the counters. Needs ``aclose``; for one event loop."""

    def __init__(
        self,
        rules: BoundSettings,
        open_: Open | None,
        *,
        clock: Callable[[], float],
        now_s: Callable[[], float],
    ) -> None:
        """``open_`` makes the shared store when it is first needed; ``None``: this process alone.

        ``clock`` is monotonic, ``now_s`` Unix time.
        """
        self.dropped = 0
        """Counts that the other replicas will never hear of."""
        self._rules = rules
        self._open = open_
        self._clock = clock
        self._now_s = now_s
        self._store: TallyStore | None = None
        self._shared: Days = {}
        """As the store last told them, with what it was told since."""
        self._unsent: Days = {}
        self._totals: dict[str | None, Counter[str]] = {}
        """Over the window, by agent and for all."""
        self._standings: dict[str | None, Standing] = {ALL: nothing(rules)}
        self._lookups: Counter[tuple[str, str]] = Counter()
        self._today = day_of(now_s())
        self._read_s: float | None = None
        self._lost_s: float | None = None
        self._reason = ""
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    @property
    def degraded(self) -> str:
        """Why counts are not shared right now; empty when they are, or are not meant to be."""
        return f"false hits are counted by this process alone: {self._reason}" if self._reason else ""

    def count(self, agent: str, *counters: str) -> None:
        """Count one more of each; here at once, for everybody soon. Never waits and never fails."""
        self._add(agent, counters)
        if any(is_outcome(counter) for counter in counters):
            self._judge(agent)
        self._wake()

    def looked(self, tier: str, result: str, agent: str = "") -> None:
        """Count a lookup.

        An exact one wakes nobody, since an exact hit must not start ``redis.state``; it travels with the rest.
        """
        self._lookups[tier, result] += 1
        self._add(agent, (lookup(tier, result),))
        if tier != "exact":
            self._wake()

    def standing(self, agent: str) -> Standing:
        """How semantic hits of ``agent`` do; of all while nobody knows enough of its own."""
        if self._stale():
            self._wake()
        return self._standings.get(agent) or self._standings[ALL]

    def standings(self) -> Mapping[str, Standing]:
        """Of every agent whose hits were compared often enough, and of all under an empty name."""
        return {agent or "": standing for agent, standing in self._standings.items()}

    def rates(self) -> Mapping[str, tuple[float, float, float]]:
        """False-hit rate and the ends of its interval where something was compared; all agents: an empty name."""
        found = {name: (one.rate, *one.interval) for name, one in self.standings().items()}
        return {name: (rate, low, high) for name, (rate, low, high) in found.items() if rate is not None}

    def lookups(self) -> Mapping[tuple[str, str], int]:
        """By tier and result, since this process began."""
        return dict(self._lookups)

    async def flush(self) -> None:
        """Send what waits and read the window, now."""
        if self._open is None or self._alone():
            return
        try:
            store = self._store = self._store or await self._open()
            await self._send(store)
            found = await store.read(window(self._now_s(), self._rules))
        except SwitchgearError as gone:
            self._lost_s, self._reason = self._clock(), gone.message
            return
        self._shared = {day: Counter(counts) for day, counts in found.items()}
        self._read_s, self._lost_s, self._reason = self._clock(), None, ""
        self._rebuild()

    async def aclose(self) -> None:
        """Send what waits, if anybody was ever told anything, and stop. The store's client is its owner's."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait((self._task,))  # not cancelled: it ends by itself, and sends before it does
        if self._unsent and self._store is not None:
            await self.flush()

    # bookkeeping

    async def _send(self, store: TallyStore) -> None:
        for day in list(self._unsent):
            counts = self._unsent.pop(day)
            self._shared.setdefault(day, Counter()).update(counts)
            try:
                await store.add(day, counts)
            except SwitchgearError:  # may have counted, so it is not sent again
                self.dropped += counts.total()
                raise

    def _add(self, agent: str, counters: tuple[str, ...]) -> None:
        today = day_of(self._now_s())
        if today != self._today:
            self._today = today
            self._rebuild()
        if agent not in self._totals and len(self._totals) > self._rules.agents_max:
            agent = ""
        day = self._unsent.setdefault(today, Counter())
        for counter in counters:
            day[agent, counter] += 1
            self._totals.setdefault(agent, Counter())[counter] += 1
            self._totals.setdefault(ALL, Counter())[counter] += 1

    def _rebuild(self) -> None:
        self._totals = {}
        wanted = set(window(self._now_s(), self._rules))
        for days in (self._shared, self._unsent):
            for day in [day for day in days if day not in wanted]:
                del days[day]
            for counts in days.values():
                self._total(counts)
        for agent in [ALL, *(a for a in self._totals if a)]:
            self._judge_one(agent)

    def _total(self, counts: Counts) -> None:
        for (agent, counter), count in counts.items():
            self._totals.setdefault(agent, Counter())[counter] += count
            self._totals.setdefault(ALL, Counter())[counter] += count

    def _judge(self, agent: str) -> None:
        self._judge_one(ALL)
        if agent:
            self._judge_one(agent)

    def _judge_one(self, agent: str | None) -> None:
        tally = tally_of(self._totals.get(agent, {}))
        before = self._standings.get(agent)
        if agent is not ALL and before is None and not can_judge(tally, self._rules):
            return
        after = standing_of(tally, self._rules, "normal" if before is None else before.stance)
        self._standings[agent] = after
        if agent is not ALL and not tally.high.count + tally.low.count:
            del self._standings[agent]  # the window has nothing of its own left
        if after.stance != ("normal" if before is None else before.stance):
            self._warn(agent, before, after, tally)

    def _warn(self, agent: str | None, before: Standing | None, after: Standing, tally: Tally) -> None:
        rate = "unknown" if after.rate is None else f"{after.rate:.2%}"
        low, high = after.interval
        log.warning(
            "cache.bound: semantic hits of %s: %s -> %s: %s (false-hit rate of %d served and compared: %s, "
            "%.2f %% to %.2f %%; candidates seen: %d)",
            agent or "all agents",
            "normal" if before is None else before.stance,
            after.stance,
            after.why,
            after.compared,
            rate,
            100 * low,
            100 * high,
            tally.high_seen + tally.low_seen,
        )

    def _stale(self) -> bool:
        due_s = None if self._read_s is None else self._read_s + self._rules.refresh_s
        return due_s is None or self._clock() >= due_s

    def _alone(self) -> bool:
        return self._lost_s is not None and self._clock() < self._lost_s + self._rules.alone_s

    def _wake(self) -> None:
        if self._open is None or self._alone() or self._closing.is_set():
            return
        if self._task is None or self._task.done():
            # In a context of its own: what it loses must not count as a failure of the request that woke it.
            self._task = asyncio.create_task(self._run(), name="cache tallies", context=contextvars.Context())

    async def _run(self) -> None:
        if self._stale():  # who has just started, or was idle, learns at once what the others know
            await self.flush()
        while self._unsent and not self._alone():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._rules.refresh_s):
                    await self._closing.wait()
            await self.flush()
