"""``Memory`` that is not there: recalls nothing and refuses to remember, by value, so that nobody thinks it did.

Not a fake for tests only: it is what an engine without memory runs on.
"""

from __future__ import annotations

from configs.kernel import Deadline, Principal
from memory.contract import Exchange, NotRemembered, Recollection


class AbsentMemory:
    """Deny-by-default twin of ``memory.contract.Memory``."""

    async def recall(
        self, principal: Principal, question: str, *, thread_id: str | None, token_budget: int, deadline: Deadline
    ) -> Recollection:
        """Nothing, for everyone."""
        del principal, question, thread_id, token_budget, deadline
        return Recollection()

    async def remember(self, exchange: Exchange) -> NotRemembered:
        """Refuse: this engine keeps no memory."""
        return NotRemembered(request_id=exchange.request_id, reason="this engine has no memory")
