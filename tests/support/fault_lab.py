"""A whole engine with one route to break and one that is well, for the tests of the fault catalogue."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from configs.errors import SwitchgearError
from engine import compose
from engine.app import Engine
from engine.contract import BreakerState, BreakerView
from engine.cost.ledger import DenyingLedger
from engine.types import Answer, Attempt
from tests.support.engines import engine_settings
from tests.support.provider import ScriptedProvider

BAD, GOOD = "bad", "good"
PRICE = {"price": {"input": 1.0, "output": 1.0}}
"""A micro-dollar a token, so that a charge is a count."""
GUARD_S = 30.0
_encoder = functools.cache(compose.load_encoder)


@pytest.fixture
def one_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """MiniLM loaded once for all engines of a process: dozens of them are opened here."""
    monkeypatch.setattr(compose, "load_encoder", _encoder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How one request ended: an answer or a typed error, and the attempts of either."""

    answer: Answer | None = None
    error: SwitchgearError | None = None

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was tried."""
        return self.answer.attempts if self.answer is not None else getattr(self.error, "attempts", ())

    @property
    def first(self) -> Attempt:
        """The attempt of the broken route."""
        return self.attempts[0]

    @property
    def ended(self) -> str:
        """The model that answered, or the class of the error."""
        return str(self.answer.model) if self.answer is not None else type(self.error).__name__


@dataclass(slots=True, kw_only=True)
class Lab:
    """The engine, what it talks to, and whatever the loop complained about."""

    engine: Engine
    provider: ScriptedProvider
    complaints: list[str] = field(default_factory=list[str])

    async def ask(self, *models: str, **options: Any) -> Told:
        """One question along ``models``, the broken route first by default."""
        asked = {"agent": "general", "cache": "off", "models": models or (BAD, GOOD), **options}
        try:
            async with asyncio.timeout(GUARD_S):
                return Told(answer=await self.engine.execute("hello you", **asked))
        except SwitchgearError as exc:
            return Told(error=exc)

    async def view(self, model: str = BAD) -> BreakerView:
        """The breaker of a route."""
        subject = f"model:p-{model}/{model}#none"
        return (await self.engine.breakers((subject,)))[subject]

    async def assert_clean(self) -> None:
        """Nothing held, no connection left open, no complaint, and the next healthy request is answered."""
        ledger = self.engine._parts.run.fresh.ledger
        assert isinstance(ledger, DenyingLedger)
        assert ledger.held.micros == 0
        assert (await self.ask(GOOD)).ended == GOOD
        assert (await self.view(GOOD)).state is BreakerState.CLOSED
        assert self.complaints == []
        for request in self.provider.requests:
            if not request.answered.is_set():
                await request.wait_disconnected()  # whatever was cut was closed too


@asynccontextmanager
async def fault_lab(folder: Path, provider: ScriptedProvider, **sections: Any) -> AsyncGenerator[Lab]:
    """An engine whose routes ``bad`` and ``good`` lead to ``provider``, with its libraries loaded."""
    urls = sections.pop("urls", {BAD: provider.url, GOOD: provider.url})
    own: Mapping[str, Any] = {
        "cache": {"enabled": False},
        "breaker": {"shared": False},
        "queue": {"enabled": False},
        "models": dict.fromkeys(urls, PRICE),
        "shield": {"retries": 0},
    }
    merged = {key: {**own.get(key, {}), **sections.get(key, {})} for key in {**own, **sections}}
    provider.script(reply="all well", model=GOOD)
    settings = await engine_settings(folder, urls, **merged)
    async with Engine.open(settings=settings) as engine:
        lab = Lab(engine=engine, provider=provider)
        asyncio.get_running_loop().set_exception_handler(lambda _, what: lab.complaints.append(str(what)))
        assert (await lab.ask(GOOD)).ended == GOOD
        provider.calls.clear()
        provider.requests.clear()
        yield lab
