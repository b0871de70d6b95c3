"""``Spending`` of an engine without a budget. The one that asks the ledger belongs to ``engine/cost``."""

from __future__ import annotations

from configs.kernel import Principal


class NoBudget:
    """Nothing of it is ever spent."""

    async def share(self, principal: Principal) -> float:
        """See ``engine.routing.contract.Spending``."""
        del principal
        return 0.0
