"""Runs a plan: load on the one side, faults on the other, and a watch over every breaker in between.

The engine is a whole one on the user's settings (``stage.py`` says what is replaced). Nothing is judged here;
``measure.py`` does that with what was seen.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from agents.refs import model_ref
from configs.errors import SwitchgearError
from configs.settings import Settings
from engine.app import Engine
from engine.ask import AskOptions
from engine.chaos.measure import Change, Moved, Seen, Shot
from engine.chaos.plan import STORES as STORE_NAMES
from engine.chaos.plan import Plan, Step, check_plan, routed_models
from engine.chaos.stage import Stage, staged
from engine.compose import open_parts
from engine.contract import BreakerMoved, BreakerStore
from engine.resilience.shielded import agent_subject

OnDone = Callable[[int, int], None]
STORES = "store:"
WATCH_S = 0.05
"""How often the breakers are looked at; their histories have what was missed in between."""


async def rehearse(plan: Plan, settings: Settings, on_done: OnDone | None = None) -> Seen:
    """Play ``plan`` against ``settings`` and say what was seen; ``on_done(done, total)`` after every request.

    Raises ``ConfigError`` when the plan names what the settings do not have, and ``BackendUnavailable``.
    """
    check_plan(plan, settings)
    async with staged(plan, settings) as stage, open_parts(stage.settings, stage.environ) as parts:
        engine = Engine(parts)
        await engine.preload()
        with suppress(SwitchgearError):  # libraries load on the first call; the rehearsal measures the later ones
            await engine.execute(plan.load.prompts[0], cache="off")
        watch = _Watch((parts.breakers, parts.stores), _subjects(stage.settings))
        return await _Rehearsal(plan, stage, engine, watch, on_done).run()


@dataclass(slots=True)
class _Rehearsal:
    plan: Plan
    stage: Stage
    engine: Engine
    watch: _Watch
    on_done: OnDone | None
    shots: list[Shot] = field(default_factory=list[Shot])
    changes: list[Change] = field(default_factory=list[Change])
    started_s: float = 0.0

    async def run(self) -> Seen:
        calls_before = self.stage.calls
        self.started_s = time.monotonic()
        watching = asyncio.create_task(self.watch.look(self._now_s))
        timed = asyncio.create_task(self._timed_steps())
        try:
            await self._load()
            ended_s = self._now_s()
            moves = await self.watch.moves()
        finally:
            for task in (watching, timed):
                task.cancel()
            await asyncio.wait((watching, timed))
        for task in (watching, timed):
            if not task.cancelled():
                task.result()
        return Seen(
            shots=tuple(sorted(self.shots, key=lambda shot: shot.due_s)),
            moves=moves,
            changes=tuple(self.changes),
            calls=self.stage.calls - calls_before,
            ended_s=ended_s,
            steps=len(self.plan.steps),
        )

    def _now_s(self) -> float:
        return time.monotonic() - self.started_s

    async def _timed_steps(self) -> None:
        for step in sorted((s for s in self.plan.steps if s.at_s is not None), key=lambda s: s.at_s or 0.0):
            await asyncio.sleep(max(0.0, (step.at_s or 0.0) - self._now_s()))
            await self._apply(step)

    async def _apply(self, step: Step) -> None:
        await self.stage.apply(step)
        change = Change(
            at_s=self._now_s(),
            subject=step.subject,
            what=step.what,
            ends_it=step.ends_it,
            routes=() if step.store is not None else self.stage.models_of(step),
            store=step.store or "",
        )
        self.changes.append(change)

    async def _load(self) -> None:
        load = self.plan.load
        drawn = random.Random(self.plan.seed)  # noqa: S311 - repeatable, not secret
        places = asyncio.Semaphore(load.concurrency)
        due_steps = [step for step in self.plan.steps if step.after_requests is not None]
        async with asyncio.TaskGroup() as group:
            for number in range(load.requests):
                for step in [s for s in due_steps if s.after_requests == number]:
                    await self._apply(step)
                due_s = None if load.rate is None else number / load.rate
                if due_s is not None:
                    await asyncio.sleep(max(0.0, due_s - self._now_s()))
                await places.acquire()
                began_s = self._now_s() if due_s is None else due_s
                group.create_task(self._shot(drawn.choice(load.prompts), began_s, places))

    async def _shot(self, prompt: str, due_s: float, places: asyncio.Semaphore) -> None:
        load = self.plan.load
        options: AskOptions = {"cache": load.cache}
        if load.agent is not None:
            options["agent"] = load.agent
        if load.deadline_s is not None:
            options["deadline_s"] = load.deadline_s
        try:
            answer = await self.engine.execute(prompt, **options)
        except SwitchgearError as exc:
            attempts = getattr(exc, "attempts", ())
            shot = Shot(due_s=due_s, ended_s=self._now_s(), fate="failed", error=exc.code, attempts=attempts)
        else:
            shot = Shot(
                due_s=due_s,
                ended_s=self._now_s(),
                fate="degraded" if answer.degraded else "ok",
                cached=answer.source == "exact_cache",
                attempts=answer.attempts,
            )
        finally:
            places.release()
        self.shots.append(shot)
        if self.on_done is not None:
            self.on_done(len(self.shots), load.requests)


class _Watch:
    """Sees breakers change, on the rehearsal's clock; their histories are on the stores' own."""

    def __init__(self, breakers: tuple[BreakerStore, BreakerStore], subjects: tuple[str, ...]) -> None:
        """``breakers``: of routes and agents, and of stores, whose breakers live apart."""
        self._breakers = breakers
        of_stores = tuple(subject for subject in subjects if subject.startswith(STORES))
        self._subjects = (tuple(subject for subject in subjects if subject not in of_stores), of_stores)
        self._seen_s: dict[tuple[str, int], float] = {}

    async def look(self, now_s: Callable[[], float]) -> None:
        """Note when each generation was first seen, until cancelled."""
        while True:
            for store, subjects in zip(self._breakers, self._subjects, strict=True):
                for subject, view in (await store.view(subjects)).items():
                    self._seen_s.setdefault((subject, view.generation), now_s())
            await asyncio.sleep(WATCH_S)

    async def moves(self) -> tuple[Moved, ...]:
        """Every change since the start, in order. A change is placed by when it was seen, so within ``WATCH_S``.

        One that was over before it could be seen is placed by the store's clock, against the others.
        """
        found: list[Moved] = []
        for store in self._breakers:
            for subject in await store.subjects():
                history = await store.history(subject)
                ahead_s = self._ahead_s(history)
                if ahead_s is not None:
                    found += (_moved(event, ahead_s) for event in history)
        return tuple(sorted(found, key=lambda move: move.at_s))

    def _ahead_s(self, history: Sequence[BreakerMoved]) -> float | None:
        """What turns the store's clock into ours: whatever was seen, was seen a little late, never early."""
        late = [
            self._seen_s[event.subject, event.generation] - event.at_s
            for event in history
            if (event.subject, event.generation) in self._seen_s
        ]
        return min(late) if late else None


def _moved(event: BreakerMoved, ahead_s: float) -> Moved:
    return Moved(
        at_s=max(0.0, event.at_s + ahead_s),
        subject=event.subject,
        before=event.before,
        after=event.after,
        reason=event.reason,
    )


def _subjects(settings: Settings) -> tuple[str, ...]:
    """Every breaker that a rehearsal may move."""
    refs = [model_ref(model, settings) for model in routed_models(settings)]
    found = {ref.subject for ref in refs} | {ref.credential_subject for ref in refs if ref.credential_subject}
    found |= {agent_subject(agent.name) for agent in settings.agents}
    return tuple(sorted(found | {f"{STORES}{name}" for name in STORE_NAMES}))
