"""Leave for one call: from its breaker, its credential's breaker and its gate; and giving it back.

Not a retry and not a timeout (``shield.py``). A breaker that cannot be asked or told is logged and never fails the
call it guards (B15).
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from configs.kernel import Failure, Outcome
from configs.settings import Settings
from engine.contract import BreakerState, BreakerStore, Permit, Refusal, Report
from engine.resilience.errors import CallRefused
from engine.resilience.limiter import Gate, NoPlace
from engine.resilience.routes import Route, Routes, may_open
from engine.resilience.tolerate import answer_or

KEY_IS_BAD = frozenset({Outcome.AUTH, Outcome.QUOTA})
KEY_IS_GOOD = frozenset(
    {Outcome.OK, Outcome.CALLER, Outcome.POLICY, Outcome.THROTTLE, Outcome.MISSING, Outcome.CONFLICT}
)
"""What no server says to somebody it does not let in."""
UNKNOWN_GENERATION = -1


@dataclass(slots=True, kw_only=True)
class Leave:
    """Permits and place of one call on their way back."""

    route: Route
    permit: Permit
    key: Permit | None
    gate: Gate | None
    settled: bool = False
    left: bool = False

    @property
    def probe(self) -> bool:
        """Whether this call is to find out if the route, or its credential, is well again."""
        return self.permit.probe or (self.key is not None and self.key.probe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the call of a leave ended."""

    outcome: Outcome
    failure: Failure | None = None
    slow: bool = False


class Leaves:
    """Asks for leave and gives it back."""

    def __init__(
        self, breakers: BreakerStore, settings: Settings, routes: Routes, clock: Callable[[], float]
    ) -> None:
        self._breakers = breakers
        self._settings = settings
        self._routes = routes
        self._clock = clock
        self._ids = map(f"{uuid.uuid4().hex}-{{}}".format, itertools.count())

    async def ask(self, route: Route, patience_s: float, *, limited: bool) -> Leave:
        """Leave for one call, waiting for a place at a gate (``limited``). Raises ``CallRefused``."""
        leave = await self._permitted(route, self._routes.gate(route) if limited else None)
        gate = leave.gate
        if gate is None or gate.enter():
            return leave
        # A call that waits holds no probe, and whether it may still be made is asked again afterwards.
        leave.left = True
        await self.settle(leave, Ended(outcome=Outcome.CANCEL))
        try:
            placed = await gate.wait(patience_s)
        except NoPlace as full:
            raise CallRefused(_no_place(leave.permit, full.reason, full.retry_after_s)) from None
        if not placed:
            return await self._sent_on(route, leave)
        permitted = False
        try:
            leave = await self._permitted(route, gate)
            permitted = True
            return leave
        finally:
            if not permitted:
                gate.leave(Outcome.REFUSED, None, 0.0, self._clock())

    async def settle(self, leave: Leave, ended: Ended) -> None:
        """Tell the breakers how it ended; once in effect."""
        if leave.settled:
            return
        leave.settled = True
        bad_key = leave.key is not None and ended.outcome in KEY_IS_BAD
        outcome = Outcome.REFUSED if bad_key else ended.outcome
        result = _plain(outcome, ended)
        try:
            result = await self._within_pool(leave.route, result)
        finally:  # whoever is cancelled on the way has still had its call
            try:
                await self._tell(leave.permit, result)
            finally:
                if leave.key is not None and (bad_key or leave.key.probe):
                    good = ended.outcome in KEY_IS_GOOD
                    verdict = ended.outcome if bad_key else Outcome.OK if good else Outcome.CANCEL
                    await self._tell(leave.key, _plain(verdict, ended))

    def leave(self, leave: Leave, ended: Ended, first_token_s: float | None, held_s: float) -> None:
        """Free the place; once in effect."""
        if leave.gate is not None and not leave.left:
            leave.left = True
            leave.gate.leave(ended.outcome, first_token_s, held_s, self._clock())

    async def _permitted(self, route: Route, gate: Gate | None) -> Leave:
        key = None
        if route.credential is not None:
            key = await self._acquire(route.credential)
            if isinstance(key, Refusal):
                raise CallRefused(key)
        permitted = False
        try:
            permit = await self._acquire(route.subject)
            if isinstance(permit, Refusal):
                raise CallRefused(permit)
            permitted = True
            return Leave(route=route, permit=permit, key=key, gate=gate)
        finally:
            if not permitted and key is not None and key.probe:
                await self._tell(key, Report(outcome=Outcome.CANCEL))

    async def _sent_on(self, route: Route, before: Leave) -> Leave:
        """The line was cleared, since the breaker opened: it says no itself, unless it has changed its mind."""
        after = await self._permitted(route, before.gate)
        if after.gate is not None and after.gate.enter():
            return after
        after.left = True
        await self.settle(after, Ended(outcome=Outcome.CANCEL))
        raise CallRefused(_no_place(after.permit, "the line was cleared when the breaker opened", None))

    async def _within_pool(self, route: Route, result: Report) -> Report:
        """The report with its leave to open the breaker, which depends on the others of the pool."""
        ejection_max = self._settings.breaker.ejection_max
        pool = self._routes.pools.get(route.subject, ())
        if ejection_max >= 1.0 or not pool or not (result.outcome is Outcome.FAIL or result.slow):
            return result
        without = "its pool could not be looked at"
        views = await answer_or(lambda: None, self._breakers.view(pool), route.subject, without)
        return result if views is None else replace(result, may_open=may_open(route.subject, views, ejection_max))

    async def _acquire(self, subject: str) -> Permit | Refusal:
        call_id = next(self._ids)
        without = "the breaker could not be asked, calling without it"
        return await answer_or(
            partial(_unasked, subject, call_id), self._breakers.acquire(subject, call_id), subject, without
        )

    async def _tell(self, permit: Permit, result: Report) -> None:
        without = "the breaker could not be told"
        await answer_or(lambda: None, self._breakers.report(permit, result), permit.subject, without)


def _unasked(subject: str, call_id: str) -> Permit:
    return Permit(
        subject=subject, call_id=call_id, generation=UNKNOWN_GENERATION, probe=False, state=BreakerState.CLOSED
    )


def _plain(outcome: Outcome, ended: Ended) -> Report:
    failure = ended.failure
    return Report(
        outcome=outcome,
        reason="" if failure is None else failure.detail,
        retry_after_s=None if failure is None else failure.retry_after_s,
        slow=ended.slow,
    )


def _no_place(permit: Permit, reason: str, retry_after_s: float | None) -> Refusal:
    return Refusal(
        subject=permit.subject,
        state=permit.state,
        generation=permit.generation,
        retry_after_s=retry_after_s,
        reason=reason,
    )
