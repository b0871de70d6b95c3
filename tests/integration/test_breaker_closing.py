"""A shared breaker store that closes sends whatever waits to be sent (brk.shared)."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence

import pytest

from configs.kernel import Outcome
from configs.settings import BreakerSettings
from engine.contract import Permit, Report
from engine.resilience.known import Known
from engine.resilience.record import Effect
from engine.resilience.script import BreakerScript
from engine.resilience.sender import SUBJECTS_PER_MESSAGE, Sender
from engine.resilience.wire import Asked
from tests.support.shared_breaker import fleet_of

RULES = BreakerSettings()
FAIL, OK = Report(outcome=Outcome.FAIL, reason="boom"), Report(outcome=Outcome.OK)


@pytest.mark.req("brk.shared")
async def test_closing_amid_a_round_sends_for_every_subject() -> None:
    """Cancelled in its first message, a round loses neither that one nor those that were to follow."""
    under_way = asyncio.Event()
    sent: Counter[str] = Counter()

    async def deliver(some: list[Known]) -> None:
        if not under_way.is_set():
            under_way.set()
            try:
                await asyncio.Event().wait()
            finally:
                for known in some:
                    sender.later(known)
        sent.update(known.subject for known in some)
        assert len(some) <= SUBJECTS_PER_MESSAGE

    async def register() -> None:
        """Nobody lists subjects here."""

    sender = Sender(deliver, register, 0.0)
    for number in range(300):
        sender.later(Known(f"tool:{number}", RULES))
    await under_way.wait()
    await sender.aclose()
    assert sent == dict.fromkeys((f"tool:{number}" for number in range(300)), 1)


class Held:
    """A script whose first step waits until it may go on."""

    def __init__(self, script: BreakerScript) -> None:
        self.came, self.go_on = asyncio.Event(), asyncio.Event()
        self.register = script.register
        self._script = script

    async def run(self, batch: Sequence[Asked]) -> object:
        """The step."""
        self.came.set()
        await self.go_on.wait()
        return await self._script.run(batch)


@pytest.mark.req("brk.shared")
async def test_closing_waits_for_a_message_that_is_on_its_way(redis_state_url: str) -> None:
    """What came up behind it, for the same subject, is sent too."""
    subject = f"model:p/{uuid.uuid4()}#k"
    async with fleet_of(redis_state_url, RULES, 1) as fleet:
        (member,) = fleet.replicas
        permits = [await member.store.acquire(subject, call) for call in ("a", "b")]
        held = Held(member.store._script)
        member.store._script = held  # type: ignore[assignment]
        first, second = permits
        assert isinstance(first, Permit)
        assert isinstance(second, Permit)
        failing = asyncio.ensure_future(member.store.report(first, FAIL))
        await held.came.wait()
        await member.store.report(second, OK)
        closing = asyncio.ensure_future(member.store.aclose())
        for _ in range(20):
            await asyncio.sleep(0)
        held.go_on.set()
        await asyncio.gather(failing, closing)
        assert member.store.effects == {Effect.COUNTED: 2}
