"""An agent that is a prompt and a model: the system prompt of its capability in front of the conversation.

The prompts are the files of ``agents/prompts``. One may begin with a line ``Opening: …``: that sentence precedes
the model's own words in every answer, for what must be said however small the model is. Agents with code of their
own are ``agents/handler.py``'s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from difflib import get_close_matches
from pathlib import Path

from agents.contract import ChatModel, Chunk, Task
from agents.errors import AgentNotUsable, CallFailed
from configs.catalogue import AgentCapability
from configs.kernel import Failure, FailureKind, Message

PROMPTS: Mapping[str, str] = {
    file.name: file.read_text(encoding="utf-8").strip()
    for file in sorted(Path(__file__).with_name("prompts").glob("*.md"))
}
"""Every prompt by file name. Read with the module: a few kilobytes, and never on an event loop."""
OPENING = "Opening: "


class PromptedAgent:
    """``Agent`` that answers through whichever model it is given."""

    def __init__(self, capability: AgentCapability) -> None:
        """Raises ``AgentNotUsable`` when ``capability.prompt`` is no file of ``agents/prompts``."""
        self._capability = capability
        self._prompt = _prompt_of(capability)
        first, _, rest = self._prompt.partition("\n")
        has_opening = first.startswith(OPENING)
        self._opening = f"{first.removeprefix(OPENING).strip()}\n\n" if has_opening else ""
        self._instructions = rest.strip() if has_opening else self._prompt

    @property
    def capability(self) -> AgentCapability:
        """What this agent is for."""
        return self._capability

    @property
    def system_prompt(self) -> str:
        """The whole prompt file, opening included: part of what makes two answers comparable."""
        return self._prompt

    async def run(self, task: Task, model: ChatModel | None) -> AsyncGenerator[Chunk]:
        """Answer ``task`` through ``model``. Raises ``CallFailed``."""
        if model is None:
            raise CallFailed(
                Failure(kind=FailureKind.AGENT, detail=f"agent {self._capability.name!r} was given no model")
            )
        opening = self._opening
        conversation = self._conversation(task.messages)
        async with aclosing(model.stream(conversation, task.sampling, task.deadline)) as chunks:
            async for chunk in chunks:
                if opening and chunk.text:
                    # Not earlier: the first text is where a silent change of the route ends (F4).
                    yield Chunk(text=opening)
                    opening = ""
                yield chunk

    def _conversation(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """One system message in front: chat templates of small models know no second one."""
        count = next((i for i, message in enumerate(messages) if message.role != "system"), len(messages))
        instructions = (self._instructions, *(message.content for message in messages[:count]))
        return (Message("system", "\n\n".join(instructions)), *messages[count:])


def _prompt_of(capability: AgentCapability) -> str:
    if capability.instructions:
        return capability.instructions.strip()
    if not capability.prompt:
        raise AgentNotUsable(
            f"agent {capability.name!r} has no instructions, no prompt and no handler",
            hint="write instructions, name a file of agents/prompts, or register it with a handler",
        )
    if capability.prompt not in PROMPTS:
        near = get_close_matches(capability.prompt, PROMPTS, n=1)
        raise AgentNotUsable(
            f"agent {capability.name!r} names the prompt {capability.prompt!r}, which is not in agents/prompts",
            hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(PROMPTS)}",
        )
    return PROMPTS[capability.prompt]
