"""What the attempts of a request say about its agents and models. Pure.

Who answered did well, also where its first model failed. Who failed did not, unless nobody can tell: a breaker
that refused, a caller who left, a deadline, a rule of the provider's say nothing about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from configs.kernel import Outcome
from engine.learning.contract import RouteResult, agent_subject, model_subject
from engine.types import Attempt

FAILED: Final = frozenset({Outcome.FAIL, Outcome.QUALITY})
"""Outcomes that speak against whoever was asked."""


def results_of(attempts: Sequence[Attempt], context: tuple[float, ...] = ()) -> tuple[RouteResult, ...]:
    """One result per agent, then one per call of a model; those that say nothing are left out.

    ``context``: features of the request for the agent that was chosen, which is the first that was tried.
    """
    agents = dict.fromkeys(a.agent for a in attempts)
    first = next(iter(agents), None)
    found = [result_of(agent, attempts, context if agent == first else ()) for agent in agents]
    found += [_of_model(a, a.model) for a in attempts if a.called and a.model is not None]
    return tuple(result for result in found if not result.says_nothing)


def result_of(agent: str, attempts: Sequence[Attempt], context: tuple[float, ...] = ()) -> RouteResult:
    """How one agent did in a request. Its latency and cost are those of all its calls."""
    mine = [a for a in attempts if a.agent == agent and a.called]
    answered = any(a.outcome is Outcome.OK for a in mine)
    failed = any(a.outcome in FAILED for a in mine)
    return RouteResult(
        subject=agent_subject(agent),
        ok=True if answered else False if failed else None,
        latency_ms=sum(a.latency_ms for a in mine) if answered else None,
        cost_micros=float(sum(a.cost.micros for a in mine)) if answered else None,
        context=context if answered or failed else (),
    )


def _of_model(attempt: Attempt, model: str) -> RouteResult:
    answered = attempt.outcome is Outcome.OK
    return RouteResult(
        subject=model_subject(model),
        ok=True if answered else False if attempt.outcome in FAILED else None,
        latency_ms=attempt.latency_ms if answered else None,
        cost_micros=float(attempt.cost.micros) if answered else None,
    )
