"""Runs one leg of a fallback chain: agent and model, each behind its shield, told as an ``Attempt``.

The one place where agents, models, shields and prices meet. It decides nothing about what comes next: whether
another leg may take over is in the result, which leg that is in the chain.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from agents.contract import Task
from agents.errors import CallFailed
from agents.roster import Roster
from configs.kernel import Failure, FailureKind, Money, Outcome, Sampling, Usage
from configs.settings import AgentCapability, Settings
from engine.contract import LegResult
from engine.cost.prices import PriceBook
from engine.models import Models
from engine.resilience.attempt import CallReport
from engine.resilience.classify import classify, may_fall_back
from engine.resilience.shield import Shield
from engine.resilience.shielded import ShieldedAgent, ShieldedModel
from engine.types import Attempt, Leg, Request

Show = Callable[[str], None]


@dataclass(slots=True)
class _Draft:
    """What a leg has produced so far."""

    pieces: list[str] = field(default_factory=list[str])
    usage: Usage = field(default_factory=Usage)
    shown: bool = False
    finish_reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Legs:
    """``LegRunner`` over the engine's agents and models."""

    def __init__(
        self, roster: Roster, models: Models, shield: Shield, prices: PriceBook, settings: Settings
    ) -> None:
        self._roster = roster
        self._models = models
        self._shield = shield
        self._prices = prices
        self._settings = settings

    def estimate(self, request: Request, legs: tuple[Leg, ...]) -> Money:
        """The most these legs can cost together: each may have to be paid before the next answers (L1)."""
        now = datetime.now(UTC)
        agents = self._roster.agents
        bound = Money()
        for leg in legs:
            if leg.model is not None and leg.agent in agents:
                task = self._task(request, agents[leg.agent].capability)
                bound += self._prices.upper_bound(leg.model, task.messages, task.sampling, now=now)
        return bound

    async def run(self, leg: Leg, request: Request, show: Show | None) -> LegResult:
        """Answer ``request`` by ``leg``. Every failure is a value; cancellation and graph signals are raised."""
        agent_report, model_report = CallReport(), CallReport()
        draft = _Draft()
        failure: Failure | None = None
        try:
            await self._answer(leg, request, show, draft, (agent_report, model_report))
        except CallFailed as exc:
            failure = exc.failure
        outcome = Outcome.OK if failure is None else classify(failure)
        called = model_report if leg.model is not None else agent_report
        # When the agent's own breaker refused, the model was never asked and its report says nothing.
        told = agent_report if agent_report.tries == 0 else called
        attempt = Attempt(
            agent=leg.agent,
            model=leg.model,
            outcome=outcome,
            called=called.tries > 0,
            latency_ms=agent_report.latency_s * 1e3,
            first_token_ms=None if agent_report.first_token_s is None else agent_report.first_token_s * 1e3,
            usage=draft.usage,
            cost=self._cost(leg, draft.usage),
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

    async def _answer(
        self, leg: Leg, request: Request, show: Show | None, draft: _Draft, reports: tuple[CallReport, CallReport]
    ) -> None:
        agent = self._roster.agents.get(leg.agent)
        if agent is None:
            detail = f"agent {leg.agent!r} was unregistered while the request was under way"
            raise CallFailed(Failure(kind=FailureKind.REFUSED, detail=detail))
        model = None
        if leg.model is not None:
            first_token_s = self._settings.models[leg.model].first_token_s
            model = ShieldedModel(
                self._models.get(leg.model), self._shield, first_token_s=first_token_s, report=reports[1]
            )
        guarded = ShieldedAgent(agent, self._shield, report=reports[0])
        async with aclosing(guarded.run(self._task(request, agent.capability), model)) as chunks:
            async for chunk in chunks:
                if chunk.usage is not None:
                    draft.usage += chunk.usage
                if chunk.finish_reason is not None:
                    draft.finish_reason = chunk.finish_reason
                if chunk.text:
                    draft.pieces.append(chunk.text)
                    if show is not None:
                        draft.shown = True
                        show(chunk.text)

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

    def _cost(self, leg: Leg, usage: Usage) -> Money:
        return Money() if leg.model is None else self._prices.cost(leg.model, usage, now=datetime.now(UTC))
