"""The same two providers behind other libraries, each used as its documentation shows (``bench dead-backend``).

Breaker libraries guard a call of the official client without retries; what they refuse and what fails goes to the
fallback. LangChain and LiteLLM bring their own retries and keep their defaults. All have the same timeout. What is
not installed is not measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from openai import AsyncOpenAI, OpenAIError

from engine.bench.drive import QUESTION, Ask

PRIMARY = "primary"
FALLBACK = "fallback"
KEY = "none-needed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where the two models are, and how long either may be silent."""

    urls: Mapping[str, str]
    timeout_s: float


Peer = Callable[[Targets], AbstractAsyncContextManager[Ask]]
Guarded = Callable[[Any, Ask], tuple[Ask, type[Exception]]]
"""From an imported library and an unguarded call: the guarded one, and what it raises without calling."""


@asynccontextmanager
async def bare(targets: Targets) -> AsyncGenerator[Ask]:
    """The official client, straight to the healthy fallback: what no dead primary costs."""
    async with _clients(targets) as asks:
        yield asks[FALLBACK]


@asynccontextmanager
async def breaker_library(library: ModuleType, targets: Targets) -> AsyncGenerator[Ask]:
    """The official client behind the breaker of a library."""
    async with _clients(targets) as asks:
        guarded, refused = LIBRARIES[library.__name__](library, asks[PRIMARY])

        async def ask() -> str | None:
            try:
                return await guarded()
            except (OpenAIError, refused):
                return await _or_none(asks[FALLBACK])

        yield ask


@asynccontextmanager
async def langchain(library: Any, targets: Targets) -> AsyncGenerator[Ask]:
    """``ChatOpenAI(…).with_fallbacks([…])``, everything but the timeout at its default."""
    models = [
        library.ChatOpenAI(model=name, base_url=targets.urls[name], api_key=KEY, timeout=targets.timeout_s)
        for name in (PRIMARY, FALLBACK)
    ]
    chain = models[0].with_fallbacks(models[1:])

    async def ask() -> str | None:
        try:
            await chain.ainvoke(QUESTION)
        except OpenAIError:
            return None
        return "any"

    yield ask


@asynccontextmanager
async def litellm(library: Any, targets: Targets) -> AsyncGenerator[Ask]:
    """LiteLLM's ``Router`` with a fallback, everything but the timeout at its default."""
    params = {
        name: {"model": f"openai/{name}", "api_base": targets.urls[name], "api_key": KEY}
        for name in (PRIMARY, FALLBACK)
    }
    router = library.Router(
        model_list=[{"model_name": name, "litellm_params": each} for name, each in params.items()],
        fallbacks=[{PRIMARY: [FALLBACK]}],
        timeout=targets.timeout_s,
    )

    async def ask() -> str | None:
        try:
            await router.acompletion(model=PRIMARY, messages=[{"role": "user", "content": QUESTION}])
        except OpenAIError:  # its exceptions derive from the client's
            return None
        return "any"

    yield ask


def installed() -> dict[str, Peer]:
    """The peers that can be measured here, by name. Imports them: not on an event loop."""
    known = {name: (name, breaker_library) for name in LIBRARIES} | CHAINS
    return {
        name: partial(open_it, import_module(module))
        for name, (module, open_it) in known.items()
        if find_spec(module) is not None
    }


def missing() -> tuple[str, ...]:
    """Breaker libraries that would be measured if they were installed."""
    return tuple(name for name in LIBRARIES if find_spec(name) is None)


@asynccontextmanager
async def _clients(targets: Targets) -> AsyncGenerator[dict[str, Ask]]:
    """One call without retries per model."""
    clients = await asyncio.to_thread(_made, targets)

    def to(name: str) -> Ask:
        async def ask() -> str | None:
            await clients[name].chat.completions.create(
                model=name, messages=[{"role": "user", "content": QUESTION}]
            )
            return name

        return ask

    try:
        yield {name: to(name) for name in clients}
    finally:
        for client in clients.values():
            await client.close()


def _made(targets: Targets) -> dict[str, AsyncOpenAI]:
    """Clients read certificates when they are made: not on the event loop."""
    return {
        name: AsyncOpenAI(base_url=url, api_key=KEY, timeout=targets.timeout_s, max_retries=0)
        for name, url in targets.urls.items()
    }


async def _or_none(ask: Ask) -> str | None:
    try:
        return await ask()
    except OpenAIError:
        return None


def _pybreaker(library: Any, call: Ask) -> tuple[Ask, type[Exception]]:
    breaker = library.CircuitBreaker()

    async def guarded() -> str | None:
        with breaker.calling():
            return await call()

    return guarded, library.CircuitBreakerError


def _circuitbreaker(library: Any, call: Ask) -> tuple[Ask, type[Exception]]:
    return library.CircuitBreaker()(call), library.CircuitBreakerError


def _purgatory(library: Any, call: Ask) -> tuple[Ask, type[Exception]]:
    factory = library.AsyncCircuitBreakerFactory()

    async def guarded() -> str | None:
        async with await factory.get_breaker(PRIMARY):
            return await call()

    return guarded, library.domain.model.OpenedState


LIBRARIES: dict[str, Guarded] = {
    "pybreaker": _pybreaker,
    "circuitbreaker": _circuitbreaker,
    "purgatory": _purgatory,
}
"""Module name of each breaker library, and how it guards a call."""
CHAINS = {"langchain": ("langchain_openai", langchain), "litellm": ("litellm", litellm)}
"""Module of what brings chains of its own, by its name in the figures."""
