"""The model routes of one engine, opened when first needed and shared by all agents.

Not a router and not a shield. What it adds to ``agents.model`` is the embedded model, whose address is only known
once its host runs: starting it is part of the first call, so that a start that fails is that call's failure.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from agents.contract import ChatModel, Chunk, HearLimits, ModelRef
from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.model import OpenAIChat, open_model
from agents.refs import model_ref
from configs.errors import SwitchgearError
from configs.kernel import Deadline, Failure, FailureKind, Message, Sampling
from configs.settings import Settings
from engine.embedded import Hold
from memory.embedded.attach import Attachment

BROKEN = frozenset({FailureKind.CONNECT, FailureKind.CONNECT_TIMEOUT, FailureKind.RESET})
"""Failures after which the host may be gone; when it is not, looking for it anew costs a millisecond."""


class EmbeddedChat:
    """``ChatModel`` of the embedded host; ``host`` starts or finds it."""

    def __init__(self, ref: ModelRef, settings: Settings, host: Hold) -> None:
        self._ref = ref
        self._settings = settings
        self._host = host
        self._inner: tuple[Attachment, ChatModel] | None = None
        self._lost = False

    @property
    def ref(self) -> ModelRef:
        """The identity of this route."""
        return self._ref

    async def stream(
        self, messages: tuple[Message, ...], sampling: Sampling, deadline: Deadline
    ) -> AsyncGenerator[Chunk]:
        """Generate through the host, starting it first. Raises ``CallFailed``.

        When nobody listens at its address, the next call looks for the host anew.
        """
        model = await self._model()
        try:
            async with aclosing(model.stream(messages, sampling, deadline)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except CallFailed as exc:
            self._lost = exc.failure.kind in BROKEN
            raise

    async def aclose(self) -> None:
        """Release the connections; the host belongs to whoever attached to it."""
        if self._inner is not None:
            await self._inner[1].aclose()

    async def _model(self) -> ChatModel:
        try:
            if self._lost and self._inner is not None:
                attachment = await self._host.renew(self._inner[0])
            else:
                attachment = await self._host.get()
        except SwitchgearError as exc:
            detail = f"the embedded model did not start: {exc.message}"
            raise CallFailed(Failure(kind=FailureKind.CONNECT, detail=detail)) from exc
        self._lost = False
        if self._inner is None or self._inner[0] is not attachment:
            await self.aclose()
            endpoint = Endpoint(base_url=attachment.address, api_key=attachment.secret)
            self._inner = (attachment, open_model(self._ref.id, self._settings, {}, endpoint))
        return self._inner[1]


class Models:
    """Routes by model id. ``environ`` is the environment as it was read at start."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], embedded: Hold, hear: HearLimits) -> None:
        """``hear`` is told what providers say about remaining rate limits."""
        self._settings = settings
        self._environ = environ
        self._hear = hear
        self._embedded = embedded
        self._open: dict[str, ChatModel] = {}

    def get(self, model_id: str) -> ChatModel:
        """The route of ``model_id``, which must be configured (the chain is made of configured ids only)."""
        if model_id not in self._open:
            self._open[model_id] = self._make(model_id)
        return self._open[model_id]

    async def ready(self, model_id: str) -> ChatModel:
        """The route of ``model_id``, its client built."""
        model = self.get(model_id)
        if isinstance(model, OpenAIChat):
            with contextlib.suppress(OSError, ValueError):  # the call meets it too, and says so
                await model.warm()
        return model

    async def aclose(self) -> None:
        """Close every connection of every route."""
        for model in self._open.values():
            await model.aclose()

    def _make(self, model_id: str) -> ChatModel:
        provider = self._settings.providers[self._settings.models[model_id].provider]
        if provider.embedded:
            return EmbeddedChat(model_ref(model_id, self._settings), self._settings, self._embedded)
        return open_model(model_id, self._settings, self._environ, hear=self._hear)
