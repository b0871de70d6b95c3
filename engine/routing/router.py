"""The router: reads the question, asks how everybody has been doing, lets the pure parts decide.

A thin shell (``engine.contract.Router``). Whom a question is for is in ``decide``, who answers in ``select`` and
``explore``, in what way in ``policy``, through which models in ``chains``. Not the registry, which it only reads
through ``AgentSource``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from configs.errors import ConfigError
from configs.settings import Settings
from engine.errors import EmbeddingInvalid, UnknownName
from engine.routing.artifact import Artifact
from engine.routing.chains import Chains
from engine.routing.complexity import ComplexityHead
from engine.routing.constraints import Constraints, barred
from engine.routing.contract import AgentHealth, AgentSource, Reading, Spending, TextEncoder
from engine.routing.decide import Trained, match
from engine.routing.encoder import DIMENSIONS
from engine.routing.explore import Chosen, choose, context_of
from engine.routing.explore import Situation as Trial
from engine.routing.facts import prompt_tokens
from engine.routing.models import Situation
from engine.routing.policy import StrategyChoice, choose_strategy
from engine.routing.select import Ranking, rank
from engine.routing.shipped import bind_artifact
from engine.routing.turns import Turns
from engine.routing.view import View, Views
from engine.types import Averages, Candidate, Decision, Request, Strategy

UNREADABLE = Reading(vector=np.zeros(DIMENSIONS, dtype=np.float32), familiarity=0.0)
"""A question the encoder could not turn into a vector: only cues count (fault 45)."""


class Learned(Protocol):
    """What outcomes have taught, read without waiting (``engine.learning.learned.LearnedAverages``)."""

    def models(self, ids: Sequence[str]) -> Mapping[str, Averages]:
        """How models have been doing, by id."""
        ...

    def in_context(self, agents: Sequence[str]) -> Mapping[str, tuple[float, ...]]:
        """Sufficient statistics of agents by name (``linucb``)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterParts:
    """What a router asks. ``sample``: random numbers from [0, 1)."""

    encoder: TextEncoder
    agents: AgentSource
    health: AgentHealth
    learned: Learned
    chains: Chains
    spending: Spending
    sample: Callable[[], float]
    available: frozenset[Strategy]
    artifact: Artifact | None = None
    complexity: ComplexityHead | None = None


class AgentRouter:
    """Routes by description, examples, cues, keywords and a trained head, and by how everybody has been doing.

    An agent registered before ``route`` is called takes part in it. Safe for any number of concurrent calls on
    one loop.
    """

    def __init__(self, settings: Settings, parts: RouterParts) -> None:
        self._settings = settings
        self._parts = parts
        self._views = Views(settings.routing, parts.encoder, parts.agents, parts.chains.reach)
        self._bound: tuple[View, Trained | None] | None = None
        self._turns = Turns(settings.learn.subjects_max)

    async def warm(self) -> None:
        """Load the encoder and make the vectors of every agent that is registered now."""
        await self._parts.encoder.aread("")
        await self._views.current()

    async def preview(self, request: Request) -> Decision:
        """See ``engine.contract.Router``. Raises as ``route`` does."""
        return await self._decide(request, asked=False)

    async def route(self, request: Request) -> Decision:
        """See ``engine.contract.Router``.

        Raises ``UnknownName`` for an agent or model that does not exist, ``InvalidInput`` for models named for an
        agent that uses none, ``NoAgentFits`` when constraints leave nobody, ``ConfigError`` when nothing could
        answer, ``ModelFileError``, ``EngineClosed``.
        """
        return await self._decide(request, asked=True)

    async def _decide(self, request: Request, *, asked: bool) -> Decision:
        for model in request.models:
            if model not in self._settings.models:
                raise UnknownName("model", model, self._settings.models)
        situation = await self._situation(request)
        if request.agent is None:
            return await self._choose(request, situation, asked=asked)
        agents = self._parts.agents().agents
        if request.agent not in agents:
            raise UnknownName("agent", request.agent, agents)
        reason = f"{request.agent} was asked for by name."
        decision = Decision(agent=request.agent, strategy="single", confidence=1.0, reason=reason)
        return self._parts.chains.complete(decision, agents, request, situation, asked=asked)

    async def _situation(self, request: Request) -> Situation:
        asked = prompt_tokens(request.messages, self._settings.routing.prompt_token_bytes)
        room = self._settings.request.max_tokens if request.max_tokens is None else request.max_tokens
        return Situation(
            now=datetime.now(UTC),
            constraints=Constraints(
                tier=request.principal.tier,
                data_class=request.data_class,
                region=request.region,
                tokens=asked + room,
            ),
            prompt_tokens=asked,
            max_tokens=room,
            averages=self._parts.learned.models(tuple(self._settings.models)),
            spent=await self._parts.spending.share(request.principal),
        )

    async def _choose(self, request: Request, situation: Situation, *, asked: bool) -> Decision:
        parts, routing = self._parts, self._settings.routing
        view = await self._views.current()
        agents = view.snapshot.agents
        if not agents:
            raise ConfigError("no agent is registered", hint="list agents in configs/agents or register one")
        reading = await self._read(request.question)
        kept_out = barred(view.reaches, situation.constraints)
        shortlist = match(view.table, reading, request.question, routing, kept_out, self._trained(view))
        health = await parts.health([m.agent for m in shortlist.matches])
        ranking = rank(shortlist, health, routing, kept_out)
        strategy = self._strategy(ranking, reading if shortlist.familiar else None, request.question)
        chosen = self._explore(ranking, health, request, strategy)
        winner = ranking.candidates[chosen.index]
        if asked:
            self._turns.note(chosen, winner.agent)
        decision = Decision(
            agent=winner.agent,
            strategy=strategy.runs,
            confidence=ranking.sure[chosen.index],
            reason=_reason(ranking, winner, chosen),
            candidates=_with_propensities(ranking.candidates, chosen),
            degraded=("router",) if reading is UNREADABLE else (),
            wanted=strategy.wanted,
            strategy_why=strategy.reason,
            complexity=strategy.complexity,
            out_of_scope=ranking.out_of_scope,
            explored=chosen.explored,
            head=parts.artifact.card.version if parts.artifact is not None and shortlist.trained else "",
        )
        situation = replace(situation, complexity=strategy.complexity)
        return parts.chains.complete(decision, agents, request, situation, asked=asked)

    def _strategy(self, ranking: Ranking, reading: Reading | None, question: str) -> StrategyChoice:
        head = self._parts.complexity
        judged = None
        if head is not None and reading is not None:
            judged = head.judge(reading.vector[None, :], [question])[0].tolist()
        return choose_strategy(
            confidence=ranking.confidence,
            margin=ranking.margin,
            complexity_probabilities=judged,
            out_of_scope=ranking.out_of_scope,
            available=self._parts.available,
            settings=self._settings.strategies,
        )

    def _explore(
        self, ranking: Ranking, health: Mapping[str, Averages], request: Request, strategy: StrategyChoice
    ) -> Chosen:
        candidates = ranking.candidates
        trial = Trial(may_explore=request.priority != "high", waited=self._turns.waited)
        if self._settings.learn.explore == "linucb":
            trial = replace(
                trial,
                contexts={c.agent: context_of(c, strategy.complexity, len(request.question)) for c in candidates},
                moments=self._parts.learned.in_context([c.agent for c in candidates]),
            )
        return choose(candidates, health, self._settings, trial, self._parts.sample())

    def _trained(self, view: View) -> Trained | None:
        """The head for the agents of ``view``, bound once."""
        if self._bound is None or self._bound[0] is not view:
            self._bound = (view, bind_artifact(view.table, self._parts.artifact))
        return self._bound[1]

    async def _read(self, question: str) -> Reading:
        try:
            return await self._parts.encoder.aread(question)
        except EmbeddingInvalid:
            return UNREADABLE


def _with_propensities(candidates: Sequence[Candidate], chosen: Chosen) -> tuple[Candidate, ...]:
    pairs = zip(candidates, chosen.propensities, strict=True)
    return tuple(replace(c, propensity=p) if p else c for c, p in pairs)


def _reason(ranking: Ranking, winner: Candidate, chosen: Chosen) -> str:
    if winner.agent == ranking.agent:
        return ranking.reason
    if chosen.explored:
        return f"{ranking.reason} This time {winner.agent} is asked, to learn how it does."
    return f"{ranking.reason} {chosen.held or ranking.agent} is on probation, so {winner.agent} answers."
