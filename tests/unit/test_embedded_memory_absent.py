"""``AbsentMemory``, what an engine without memory runs on: no recall, and no pretence of remembering."""

from __future__ import annotations

from configs.kernel import Deadline, Message, Principal
from memory.absent import AbsentMemory
from memory.contract import Exchange, Memory, NotRemembered, Recollection

ADA = Principal(user_id="ada")
MEMORY: Memory = AbsentMemory()


async def test_nothing_is_recalled_for_anyone() -> None:
    """No snippet, and no tier that could have had one is reported missing."""
    recalled = await MEMORY.recall(ADA, "What did I say?", thread_id="t", token_budget=100, deadline=Deadline(1.0))
    assert recalled == Recollection(snippets=(), missing=())


async def test_an_exchange_is_refused_by_name_and_stays_forgotten() -> None:
    """The refusal is a value that names the request, and nothing comes back later."""
    exchange = Exchange(
        principal=ADA,
        messages=(Message("user", "My name is Ada."),),
        answer="Hello Ada.",
        request_id="r-1",
        agent="general",
        at_s=1.0,
    )
    assert await MEMORY.remember(exchange) == NotRemembered(request_id="r-1", reason="this engine has no memory")
    recalled = await MEMORY.recall(ADA, "My name?", thread_id=None, token_budget=100, deadline=Deadline(1.0))
    assert recalled.snippets == ()
