"""Runs one leg of a fallback chain: agent and model, each behind its shield, told as an ``Attempt``.

The one place where agents, models, shields and prices meet. It decides nothing about what comes next: whether
another leg may take over is in the result, which leg that is in the chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.contract import Task
from agents.errors import CallFailed
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.kernel import Failure, FailureKind, Money, Outcome, Sampling, Usage
from configs.settings import Settings
from engine.agent_source import agent_source
from engine.contract import LegResult
from engine.cost.prices import PriceBook
from engine.models import Models
from engine.resilience.attempt import CallReport
from engine.resilience.classify import classify, may_fall_back
from engine.resilience.shield import Shield
from engine.resilience.shielded import ShieldedAgent, ShieldedModel
from engine.routing.locality import may_call
from engine.types import Attempt, Leg, Request

Hear = Callable[[str], bool]
"""Takes a piece of text; whether it was shown to the client."""


CUT_BY_US = frozenset(
    {FailureKind.CANCELLED, FailureKind.DEADLINE, FailureKind.FIRST_TOKEN_TIMEOUT, FailureKind.IDLE_TIMEOUT}
)
"""Calls that the other side was working on when we left."""


@dataclass(frozen=True, slots=True)
class Track:
    """What becomes of one leg while it runs."""

    agent: CallReport = field(default_factory=CallReport)
    model: CallReport = field(default_factory=CallReport)
    lost: asyncio.Event = field(default_factory=asyncio.Event)
    """Set before the leg is cancelled because another one has answered: then it ends as a value."""


@dataclass(slots=True)
class _Draft:
    """What a leg has produced so far."""

    pieces: list[str] = field(default_factory=list[str])
    usage: Usage = field(default_factory=Usage)
    shown: bool = False
    finish_reason: str | None = None
    task: Task | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Legs:
    """The legs of one engine, one at a time; ``race.py`` makes a ``LegRunner`` of it."""

    def __init__(
        self, roster: Roster, models: Models, shield: Shield, prices: PriceBook, settings: Settings
    ) -> None:
        self._agents = agent_source(roster)
        self._roster = roster
        self._models = models
        self._shield = shield
        self._prices = prices
        self._settings = settings

    def subject(self, leg: Leg) -> str | None:
        """Key of the leg's route; ``None`` for agents that answer by their own code."""
        return None if leg.model is None else self._models.get(leg.model).ref.subject

    def estimate(self, request: Request, legs: tuple[Leg, ...]) -> Money:
        """The most these legs can cost together: every try of each may have to be paid before the next (L1)."""
        now = datetime.now(UTC)
        agents = self._roster.agents
        tries = 1 + self._settings.shield.retries
        bound = Money()
        for leg in legs:
            if leg.model is not None and leg.agent in agents:
                task = self._task(request, agents[leg.agent].capability)
                once = self._prices.upper_bound(leg.model, task.messages, task.sampling, now=now)
                bound += Money(tries * once.micros)
        return bound

    async def run(self, leg: Leg, request: Request, hear: Hear, track: Track) -> LegResult:
        """Answer ``request`` by ``leg``. Every failure is a value; cancellation and graph signals are raised."""
        draft = _Draft()
        failure: Failure | None = None
        try:
            await self._answer(leg, request, hear, draft, track)
        except CallFailed as exc:
            failure = exc.failure
        except asyncio.CancelledError:
            if not track.lost.is_set():
                raise
            failure = Failure(kind=FailureKind.CANCELLED, detail="another route answered first")
        outcome = Outcome.OK if failure is None else classify(failure)
        called = track.model if leg.model is not None else track.agent
        # When the agent's own breaker refused, the model was never asked and its report says nothing.
        told = track.agent if track.agent.tries == 0 else called
        attempt = Attempt(
            agent=leg.agent,
            model=leg.model,
            outcome=outcome,
            called=called.tries > 0,
            latency_ms=track.agent.latency_s * 1e3,
            first_token_ms=None if track.agent.first_token_s is None else track.agent.first_token_s * 1e3,
            usage=draft.usage,
            cost=self._cost(leg, draft, failure) if called.tries else Money(),
            tries=called.tries,
            breaker=told.breaker.value,
            finish_reason=draft.finish_reason,
            error=None if failure is None else failure.detail,
            retry_after_s=None if failure is None else failure.retry_after_s,
        )
        return LegResult(
            attempt=attempt,
            text=draft.text,
            shown=draft.shown,
            may_fall_back=failure is not None and may_fall_back(outcome),
        )

    async def _answer(self, leg: Leg, request: Request, hear: Hear, draft: _Draft, track: Track) -> None:
        leaves = may_call(leg, request.data_class, self._settings, self._agents().agents)
        if leaves:  # the chain should have known; data that stays here does not depend on that (admit.data)
            raise CallFailed(Failure(kind=FailureKind.REFUSED, detail=leaves))
        agent = self._roster.agents.get(leg.agent)
        if agent is None:
            detail = f"agent {leg.agent!r} was unregistered while the request was under way"
            raise CallFailed(Failure(kind=FailureKind.REFUSED, detail=detail))
        model = None if leg.model is None else await self._shielded(leg.model, track.model)
        guarded = ShieldedAgent(agent, self._shield, report=track.agent)
        draft.task = self._task(request, agent.capability)
        async with aclosing(guarded.run(draft.task, model)) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    draft.usage += chunk.usage
                if chunk.finish_reason is not None:
                    draft.finish_reason = chunk.finish_reason
                if chunk.text:
                    draft.pieces.append(chunk.text)
                    draft.shown = hear(chunk.text) or draft.shown

    async def _shielded(self, model_id: str, report: CallReport) -> ShieldedModel:
        model = self._settings.models[model_id]
        most = model.concurrency_max
        if most is None and self._settings.providers[model.provider].embedded:
            most = self._settings.embedded.model_slots
        route = await self._models.ready(model_id)
        return ShieldedModel(route, self._shield, first_token_s=model.first_token_s, most=most, report=report)

    def _task(self, request: Request, capability: AgentCapability) -> Task:
        """What the caller asked for wins over what the agent is configured for, and that over the settings."""
        asked = (request.max_tokens, capability.max_tokens, self._settings.request.max_tokens)
        return Task(
            messages=request.messages,
            sampling=Sampling(
                max_tokens=next(tokens for tokens in asked if tokens is not None),
                temperature=capability.temperature if request.temperature is None else request.temperature,
            ),
            deadline=request.deadline,
            request_id=request.id,
        )

    def _cost(self, leg: Leg, draft: _Draft, failure: Failure | None) -> Money:
        if leg.model is None:
            return Money()
        now = datetime.now(UTC)
        cut = failure is not None and (bool(draft.pieces) or failure.kind in CUT_BY_US)
        if cut and draft.usage == Usage() and draft.task is not None:
            # Nobody told what it used, but it was at work: all that went in and came out (L9, F6).
            sampling = Sampling(max_tokens=len(draft.text.encode(errors="surrogatepass")))
            return self._prices.upper_bound(leg.model, draft.task.messages, sampling, now=now)
        return self._prices.cost(leg.model, draft.usage, now=now)
