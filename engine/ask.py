"""What a caller may say when asking, and the ``Request`` it amounts to. The face of admission, not its rules."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypedDict, cast

from configs.kernel import DEFAULT_TENANT, Message, Principal
from configs.settings import Settings
from engine.errors import InvalidInput, UnknownName
from engine.gateway.admit import Options, build_request
from engine.types import CacheMode, DataClass, OnUnavailable, Priority, Request

Prompt = str | Sequence[Message | Mapping[str, object]]


class AskOptions(TypedDict, total=False):
    """Keyword arguments of ``execute``, ``stream`` and ``execute_batch`` (serve.python).

    What this release has not built is refused by name (``NotBuilt``), never ignored.
    """

    user_id: str
    """Who asks; the scope of the cache. ``"local"`` when left out."""
    tenant_id: str
    thread_id: str | None
    agent: str | None
    """Skip routing and ask this agent."""
    team: str | None
    strategy: Literal["auto", "single", "parallel", "cascade", "graduated", "consensus"] | None
    models: Sequence[str] | None
    """Model ids to try, in order, instead of the agent's own chain."""
    deadline_s: float | None
    max_cost_usd: float | None
    max_tokens: int | None
    temperature: float | None
    cache: CacheMode
    ttl_s: int | None
    response_schema: Mapping[str, Any] | type | None
    priority: Priority
    data_class: DataClass | None
    """What the prompt holds; what is found in it can only make this stricter. ``pii`` and ``phi`` stay local."""
    region: str | None
    """Only models and handlers of this region may be asked."""
    tags: Mapping[str, str] | None
    on_unavailable: OnUnavailable | None
    """``"queue"``: when no route can answer, wait as a ticket and raise ``RequestQueued``. Low priority does."""
    webhook: str | None
    """Where the result of a queued request is posted (``queue.webhook_hosts``)."""
    idempotency_key: str | None
    """Queued again under the same key, it is the same ticket."""


INLINE_CHARS = 4_096
"""A longer prompt is looked through in a thread: that takes up to a quarter of a second for the longest."""


async def ask(prompt: Prompt, options: AskOptions, settings: Settings, agents: Collection[str]) -> Request:
    """``request_of``, off the event loop where it takes long."""
    make = partial(request_of, prompt, options, settings, agents)
    return await asyncio.to_thread(make) if _chars(prompt) > INLINE_CHARS else make()


def _chars(prompt: object) -> int:
    """About how long a prompt is, whatever it is."""
    if isinstance(prompt, str):
        return len(prompt)
    if not isinstance(prompt, Sequence):
        return 0
    messages = cast("Sequence[object]", prompt)
    contents = (m.content if isinstance(m, Message) else _content(m) for m in messages)
    return sum(len(content) for content in contents if isinstance(content, str))


def _content(message: object) -> object:
    return cast("Mapping[str, object]", message).get("content") if isinstance(message, Mapping) else None


def request_of(prompt: Prompt, options: AskOptions, settings: Settings, agents: Collection[str]) -> Request:
    """The validated request, its deadline counted from now.

    Raises ``InvalidInput``, ``UnknownName`` (an option, agent or model that does not exist), ``NotBuilt``.
    """
    given: dict[str, Any] = dict(options)
    for name in given:
        if name not in AskOptions.__annotations__:
            raise UnknownName("option", name, AskOptions.__annotations__)
    for name in ("user_id", "tenant_id"):
        if not isinstance(given.get(name, ""), str):
            raise InvalidInput(f"{name} must be a text, not {type(given[name]).__name__}", code="invalid_option")
    try:
        principal = Principal(
            user_id=given.pop("user_id", "local"), tenant_id=given.pop("tenant_id", DEFAULT_TENANT)
        )
    except (ValueError, AttributeError) as exc:
        raise InvalidInput(str(exc), code="invalid_option") from exc
    request = build_request(
        prompt, principal, Options(**given), settings, request_id=uuid.uuid4().hex, now_s=time.monotonic()
    )
    # The router would refuse these too, but only after MiniLM and LangGraph have been loaded.
    if request.agent is not None and request.agent not in agents:
        raise UnknownName("agent", request.agent, agents)
    for model in request.models:
        if model not in settings.models:
            raise UnknownName("model", model, settings.models)
    return request
