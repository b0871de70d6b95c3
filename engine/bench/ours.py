"""Switchgear itself in front of the two scripted providers, through its public API, in this process or another.

The settings are the user's own but for what a benchmark must not touch: providers, models, agents, stores and the
data folder. ``python -m engine.bench.ours`` is one replica: settings on its first line of stdin, then how
much to ask.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from configs.catalogue import AgentCapability, ModelPrice, ModelSettings, ProviderSettings
from configs.errors import SwitchgearError
from configs.settings import Settings
from engine.app import Engine
from engine.bench.drive import QUESTION, Ask, drive
from engine.bench.peers import FALLBACK, PRIMARY, Targets
from engine.bench.upstream import end_child
from engine.errors import BenchFailed

AGENT = AgentCapability(name="general", description="Answers anything.", instructions="Answer.")


def settings_for(settings: Settings, targets: Targets, folder: Path, *, hedge: bool = False) -> Settings:
    """``settings`` with the two providers of ``targets`` as its only models, and every store in ``folder``."""
    price = ModelPrice(input=0.0, output=0.0)
    routing = settings.routing.model_copy(update={"general_agent": AGENT.name, "fallback_agents": (AGENT.name,)})
    return settings.model_copy(
        update={
            "data_dir": folder,
            "redis": settings.redis.model_copy(update={"cache_url": None, "state_url": None}),
            "cache": settings.cache.model_copy(update={"enabled": False}),
            "queue": settings.queue.model_copy(update={"enabled": False}),
            "shield": settings.shield.model_copy(update={"hedge": hedge}),
            "routing": routing,
            "providers": {name: ProviderSettings(base_url=url, local=True) for name, url in targets.urls.items()},
            "models": {
                name: ModelSettings(
                    provider=name, model=name, context_window=8_192, price=price, first_token_s=targets.timeout_s
                )
                for name in targets.urls
            },
            "roles": {"default": tuple(targets.urls)},
            "agents": (AGENT,),
            "teams": (),
            "tools": (),
        }
    )


def with_breaker(settings: Settings, **changed: object) -> Settings:
    """The same with other numbers for the breakers."""
    return settings.model_copy(update={"breaker": settings.breaker.model_copy(update=changed)})


@asynccontextmanager
async def switchgear(
    settings: Settings, chain: Sequence[str] = (PRIMARY, FALLBACK), *, preload: bool = True
) -> AsyncGenerator[Ask]:
    """An engine of its own, asked for one agent and the models of ``chain``, past the cache.

    ``settings`` are those of ``settings_for``.
    """
    async with Engine.open(settings=settings, preload=preload) as engine:

        async def ask() -> str | None:
            try:
                answer = await engine.execute(QUESTION, agent=AGENT.name, models=tuple(chain), cache="off")
            except SwitchgearError:
                return None
            return answer.model

        yield ask


class Replica:
    """The parent's side of one replica."""

    def __init__(self, child: Process) -> None:
        self._child = child

    async def tell(self, value: object) -> Any:
        """Say one thing, get one back. Raises ``BenchFailed`` when the process is gone."""
        child = self._child
        if child.stdin is None or child.stdout is None:
            raise BenchFailed("a replica has no pipes")
        child.stdin.write(json.dumps(value).encode() + b"\n")
        await child.stdin.drain()
        line = await child.stdout.readline()
        if not line:
            raise BenchFailed(f"a replica ended with exit code {await child.wait()}")
        return json.loads(line)


@asynccontextmanager
async def replicas(count: int, settings: Settings) -> AsyncGenerator[tuple[Replica, ...]]:
    """Processes with one engine each, all on the data folder of ``settings``, ready to be asked."""
    async with AsyncExitStack() as stack:
        started: list[Replica] = []
        for _ in range(count):
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "engine.bench.ours", stdin=PIPE, stdout=PIPE
            )
            stack.push_async_callback(end_child, child)
            started.append(Replica(child))
        said = settings.model_dump(mode="json")
        await asyncio.gather(*(each.tell(said) for each in started))
        yield tuple(started)


async def serve() -> None:
    """The child: an engine, and for each line ``[requests, concurrency]`` the models that answered."""
    settings = Settings.model_validate(json.loads(await asyncio.to_thread(sys.stdin.readline)))
    async with switchgear(settings) as ask:
        _say("ready")
        while line := await asyncio.to_thread(sys.stdin.readline):
            requests, concurrency = json.loads(line)
            _say([shot.model for shot in await drive(ask, requests, concurrency)])


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.disable()
    asyncio.run(serve())
