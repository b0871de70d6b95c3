"""The ledger of a release that has no budgets: counts what is spent, and denies whatever would need a budget.

The twin of the shared ledger (requirement cost.reserve) behind ``engine.contract.Ledger``. It never pretends to
enforce a cap: a principal whose tier has a budget is refused by name, so that nobody relies on a limit that is
not there. In process only, lost with it.
"""

from __future__ import annotations

from configs.kernel import Money, Tier
from engine.contract import Reservation
from engine.errors import NotBuilt
from engine.types import Request

UNBUDGETED = frozenset({Tier.LOCAL, Tier.ENTERPRISE})
"""Tiers without a budget (admit.budget): in-process callers and enterprise."""


class DenyingLedger:
    """Admits who needs no budget, refuses who does. Every hold ends in one charge (L3, L5)."""

    def __init__(self) -> None:
        self._held: dict[str, Reservation] = {}
        self._spent = Money()

    @property
    def held(self) -> Money:
        """Estimates of the requests in flight."""
        return sum((hold.estimate for hold in self._held.values()), Money())

    @property
    def spent(self) -> Money:
        """What all settled requests really cost."""
        return self._spent

    async def reserve(self, request: Request, estimate: Money) -> Reservation:
        """Note ``estimate``; the same request twice is one hold. Raises ``NotBuilt`` where a budget applies."""
        tier = request.principal.tier
        if tier not in UNBUDGETED:
            raise NotBuilt(f"the budget of tier {tier.value!r}", "admit.budget")
        hold = Reservation(request_id=request.id, estimate=estimate)
        return self._held.setdefault(request.id, hold)

    async def settle(self, reservation: Reservation, actual: Money) -> None:
        """Turn the hold into a charge. Settling again, or what was never held, changes nothing (L3)."""
        if self._held.pop(reservation.request_id, None) is not None:
            self._spent += actual

    async def abandon(self, request_id: str) -> None:
        """Charge the whole hold, if there is one: nobody can say what a call that was cut has cost (L2)."""
        hold = self._held.pop(request_id, None)
        if hold is not None:
            self._spent += hold.estimate
