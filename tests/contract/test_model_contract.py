"""The adapter over HTTP and its twin in memory pass the same suite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from agents.model import OpenAIChat, open_model
from agents.scripted import Reply, ScriptedModel
from configs.catalogue import ModelSettings, ProviderSettings
from configs.kernel import FailureKind, Usage
from configs.settings import Settings
from tests.contract.chat_model_suite import Sent, Subject, suite_tests
from tests.support.provider import PIECES, RESET, Item, Play, ScriptedProvider, finish, token, tokens

globals().update(suite_tests())


@dataclass(slots=True)
class InMemory:
    """The twin; both ends are one object."""

    model: ScriptedModel

    def script(self, *replies: Reply) -> None:
        self.model.script(*replies)

    def sent(self) -> list[Sent]:
        return [
            Sent(
                messages=tuple((m.role, m.content) for m in call.messages),
                max_tokens=call.sampling.max_tokens,
                temperature=call.sampling.temperature,
            )
            for call in self.model.calls
        ]

    async def reached(self, calls: int) -> None:
        await self.model.started.wait()
        assert len(self.model.calls) == calls

    async def left(self) -> None:
        await self.model.left.wait()


@dataclass(slots=True)
class OverHttp:
    """The adapter against the scripted provider."""

    model: OpenAIChat
    provider: ScriptedProvider

    def script(self, *replies: Reply) -> None:
        self.provider.script(*(_play(reply) for reply in replies))

    def sent(self) -> list[Sent]:
        return [
            Sent(
                messages=tuple((m["role"], m["content"]) for m in request.json["messages"]),
                max_tokens=request.json["max_tokens"],
                temperature=request.json.get("temperature"),
            )
            for request in self.provider.requests
        ]

    async def reached(self, calls: int) -> None:
        await self.provider.wait_requests(calls)

    async def left(self) -> None:
        await self.provider.requests[-1].wait_disconnected()


def _play(reply: Reply) -> Play:
    failure = reply.failure
    if failure is not None and failure.kind is FailureKind.STATUS:
        wait = {} if failure.retry_after_s is None else {"retry-after": f"{failure.retry_after_s:.0f}"}
        return Play(status=failure.status or 500, headers=wait, body={"error": {"code": failure.code}})
    return Play(stream=list(_items(reply)), gate=reply.gate)


def _items(reply: Reply) -> Iterator[Item]:
    yield token("", role="assistant")
    yield from tokens(*PIECES.findall(reply.text))
    if reply.hold is not None:
        yield reply.hold
    if reply.failure is not None:
        yield RESET
    yield from finish(reply.finish_reason, _reported(reply.usage))


def _reported(usage: Usage | None) -> dict[str, object] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


@pytest.fixture(params=["scripted", "openai"])
async def subject(request: pytest.FixtureRequest, provider: ScriptedProvider) -> AsyncIterator[Subject]:
    """Each of the two."""
    if request.param == "scripted":
        yield InMemory(ScriptedModel())
        return
    settings = Settings(
        providers={"p": ProviderSettings(base_url=provider.url, local=True)},
        models={"m": ModelSettings(provider="p", model="a")},
    )
    model = open_model("m", settings, {})
    yield OverHttp(model, provider)
    await model.aclose()
