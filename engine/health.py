"""What works right now, found out by using it: one check per part (obs.health). For ``switchgear doctor``.

A check never raises: what is wrong is its result. Models that run here or on this network are asked one short
question; those that cost money are not, only whether their key is set.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from agents.refs import routed_models
from configs.catalogue import ProviderSettings
from configs.errors import SwitchgearError
from configs.keys import usable_models
from engine.app import Engine
from engine.errors import ModelFileError
from memory.errors import BackendUnavailable

Verdict = Literal["ok", "warn", "fail"]
QUESTION = "Say hello."


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One part and how it is. ``warn``: the engine works without it, degraded."""

    name: str
    verdict: Verdict
    detail: str
    took_ms: float | None = None


async def check_engine(
    engine: Engine, environ: Mapping[str, str], on_step: Callable[[str], None]
) -> tuple[Check, ...]:
    """Every part of an open engine, each asked once for real."""
    checks: list[Check] = []
    on_step("cache")
    # The embedded cache may be missing on a platform without its wheel; a server that was named has to be there.
    may_miss = engine.settings.redis.cache_url is None
    checks.append(await _timed("cache", lambda: _cache(engine), may_miss=may_miss))
    on_step("breakers")
    may_miss = engine.settings.redis.state_url is None
    checks.append(await _timed("breakers", lambda: _breakers(engine), may_miss=may_miss))
    on_step("router")
    checks.append(await _timed("router", lambda: _router(engine)))
    if engine.settings.cache.enabled and engine.settings.cache.semantic.enabled:
        on_step("paraphrases")
        checks.append(await _timed("paraphrases", lambda: _paraphrases(engine), may_miss=True))
    for model_id, reason in sorted(usable_models(engine.settings, environ).items()):
        if model_id not in routed_models(engine.settings):
            continue
        name = f"model {model_id}"
        if reason is not None:
            checks.append(Check(name=name, verdict="warn", detail=reason))
        elif _is_free(engine.settings.providers[engine.settings.models[model_id].provider]):
            on_step(name)
            checks.append(await _timed(name, lambda model_id=model_id: _inference(engine, model_id)))
        else:
            checks.append(Check(name=name, verdict="ok", detail="key is set; not asked, since that costs money"))
    return tuple(checks)


def _is_free(provider: ProviderSettings) -> bool:
    return provider.embedded or provider.local


async def _timed(name: str, ask: Callable[[], Awaitable[str]], *, may_miss: bool = False) -> Check:
    began = time.perf_counter()
    try:
        detail = await ask()
    except SwitchgearError as exc:
        verdict: Verdict = "warn" if may_miss else "fail"
        return Check(name=name, verdict=verdict, detail=str(exc))
    return Check(name=name, verdict="ok", detail=detail, took_ms=(time.perf_counter() - began) * 1e3)


async def _cache(engine: Engine) -> str:
    if not engine.settings.cache.enabled:
        return "switched off (cache.enabled)"
    return f"Redis {await engine.cache_version()}"


async def _breakers(engine: Engine) -> str:
    if not engine.settings.breaker.shared:
        return "each process has its own (breaker.shared)"
    general = f"agent:{engine.settings.routing.general_agent}"
    await engine.breakers((general,))
    alone = engine.degraded.get("breakers")
    if alone is not None:
        raise BackendUnavailable("redis.state", alone)
    return "shared by all processes of this state"


async def _router(engine: Engine) -> str:
    decision = await engine.route(QUESTION)
    return f"MiniLM loaded, {len(engine.agents)} agents, {QUESTION!r} goes to {decision.agent}"


async def _paraphrases(engine: Engine) -> str:
    verdict = await engine.cache.explain(QUESTION, f"Please {QUESTION.lower()}")
    why = engine.degraded.get("semantic_cache")
    if why is not None:
        raise ModelFileError(why, hint="see cache.semantic.verifier")
    return f"verifier loaded, it asks for probability {verdict.threshold:.2f}"


async def _inference(engine: Engine, model_id: str) -> str:
    settings = engine.settings
    starts = settings.providers[settings.models[model_id].provider].embedded
    deadline_s = settings.request.check_s + (settings.embedded.start_s if starts else 0.0)
    answer = await engine.execute(
        QUESTION,
        agent=settings.routing.general_agent,
        models=[model_id],
        max_tokens=8,
        cache="off",
        deadline_s=min(deadline_s, settings.request.deadline_s_max),
    )
    return f"answered {answer.usage.output_tokens} tokens"
