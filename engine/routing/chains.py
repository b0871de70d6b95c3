"""From who answers to the legs of the request: models in their order, experiments, constraints on every leg.

A thin shell over ``ordering`` (which models), ``chain`` (who stands by) and ``constraints`` (who may be asked).
Does not choose the agent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from configs.instances import families, with_instances
from configs.settings import Settings
from engine.errors import NoAgentFits
from engine.routing.chain import build_chain, models_of
from engine.routing.constraints import Reach, excluded, reach_of, refuse_barred
from engine.routing.contract import Registered
from engine.routing.models import Facts, Situation
from engine.routing.ordering import ModelOrders
from engine.types import Decision, Request

Agents = Mapping[str, Registered]


class Placed(Protocol):
    """The arm of an experiment that a request belongs to (``engine.splits.assign.Placement``)."""

    def agent(self, chosen: str) -> str:
        """Who answers instead of ``chosen``."""
        ...

    def applied(self, decision: Decision, families: Mapping[str, Sequence[str]]) -> Decision:
        """The decision with the arm's models and its label; ``families``: instances of the same model, by each."""
        ...


Place = Callable[[Request, str, Collection[str | None]], Placed | None]
"""The arm of a request whose chosen agent and models these are; ``None``: no experiment is about it."""


class Chains:
    """The chains of one engine's requests."""

    def __init__(self, settings: Settings, facts: Facts, orders: ModelOrders, place: Place) -> None:
        self._settings = settings
        self._facts = facts
        self._orders = orders
        self._place = place
        self._can = {model: fact.can for model, fact in facts.items()}
        self._families = families(settings.models)
        self._askable = {role: with_instances(chain, settings.models) for role, chain in settings.roles.items()}

    def reach(self, registered: Registered) -> Reach:
        """What an agent can be used for, through the models of its role and their instances."""
        return reach_of(registered, models_of(registered, self._askable), self._can)

    def complete(
        self, decision: Decision, agents: Agents, request: Request, situation: Situation, *, asked: bool
    ) -> Decision:
        """``decision`` with its legs. Every leg meets every constraint of ``situation`` (admit.data).

        Unless ``asked``, nobody will be: nothing is taken from turns and limits.

        Raises ``NoAgentFits`` when they leave no leg, ``InvalidInput`` and ``ConfigError`` as ``build_chain``.
        """
        refuse_barred(decision.agent, self.reach(agents[decision.agent]), situation.constraints)
        placed = self._placed(decision, agents, request, situation)
        if placed is not None and (other := placed.agent(decision.agent)) != decision.agent:
            reason = f"{decision.reason} An experiment asks {other} instead."
            decision = replace(decision, agent=other, reason=reason)
        situation = replace(situation, needs_tools=agents[decision.agent].capability.needs_tools)
        decision = self._with_legs(decision, agents, request, situation, asked)
        if placed is None:
            return decision
        tried = placed.applied(decision, self._families)
        kept = tuple(leg for leg in tried.legs if leg.model is None or not self._forbidden(leg.model, situation))
        return replace(tried, legs=kept) if kept else decision

    def _placed(self, decision: Decision, agents: Agents, request: Request, situation: Situation) -> Placed | None:
        """The request's arm, unless what the caller said or a constraint keeps it from being tried."""
        if request.models:
            return None
        chain = models_of(agents[decision.agent], self._settings.roles)
        placed = self._place(request, decision.agent, chain)
        other = decision.agent if placed is None else placed.agent(decision.agent)
        if other == decision.agent:
            return placed
        known = agents.get(other)
        barred = known is None or request.agent is not None or excluded(self.reach(known), situation.constraints)
        return None if barred else placed

    def _with_legs(
        self, decision: Decision, agents: Agents, request: Request, situation: Situation, asked: bool
    ) -> Decision:
        routing, constraints = self._settings.routing, situation.constraints
        standing_by = [name for name in dict.fromkeys(routing.fallback_agents) if name in agents]
        able = {
            name: agents[name]
            for name in dict.fromkeys((decision.agent, *standing_by))
            if not excluded(self.reach(agents[name]), constraints)
        }
        if request.models:
            named = self._allowed(request.models, situation)
            legs = build_chain(decision.agent, able, {}, (), named)
            left_out = tuple(
                f"{model}: {why}" for model in request.models if (why := self._forbidden(model, situation))
            )
            return replace(decision, legs=legs, skipped=left_out)
        plan = self._orders.plan(list(able.values()), situation, asked=asked)
        legs = build_chain(decision.agent, able, plan.roles, standing_by, last_resort=self._last_resort(situation))
        skipped = tuple(f"{model}: {why}" for model, why in plan.skipped.items())
        return replace(decision, legs=legs, models_why=plan.why, skipped=skipped)

    def _allowed(self, models: tuple[str, ...], situation: Situation) -> tuple[str, ...]:
        """Those of the caller's models that may be asked."""
        forbidden = {model: self._forbidden(model, situation) for model in models}
        allowed = tuple(model for model, why in forbidden.items() if not why)
        if not allowed:
            raise NoAgentFits(forbidden)
        return allowed

    def _last_resort(self, situation: Situation) -> str | None:
        last = self._settings.chain.last_resort
        if last is None or self._facts[last].unusable or self._forbidden(last, situation):
            return None
        return last

    def _forbidden(self, model: str, situation: Situation) -> str:
        return self._orders.forbidden(model, situation)
