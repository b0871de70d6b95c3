"""Whether an answer may be kept, for whom and for how long (cache.write, cache.scope, cache.fresh). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from configs.caching import CacheSettings
from configs.catalogue import AgentCapability
from configs.kernel import Outcome
from configs.splits import CONTROL
from engine.cache.freshness import about_now
from engine.cached import Sharing
from engine.types import PERSONAL, Answer, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A request that was answered, and who answered."""

    request: Request
    answer: Answer
    agent: AgentCapability | None
    """``None`` when it has been unregistered meanwhile."""
    own_handler: bool


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
    refusal = _refusal(ended)
    if refusal is not None or ended.agent is None:
        return DoNotKeep(why=refusal or "the agent is gone")
    request, agent, touched = ended.request, ended.agent, ended.answer.touched
    live = agent.live or "live_data" in touched or about_now(request.question)
    ttl_s = request.ttl_s if agent.cache_ttl_s is None else min(request.ttl_s, agent.cache_ttl_s)
    shared = agent.context_free and not live and "memory" not in touched
    return Keep(
        sharing="shared" if shared else "user",
        ttl_s=min(ttl_s, settings.live_ttl_s) if live else ttl_s,
        live=live,
    )


def _refusal(ended: Ended) -> str | None:
    """The first reason not to keep it."""
    answer, agent = ended.answer, ended.agent
    last = answer.attempts[-1] if answer.attempts else None
    experiment, _, arm = answer.decision.arm.partition("/")
    # What a handler of the caller's own does besides answering is unknown, so it has to say that it may be cached.
    declared = None if agent is None else agent.cacheable
    reasons = (
        ("personal data", ended.request.data_class in PERSONAL),
        ("not whole", answer.truncated or (last is not None and last.outcome is not Outcome.OK)),
        # An answer by another agent or model than the one that was meant says so here, too.
        (f"degraded: {', '.join(answer.degraded)}", bool(answer.degraded)),
        ("flagged by the guard", "guard_flag" in answer.touched),
        ("it did something besides answering", "side_effect" in answer.touched),
        ("an experiment: it would outlive a roll-back", bool(experiment) and arm != CONTROL),
        ("its agent is not cacheable", ended.own_handler if declared is None else not declared),
    )
    return next((reason for reason, holds in reasons if holds), None)
