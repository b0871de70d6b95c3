"""``ChatModel`` over langchain-openai: any OpenAI-compatible endpoint, streamed.

No retries, no deadlines and no breaker: ``engine/resilience/shielded.py`` owns those and wraps this. Its read
timeout is only a net under the shield's. ``agents/scripted.py`` is the twin without a network.
"""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from agents.contract import Chunk, HearLimits, ModelRef
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.parts import Draft, refused
from agents.refs import model_ref
from agents.usage import Bound
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling
from configs.settings import Settings

if TYPE_CHECKING:
    from agents.openai_chat import OpenAIClient


def preload() -> None:
    """Import langchain-openai now, in whichever thread calls this, instead of at the first question."""
    importlib.import_module("agents.openai_chat")


def open_model(
    model_id: str,
    settings: Settings,
    environ: Mapping[str, str],
    endpoint: Endpoint | None = None,
    hear: HearLimits | None = None,
) -> OpenAIChat:
    """The route of a configured model; nothing is imported or connected yet.

    ``endpoint`` replaces what the provider's settings say, for servers whose address is found at start; ``hear``
    is told what is left of the provider's rate limits (route.adapt). Raises ``ConfigError``.
    """
    ref = model_ref(model_id, settings)
    if endpoint is None:
        endpoint = Endpoint.of(settings.providers[ref.provider], environ)
    return OpenAIChat(ref, endpoint, settings, hear)


class OpenAIChat:
    """One model route. Safe for any number of streams at once on one event loop."""

    def __init__(
        self, ref: ModelRef, endpoint: Endpoint, settings: Settings, hear: HearLimits | None = None
    ) -> None:
        self._ref = ref
        self._hear = hear
        self._endpoint = endpoint
        self._settings = settings
        self._client: OpenAIClient | None = None
        self._building = threading.Lock()
        self._closed = False

    @property
    def ref(self) -> ModelRef:
        """The identity of this route."""
        return self._ref

    def __repr__(self) -> str:
        return f"OpenAIChat({self._ref.subject!r})"

    async def warm(self) -> None:
        """Load the libraries and build the client off the event loop; connects to nobody.

        Done before a call, it keeps the seconds of the first import out of the time that its server is blamed for.
        """
        if self._client is None and self._endpoint.key_missing is None and not self._closed:
            self._client = await asyncio.to_thread(self._build)

    async def stream(
        self,
        messages: tuple[Message, ...],
        sampling: Sampling,
        deadline: Deadline,  # noqa: ARG002 - part of the Protocol; the shield keeps time (F3)
    ) -> AsyncGenerator[Chunk]:
        """Generate an answer piece by piece; the last chunk carries usage and finish reason.

        A chunk without text says that the model is at work (hidden reasoning). One with usage alone comes right
        before a failure that has to be paid for. Raises ``CallFailed``.
        """
        self._refuse_if_unusable()
        await self.warm()
        assert self._client is not None  # noqa: S101 - warm() built it
        draft = Draft(Bound.of(messages, sampling.max_tokens), self._settings.request.answer_bytes_max)
        try:
            async with aclosing(self._client.parts(messages, sampling)) as parts:
                async for part in parts:
                    text = draft.take(part)
                    if text or (part.silent and draft.parts > 1 and draft.finish_reason is None):
                        yield Chunk(text=text)
            draft.conclude()
        except CallFailed as exc:
            if not draft.forgives(exc.failure):
                if draft.parts:
                    yield Chunk(usage=draft.usage)
                if self._closed:
                    raise _cut_by_us(exc.failure) from None
                raise
        yield Chunk(usage=draft.usage, finish_reason=draft.finish_reason)

    async def aclose(self) -> None:
        """Close every connection of this route; later calls are refused, calls under way end as cancelled."""
        self._closed = True
        if self._client is not None:
            await self._client.aclose()

    def _refuse_if_unusable(self) -> None:
        if self._closed:
            raise refused("this route is closed", "route_closed")
        if self._endpoint.key_missing is not None:
            raise refused(f"no key: {self._endpoint.key_missing} is not set", "key_missing")

    def _build(self) -> OpenAIClient:
        from agents.openai_chat import OpenAIClient  # noqa: PLC0415 - seconds to import; a cached answer needs none

        shield = self._settings.shield
        own = self._settings.models.get(self._ref.id)
        first_token_s = own.first_token_s if own is not None and own.first_token_s else shield.first_token_s
        with self._building:
            if self._client is None:
                # Later than the shield by a clear margin: when both cut a call in the same instant, the one's
                # cancellation interrupts the other's closing, and httpcore never closes that connection.
                read_s = max(first_token_s, shield.idle_s) + shield.connect_s
                hear = None if self._hear is None else partial(self._hear, self._ref.id)
                self._client = OpenAIClient(self._ref.model, self._endpoint, self._settings, read_s, hear)
            return self._client


def _cut_by_us(failure: Failure) -> CallFailed:
    """Our own shutdown is nobody's failure."""
    return CallFailed(
        replace(failure, kind=FailureKind.CANCELLED, code="route_closed", detail="this route was closed")
    )
