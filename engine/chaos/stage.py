"""The stage of a rehearsal: the user's settings with every provider and store replaced by a stand-in on loopback.

Chains, timeouts, breakers, limits, prices and names stay the user's. Providers become scripted servers behind a
proxy each; stores become embedded ones in a folder of the rehearsal's own, behind a proxy where the plan breaks
them. So no key is needed, no money is spent, and the cache and state of running replicas stay untouched.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from configs.catalogue import ProviderSettings
from configs.settings import Settings
from engine.chaos.faults import WELL, fault_named
from engine.chaos.plan import Plan, Step, routed_models
from engine.chaos.play import Chooser, Play, in_order, now_and_then
from engine.chaos.provider import ScriptedProvider
from engine.chaos.proxy import Address, ToxicProxy
from memory.embedded.attach import attach
from memory.embedded.redis_server import redis_cache, redis_state

KEY = "no-key-is-needed-in-a-rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a rehearsal plays on."""

    settings: Settings
    """The user's, rerouted."""
    environ: Mapping[str, str]
    """A stand-in for every key; nothing else."""
    providers: Mapping[str, ScriptedProvider]
    proxies: Mapping[str, ToxicProxy]
    """By ``provider <name>`` or ``store <name>``."""
    _plan: Plan
    _sample: random.Random

    async def apply(self, step: Step) -> None:
        """Make one change of the plan true."""
        if step.network is not None:
            proxy = self.proxies[step.subject]
            proxy.set(step.network.toxics, step.network.direction)
            await (proxy.down() if step.network.down else proxy.up())
            return
        for model_id in self.models_of(step):
            model = self.settings.models[model_id]
            self.providers[model.provider].choose_by(self._chooser(step), model.model)

    def models_of(self, step: Step) -> tuple[str, ...]:
        """The models that a step concerns."""
        routed = routed_models(self.settings)
        if step.model is not None:
            return (step.model,)
        return tuple(m for m in routed if self.settings.models[m].provider == step.provider)

    @property
    def calls(self) -> int:
        """Requests that have reached any provider."""
        return sum(server.calls.total() for server in self.providers.values())

    def _chooser(self, step: Step) -> Chooser:
        well = _well(self._plan)
        if step.fault is None or step.fault == WELL:
            return in_order([well])
        bad = fault_named(step.fault).play(step.seconds or 0.0)
        if step.share is None:
            return in_order([bad])
        return now_and_then(step.share, bad, well, self._sample.random)


def _well(plan: Plan) -> Play:
    return Play(reply=plan.well.reply, first_token_s=plan.well.first_token_s, pace_s=plan.well.pace_s)


@asynccontextmanager
async def staged(plan: Plan, settings: Settings) -> AsyncGenerator[Stage]:
    """Build the stage, and take it down at the end. Raises ``BackendUnavailable`` when a store does not start."""
    async with AsyncExitStack() as stack:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="switchgear-chaos-"))
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, folder, ignore_errors=True)
        servers: dict[str, ScriptedProvider] = {}
        proxies: dict[str, ToxicProxy] = {}
        providers: dict[str, ProviderSettings] = dict(settings.providers)
        for name in sorted({settings.models[m].provider for m in routed_models(settings)}):
            server = await stack.enter_async_context(ScriptedProvider(keeps_requests=False))
            server.script(_well(plan))
            address = Address(host="127.0.0.1", port=server.port)
            proxy = await stack.enter_async_context(ToxicProxy(address, seed=plan.seed))
            servers[name], proxies[f"provider {name}"] = server, proxy
            url = f"http://127.0.0.1:{proxy.port}/v1"
            providers[name] = settings.providers[name].model_copy(update={"base_url": url, "embedded": False})
        stores = await _stores(plan, settings, folder, stack)
        proxies |= {f"store {name}": proxy for name, (proxy, _) in stores.items()}
        urls = {f"{name.removeprefix('redis.')}_url": url for name, (_, url) in stores.items()}
        redis = settings.redis.model_copy(update={"cache_url": None, "state_url": None, **urls})
        keys = {p.api_key_env: KEY for p in settings.providers.values() if p.api_key_env is not None}
        yield Stage(
            settings=settings.model_copy(update={"data_dir": folder, "providers": providers, "redis": redis}),
            environ=keys,
            providers=servers,
            proxies=proxies,
            _plan=plan,
            _sample=random.Random(plan.seed),  # noqa: S311 - repeatable, not secret
        )


async def _stores(
    plan: Plan, settings: Settings, folder: Path, stack: AsyncExitStack
) -> dict[str, tuple[ToxicProxy, SecretStr]]:
    """A proxy before each store that the plan breaks, and the URL that leads through it."""
    specs = {"redis.cache": redis_cache(settings.redis.cache_max_mb), "redis.state": redis_state()}
    found: dict[str, tuple[ToxicProxy, SecretStr]] = {}
    for name in sorted({step.store for step in plan.steps if step.store is not None}):
        attachment = await attach(specs[name], folder, settings.embedded)
        stack.push_async_callback(attachment.leave)
        address = Address(path=unquote(urlsplit(attachment.address).path))
        proxy = await stack.enter_async_context(ToxicProxy(address, seed=plan.seed))
        secret = "" if attachment.secret is None else attachment.secret.get_secret_value()
        found[name] = (proxy, SecretStr(f"redis://:{secret}@127.0.0.1:{proxy.port}/0"))
    return found
