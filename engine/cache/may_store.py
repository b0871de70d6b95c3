"""Whether an answer may be kept, for whom and for how long (cache.write, cache.scope, cache.fresh). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from configs.caching import CacheSettings
from configs.catalogue import AgentCapability
from configs.kernel import Outcome
from configs.splits import CONTROL
from engine.cache.freshness import about_now
from engine.cached import Sharing
from engine.types import PERSONAL, Answer, Attempt, Decision, Request, Touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A request that came to its end, and who was to answer it."""

    request: Request
    decision: Decision
    attempts: tuple[Attempt, ...]
    agent: AgentCapability | None
    """``None`` when it has been unregistered meanwhile."""
    own_handler: bool
    answer: Answer | None = None
    """``None``: its model refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """It may be stored."""

    sharing: Sharing
    ttl_s: int
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotKeep:
    """It may not."""

    why: str


def may_store(ended: Ended, settings: CacheSettings) -> Keep | DoNotKeep:
    """The whole rule: nothing partial, degraded, personal, flagged, with side effects or from an experiment."""
    answer, agent = ended.answer, ended.agent
    refusal = _refusal(ended)
    if refusal is not None or agent is None or answer is None:
        return DoNotKeep(why=refusal or "the agent is gone")
    request = ended.request
    live = agent.live or "live_data" in answer.touched or about_now(request.question)
    ttl_s = request.ttl_s if agent.cache_ttl_s is None else min(request.ttl_s, agent.cache_ttl_s)
    shared = agent.context_free and not live and "memory" not in answer.touched
    return Keep(
        sharing="shared" if shared else "user",
        ttl_s=min(ttl_s, settings.live_ttl_s) if live else ttl_s,
        live=live,
    )


def may_store_refusal(ended: Ended, settings: CacheSettings) -> Keep | DoNotKeep:
    """Negative caching: a model's own refusal is kept for its user, for a moment.

    Only that of the model that was meant: what another one refuses after it had failed is gone with the failure.
    """
    refusal = _refusal(ended)
    planned, tried = ended.decision.legs[:1], ended.attempts
    if refusal is not None or len(tried) != 1 or not planned:
        return DoNotKeep(why=refusal or "not the model that was meant")
    if (tried[0].agent, tried[0].model) != (planned[0].agent, planned[0].model):
        return DoNotKeep(why="not the model that was meant")
    return Keep(sharing="user", ttl_s=min(ended.request.ttl_s, settings.refusal_ttl_s), live=False)


def _refusal(ended: Ended) -> str | None:
    """The first reason not to keep it."""
    answer, decision = ended.answer, ended.decision
    last = ended.attempts[-1] if ended.attempts else None
    degraded = decision.degraded if answer is None else answer.degraded
    experiment, _, arm = decision.arm.partition("/")
    touched = frozenset[Touch]() if answer is None else answer.touched
    # What a handler of the caller's own does besides answering is unknown, so it has to say that it may be cached.
    declared = None if ended.agent is None else ended.agent.cacheable
    reasons = (
        ("personal data", ended.request.data_class in PERSONAL),
        ("the agent is gone", ended.agent is None),
        ("not whole", answer is not None and (answer.truncated or last is None or last.outcome is not Outcome.OK)),
        # An answer by another agent or model than the one that was meant says so here, too.
        (f"degraded: {', '.join(degraded)}", bool(degraded)),
        ("flagged by the guard", "guard_flag" in touched),
        ("it did something besides answering", "side_effect" in touched),
        ("an experiment: it would outlive a roll-back", bool(experiment) and arm != CONTROL),
        ("its agent is not cacheable", ended.own_handler if declared is None else not declared),
    )
    return next((reason for reason, holds in reasons if holds), None)
