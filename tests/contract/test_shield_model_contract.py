"""A model behind its shield is still a model: the suite of all chat models, with retries off to tell calls."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from agents.scripted import Reply, ScriptedModel
from configs.settings import BreakerSettings, Settings, ShieldSettings
from engine.resilience.local import LocalBreakerStore
from engine.resilience.shield import Shield
from engine.resilience.shielded import ShieldedModel
from tests.contract.chat_model_suite import Sent, Subject, suite_tests

globals().update(suite_tests())


@dataclass(slots=True)
class Shielded:
    """The scripted model behind a shield."""

    model: ShieldedModel
    inner: ScriptedModel

    def script(self, *replies: Reply) -> None:
        self.inner.script(*replies)

    def sent(self) -> list[Sent]:
        return [
            Sent(
                messages=tuple((m.role, m.content) for m in call.messages),
                max_tokens=call.sampling.max_tokens,
                temperature=call.sampling.temperature,
            )
            for call in self.inner.calls
        ]

    async def reached(self, calls: int) -> None:
        await self.inner.started.wait()
        assert len(self.inner.calls) == calls

    async def left(self) -> None:
        await self.inner.left.wait()


@pytest.fixture
async def subject() -> AsyncIterator[Subject]:
    """A shielded model on the real clock."""
    settings = Settings(
        shield=ShieldSettings(retries=0), breaker=BreakerSettings(consecutive_failures=1_000, rate_min_calls=1_000)
    )
    store = LocalBreakerStore(settings.breaker, clock=time.monotonic, sample=random.random)
    shield = Shield(store, settings, clock=asyncio.get_running_loop().time, sample=random.random)
    inner = ScriptedModel()
    yield Shielded(ShieldedModel(inner, shield), inner)
    await shield.aclose()
