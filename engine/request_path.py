"""How the road of one request is put together: gateway, cache tiers, flights, fresh answers. Decides nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from agents.prompted import PromptedAgent
from agents.roster import Roster
from configs.catalogue import AgentCapability
from configs.settings import Settings
from engine.answer_cache import OpenCache
from engine.cache.fingerprint import tenant_of, user_of
from engine.cache.paraphrase import Ask
from engine.cached import Provenance
from engine.contract import Ledger, Observer
from engine.fresh import Drive, Fresh, Keeping
from engine.gateway.gateway import Gateway
from engine.policy import Policy
from engine.redis_state import StateRedis
from engine.routing.thread import EncoderThread
from engine.run import Run
from engine.telemetry.tracing import open_tracer
from engine.tiers import CacheParts, TierNeeds, make_tiers
from engine.types import Answer, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class PathNeeds:
    """The live parts of an engine that lie beside the road."""

    roster: Roster
    policy: Policy
    reader: EncoderThread
    state: StateRedis
    grey: Ask | None
    pipeline: Callable[[], Awaitable[Drive]]
    ledger: Ledger
    observer: Observer
    degraded: dict[str, str]


def make_path(
    settings: Settings, opened: OpenCache | None, needs: PathNeeds, stack: AsyncExitStack
) -> tuple[Run, CacheParts]:
    """What answers requests, and its cache."""

    async def again(request: Request) -> Answer:
        return await run.answer(request, None)

    cache = make_tiers(
        settings,
        opened,
        TierNeeds(
            reader=needs.reader,
            state=needs.state,
            lookup_of=needs.policy.lookup_of,
            again=again,
            ask=needs.grey,
            degraded=needs.degraded,
        ),
        stack,
    )
    gateway = Gateway(cache.tiers, needs.policy.lookup_of, missing=tuple(needs.degraded))
    stack.push_async_callback(gateway.drain)
    run = Run(
        gateway=gateway,
        fresh=Fresh(
            gateway=gateway,
            pipeline=needs.pipeline,
            ledger=needs.ledger,
            keeping=_keeping(settings, needs.roster, needs.policy),
            watch=cache.watch,
        ),
        flights=cache.flights,
        tracer=open_tracer(),
        depth_max=settings.chain.depth_max,
        observers=(needs.observer,),
    )
    return run, cache


def _keeping(settings: Settings, roster: Roster, policy: Policy) -> Keeping:
    """What is asked before an answer is stored, and what is noted with it."""

    def agent(name: str) -> tuple[AgentCapability | None, bool]:
        found = roster.agents.get(name)
        return None if found is None else found.capability, not isinstance(found, PromptedAgent)

    def provenance(request: Request, agent: str, live: bool) -> Provenance:
        return Provenance(
            by=user_of(request.principal),
            tenant=tenant_of(request.principal.tenant_id),
            agent=agent,
            agent_version=policy.version_of(agent),
            request_id=request.id,
            tags=request.tags,
            live=live,
        )

    return Keeping(settings=settings.cache, agent=agent, provenance=provenance)
