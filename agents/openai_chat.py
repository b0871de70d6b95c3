"""One ``ChatOpenAI`` on a transport of ours: turns a conversation into the parts of a streamed answer.

Imported late, by ``agents.model`` only: langchain-openai takes seconds to import. Foreign exceptions leave here
as ``CallFailed``; judging whether an answer is complete and counting what it used is ``agents.model``'s part.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, cast

import httpx
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.env import env_var_is_set
from langchain_openai import ChatOpenAI
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType] - its own annotations are partial

from agents.endpoint import Endpoint
from agents.errors import CallFailed
from agents.parts import Part
from agents.translate import FOREIGN, to_failure
from agents.usage import read_counts
from agents.wire import CALL_HEADER, GuardedTransport, WireLimits, verified_tls
from configs.errors import ConfigError
from configs.kernel import Message, Sampling, Usage
from configs.ratelimit_headers import RateLimits, rate_limits
from configs.settings import Settings

OBSOLETE_TRACING = ("LANGCHAIN_TRACING", "LANGCHAIN_HANDLER")
PLACEHOLDER_KEY = "held-by-the-transport"
ROLES: Mapping[str, type[BaseMessage]] = {
    "system": SystemMessage,
    "user": HumanMessage,
    "assistant": AIMessage,
}

# A provider's oddly typed field makes pydantic warn and print the field's value: text of an answer, in the log.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings", category=UserWarning)


class TolerantChatOpenAI(ChatOpenAI):
    """``ChatOpenAI`` that is not stopped by a usage it cannot read, and that shows a refusal.

    Overrides the conversion of one event, which is where LangChain's own provider packages differ too.
    """

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        readable = {**chunk, "usage": read_counts(chunk.get("usage")), "service_tier": None}
        converted = super()._convert_chunk_to_generation_chunk(readable, default_chunk_class, base_generation_info)
        choices = chunk.get("choices")
        if converted is not None and choices and choices[0]["delta"].get("refusal"):
            converted.message.additional_kwargs["refusal"] = "refused"
        return converted


class OpenAIClient:
    """A connection pool to one endpoint for one model. Building one reads certificates: not on the event loop.

    Raises ``ConfigError`` where LangChain could not make a single call.
    """

    def __init__(
        self,
        model: str,
        endpoint: Endpoint,
        settings: Settings,
        read_s: float,
        hear: Callable[[RateLimits], None] | None = None,
    ) -> None:
        """``hear`` is told what answers say about the limits of this route; it must not raise."""
        for name in OBSOLETE_TRACING:
            if env_var_is_set(name):
                raise ConfigError(f"{name} is set, and LangChain refuses every call with it", hint="unset it")
        # llama.cpp's server promises keep-alive and closes after every stream: a call that reuses the connection
        # then breaks in one of twenty cases. A plain connection costs a fraction of a millisecond; TLS is worth
        # keeping, and who speaks it keeps its promise.
        keeps = settings.http.connections_max if endpoint.base_url.startswith("https:") else 0
        limits = httpx.Limits(
            max_connections=settings.http.connections_max,
            max_keepalive_connections=keeps,
            keepalive_expiry=settings.http.keepalive_s,
        )
        self._transport = GuardedTransport(
            httpx.AsyncHTTPTransport(verify=verified_tls(), limits=limits, trust_env=False),
            endpoint.api_key,
            WireLimits.of(settings),
            partial(_tell, hear),
        )
        connect_s = settings.shield.connect_s
        timeout = httpx.Timeout(read_s, connect=connect_s, pool=connect_s)
        self._http = httpx.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=timeout
        )
        self._chat = _chat(model, endpoint, self._http, temperature=None)
        # ChatOpenAI knows which models refuse any temperature but their own, and drops it for them.
        self._takes_temperature = _chat(model, endpoint, self._http, temperature=0.5).temperature is not None
        self._field = endpoint.max_tokens_field
        self._secret = endpoint.api_key

    async def parts(self, messages: tuple[Message, ...], sampling: Sampling) -> AsyncGenerator[Part]:
        """The parts of one answer, from one HTTP request. Raises ``CallFailed``; closing cuts the connection."""
        call_id = uuid.uuid4().hex
        wire = self._transport.open(call_id)
        upstream = self._chat.astream(
            [ROLES[message.role](content=message.content) for message in messages],
            # An empty list also cuts off tracers of an enclosing graph: prompts leave by one road only.
            {"callbacks": []},
            **self._options(sampling, call_id),
        )
        produced = False
        # Whether a call is traced is decided in its first step. Across a yield the context would leak.
        context: AbstractContextManager[None] = tracing_context(enabled=False)
        try:
            while True:
                part = await self._next(upstream, context, produced)
                if part is None:
                    return
                context = nullcontext()
                produced = produced or bool(part.text)
                yield part
        finally:
            self._transport.forget(call_id)
            # The SDK's generators close their connection when they are collected; the socket must go now.
            await wire.cut()
            await cast("AsyncGenerator[BaseMessage]", upstream).aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _next(
        self, upstream: AsyncIterator[BaseMessage], context: AbstractContextManager[None], produced: bool
    ) -> Part | None:
        try:
            with context:
                message = await anext(upstream, None)
        except CallFailed as exc:  # from the transport, passed through the SDK
            failure = replace(exc.failure, produced_text=produced)
        except FOREIGN as exc:
            failure = to_failure(exc, produced, self._secret)
        else:
            return None if message is None else _part(message)
        # Raised outside the handler on purpose: the SDK's exceptions hold request and body, and a chain would
        # carry both into tracebacks and logs.
        raise CallFailed(failure)

    def _options(self, sampling: Sampling, call_id: str) -> dict[str, Any]:
        options: dict[str, Any] = {"extra_headers": {CALL_HEADER: call_id}}
        if self._field == "max_tokens":
            # ChatOpenAI renames its own max_tokens; only the extra body goes out as it is.
            options["extra_body"] = {"max_tokens": sampling.max_tokens}
        else:
            options["max_tokens"] = sampling.max_tokens
        if sampling.temperature is not None and self._takes_temperature:
            options["temperature"] = sampling.temperature
        return options


def _tell(hear: Callable[[RateLimits], None] | None, headers: Mapping[str, str]) -> None:
    if hear is not None and (limits := rate_limits(headers, time.time())) is not None:
        hear(limits)


def _chat(
    model: str, endpoint: Endpoint, http: httpx.AsyncClient, *, temperature: float | None
) -> TolerantChatOpenAI:
    """Every setting that ``ChatOpenAI`` would otherwise take from the environment is given."""

    async def no_key() -> str:
        return PLACEHOLDER_KEY

    return TolerantChatOpenAI(
        model=model,
        base_url=endpoint.base_url,
        api_key=no_key,  # a coroutine, because a plain value would also build a synchronous client
        http_async_client=http,
        timeout=http.timeout,  # left out, the SDK would wait for ever
        openai_proxy=None,
        http_socket_options=(),
        max_retries=0,
        stream_usage=True,
        stream_chunk_timeout=None,
        use_responses_api=False,
        output_version="v0",
        temperature=temperature,
    )


def _part(message: BaseMessage) -> Part:
    assert isinstance(message, AIMessageChunk)  # noqa: S101 - what a chat model streams
    counts = message.usage_metadata
    usage = None
    if counts is not None:
        inputs, outputs = counts.get("input_token_details", {}), counts.get("output_token_details", {})
        usage = Usage(
            input_tokens=counts["input_tokens"],
            output_tokens=counts["output_tokens"],
            cached_tokens=inputs.get("cache_read", 0),
            cache_write_tokens=inputs.get("cache_creation", 0),
            reasoning_tokens=outputs.get("reasoning", 0),
        )
    return Part(
        text=message.content if isinstance(message.content, str) else "",
        usage=usage,
        total_tokens=counts["total_tokens"] if counts is not None else 0,
        finish_reason=message.response_metadata.get("finish_reason"),
        refused="refusal" in message.additional_kwargs,
    )
