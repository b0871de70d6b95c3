"""Model routes to a scripted provider, and their answers in one call: for tests of whatever talks to a model."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from agents.contract import ChatModel, Chunk
from agents.errors import CallFailed
from agents.model import OpenAIChat, open_model
from configs.catalogue import ModelSettings, ProviderSettings
from configs.kernel import Deadline, Failure, Message, Sampling
from configs.settings import Settings

GUARD_S = 5.0
KEY_NAME = "TEST_API_KEY"
KEY = "sk-canary-4f1d0b7e"
LATER = Deadline(float("inf"))


def settings_for(url: str, *, model: str = "a", **sections: Any) -> Settings:
    """One provider ``p`` at ``url`` that takes a key, one model ``m`` on it."""
    return Settings(
        providers={"p": ProviderSettings(base_url=url, api_key_env=KEY_NAME)},
        models={"m": ModelSettings(provider="p", model=model)},
        **sections,
    )


def route_to(url: str, *, model: str = "a", **sections: Any) -> OpenAIChat:
    """The route to that model, with a key."""
    return open_model("m", settings_for(url, model=model, **sections), {KEY_NAME: KEY})


@dataclass(frozen=True, slots=True)
class Heard:
    """Everything one call yielded, and how it failed if it did."""

    chunks: tuple[Chunk, ...]
    failure: Failure | None = None
    error: CallFailed | None = None

    @property
    def text(self) -> str:
        """The answer as far as it came."""
        return "".join(chunk.text for chunk in self.chunks)


async def listen(
    model: ChatModel, question: str = "two words", *, max_tokens: int = 64, temperature: float | None = None
) -> Heard:
    """Ask and collect; a failure is a value here."""
    chunks: list[Chunk] = []
    messages = (Message("user", question),)
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature)
    try:
        async with asyncio.timeout(GUARD_S), aclosing(model.stream(messages, sampling, LATER)) as stream:
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401 - a comprehension would lose them when the stream fails
    except CallFailed as exc:
        return Heard(tuple(chunks), exc.failure, exc)
    return Heard(tuple(chunks))
