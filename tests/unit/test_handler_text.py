"""What a user's own code may produce, and what leaves the agent: text that every store and socket can encode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from agents.contract import Chunk, Task
from agents.handler import HandlerAgent
from configs.catalogue import AgentCapability
from configs.kernel import Deadline, Message, Sampling

TASK = Task(
    messages=(Message("user", "question"),),
    sampling=Sampling(max_tokens=9),
    deadline=Deadline(float("inf")),
    request_id="r1",
)


async def says(_prompt: str) -> str:
    """Half a surrogate pair in the middle."""
    return "x\ud800y"


async def streams(_prompt: str) -> AsyncIterator[str | Chunk]:
    """The same in pieces, text and chunk."""
    yield "x"
    yield Chunk(text="\ud800")
    yield "y"


@pytest.mark.req("serve.python", "cache.write")
@pytest.mark.parametrize("handler", [says, streams])
async def test_half_a_surrogate_pair_of_a_handler_does_not_leave_the_agent(handler: Callable[[str], Any]):
    """Replaced as it is for models: the cache write of the answer would fail on it."""
    agent = HandlerAgent(AgentCapability(name="own", description="mine", cacheable=True), handler)
    async with aclosing(agent.run(TASK, None)) as chunks:
        text = "".join([chunk.text async for chunk in chunks])
    text.encode()
    assert text == "x\N{REPLACEMENT CHARACTER}y"
