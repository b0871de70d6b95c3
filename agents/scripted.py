"""The deterministic twin of ``agents.model``: answers from a script, in memory, without a clock.

Passes the same contract suite (``tests/contract/chat_model_suite.py``). Whether a script amounts to an answer is
judged by the same code as a real stream, so an empty or unfinished reply fails here as it would there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from agents.contract import Chunk, ModelRef
from agents.errors import CallFailed
from agents.parts import Draft, Part, refused
from agents.usage import Bound
from configs.kernel import Deadline, Failure, Message, Sampling, Usage
from configs.settings import RequestSettings

WORDS = re.compile(r"\s*\S+\s*")
SCRIPTED_REF = ModelRef(id="scripted", provider="scripted", model="scripted", credential="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the script. ``failure`` is raised where the finish marker would come."""

    text: str = "ok"
    usage: Usage | None = None
    finish_reason: str | None = "stop"
    failure: Failure | None = None
    gate: asyncio.Event | None = None
    """Nothing comes before this is set."""
    hold: asyncio.Event | None = None
    """The end does not come before this is set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    """What the model was asked."""

    messages: tuple[Message, ...]
    sampling: Sampling
    deadline: Deadline


class ScriptedModel:
    """A ``ChatModel`` that plays ``replies`` in order, the last one for ever."""

    def __init__(self, *replies: Reply | str, ref: ModelRef = SCRIPTED_REF) -> None:
        self._ref = ref
        self._replies: list[Reply] = []
        self._closed = False
        self.calls: list[ScriptedCall] = []
        self.started = asyncio.Event()
        """Set when a call has begun; clear it to wait for the next one."""
        self.left = asyncio.Event()
        """Set when a reader has gone before the end of its answer."""
        self.script(*replies)

    @property
    def ref(self) -> ModelRef:
        """The identity of this route."""
        return self._ref

    def script(self, *replies: Reply | str) -> None:
        """Replace the script; without replies it is one plain "ok"."""
        given = [Reply(text=reply) if isinstance(reply, str) else reply for reply in replies]
        self._replies = given or [Reply()]

    async def stream(
        self, messages: tuple[Message, ...], sampling: Sampling, deadline: Deadline
    ) -> AsyncGenerator[Chunk]:
        """Play the next reply, word by word. Raises ``CallFailed`` as the script or its result demands."""
        if self._closed:
            raise refused("this route is closed", "route_closed")
        self.calls.append(ScriptedCall(messages=messages, sampling=sampling, deadline=deadline))
        self.started.set()
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        draft = Draft(Bound.of(messages, sampling.max_tokens), RequestSettings().answer_bytes_max)
        complete = False
        try:
            async with aclosing(_played(reply, draft)) as chunks:
                async for chunk in chunks:
                    yield chunk
            complete = True
        except CallFailed:
            complete = True
            raise
        finally:
            if not complete:
                self.left.set()

    async def aclose(self) -> None:
        """Refuse later calls."""
        self._closed = True


async def _played(reply: Reply, draft: Draft) -> AsyncGenerator[Chunk]:
    if reply.gate is not None:
        await reply.gate.wait()
    try:
        for word in WORDS.findall(reply.text):
            yield Chunk(text=draft.take(Part(text=word)))
        if reply.hold is not None:
            await reply.hold.wait()
        _break_off(reply, draft)
        total = reply.usage.input_tokens + reply.usage.output_tokens if reply.usage is not None else 0
        draft.take(Part(finish_reason=reply.finish_reason, usage=reply.usage, total_tokens=total))
        draft.conclude()
    except CallFailed as exc:
        if draft.parts and not draft.forgives(exc.failure):
            yield Chunk(usage=draft.usage)
        raise
    yield Chunk(usage=draft.usage, finish_reason=draft.finish_reason)


def _break_off(reply: Reply, draft: Draft) -> None:
    if reply.failure is not None:
        raise CallFailed(replace(reply.failure, produced_text=draft.visible))
